// `tls` of servers and exporters, in the Collector's words (config/configtls).
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "agent/config_parts.h"
#include "agent/config_values.h"

namespace holdfast {

namespace {

struct Word {
  std::string_view collector;
  std::string_view openssl;  // "": it has none, see the reader
};

// Those of Go's crypto/tls that it calls secure. The suites of TLS 1.3 cannot be chosen there.
constexpr std::array<Word, 13> kCiphers{{
    {"TLS_AES_128_GCM_SHA256", ""},
    {"TLS_AES_256_GCM_SHA384", ""},
    {"TLS_CHACHA20_POLY1305_SHA256", ""},
    {"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "ECDHE-ECDSA-AES128-SHA"},
    {"TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", "ECDHE-ECDSA-AES256-SHA"},
    {"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "ECDHE-RSA-AES128-SHA"},
    {"TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", "ECDHE-RSA-AES256-SHA"},
    {"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"},
    {"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"},
    {"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"},
    {"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384"},
    {"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305"},
    {"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"},
}};

constexpr std::array<Word, 5> kCurves{{{"P256", "P-256"},
                                       {"P384", "P-384"},
                                       {"P521", "P-521"},
                                       {"X25519", "X25519"},
                                       {"X25519MLKEM768", ""}}};

/// A list of the Collector's words as OpenSSL's, with colons. Words that OpenSSL has no choice for
/// are left out with a warning, unless no other is there.
template <std::size_t N>
Reader words(std::string& out, const std::array<Word, N>& known, std::string reason) {
  return [&out, &known, reason = std::move(reason)](const Value& value) {
    std::vector<std::string> written;
    strings(written)(value);
    std::vector<std::string> there;
    for (const Word& word : known) there.emplace_back(word.collector);
    std::string list;
    for (const std::string& name : written) {
      const auto word = std::find_if(known.begin(), known.end(),
                                     [&](const Word& w) { return w.collector == name; });
      if (word == known.end()) {
        value.fail(fmt::format("{} is not supported", quoted(name)), suggest(name, there));
      } else if (word->openssl.empty()) {
        value.warn(fmt::format("{} has no effect: {}", name, reason));
      } else {
        list += (list.empty() ? "" : ":") + std::string(word->openssl);
      }
    }
    out = list;
  };
}

template <typename Tls>
Reader ciphers(Tls& tls) {
  return words(tls.ciphers, kCiphers, "the suites of TLS 1.3 are always on");
}

template <typename Tls>
Reader curves(Tls& tls) {
  return words(tls.groups, kCurves, "OpenSSL 3.0 does not have it");
}

/// 1.0 and 1.1 as the least: taken, and more is asked for.
Reader min_version(bool& only_1_3) {
  return [&only_1_3](const Value& value) {
    choice({"1.0", "1.1", "1.2", "1.3", ""}, [&](std::size_t i) {
      only_1_3 = i == 3;
      if (i < 2) value.warn("has no effect: versions below 1.2 are always refused");
    })(value);
  };
}

Reader max_version(bool& only_1_2) {
  return [&only_1_2](const Value& value) {
    choice({"1.0", "1.1", "1.2", "1.3", ""}, [&](std::size_t i) {
      only_1_2 = i == 2;
      if (i < 2) value.fail("must be at least 1.2: versions below are refused");
    })(value);
  };
}

/// A file that is to be read later; its absence may pass.
Reader file(std::string& out) {
  return [&out](const Value& value) {
    text(out)(value);
    if (!out.empty() && ::access(out.c_str(), R_OK) != 0) {
      value.warn(fmt::format("{} cannot be read now: {}", quoted(out), std::strerror(errno)));
    }
  };
}

template <typename Tls>
Keys pair_keys(Tls& tls) {
  return {{"cert_file", file(tls.cert_file)},
          {"cert_pem", text(tls.cert_pem)},
          {"key_file", file(tls.key_file)},
          {"key_pem", text(tls.key_pem)},
          {"include_insecure_cipher_suites", insecure_cipher_suites()},
          {"tpm", tpm()}};
}

/// The Collector's rules for a certificate and its key.
template <typename Tls>
void check_pair(const Value& value, const Tls& tls, bool needed) {
  if (!tls.cert_file.empty() && !tls.cert_pem.empty()) {
    value.fail_at("cert_pem", "cannot stand beside cert_file: one of the two");
  }
  if (!tls.key_file.empty() && !tls.key_pem.empty()) {
    value.fail_at("key_pem", "cannot stand beside key_file: one of the two");
  }
  const bool cert = !tls.cert_file.empty() || !tls.cert_pem.empty();
  const bool key = !tls.key_file.empty() || !tls.key_pem.empty();
  if (cert != key || (needed && !cert)) {
    value.fail_at(cert ? "key_file" : "cert_file",
                  "is missing: certificate and key belong together",
                  cert ? "key_file or key_pem" : "cert_file or cert_pem");
  }
}

template <typename Tls>
void check_versions(const Value& value, const Tls& tls) {
  if (tls.only_1_2 && tls.only_1_3) {
    value.fail_at("max_version", "must not be less than min_version");
  }
}

Keys http_server_keys(TlsServerOptions& tls) {
  return {{"min_version", min_version(tls.only_1_3)},
          {"max_version", max_version(tls.only_1_2)},
          {"cipher_suites", ciphers(tls)},
          {"curve_preferences", curves(tls)},
          {"include_system_ca_certs_pool", boolean(tls.with_system_cas)}};
}

/// gRPC 1.51 lets nobody choose.
Keys grpc_server_keys() {
  const auto only = [](const std::string& takes) {
    return [takes](const Value& value) {
      const auto content = value.is_null() ? std::optional<std::string>("") : text_of(value);
      if (!content || content->empty() || *content == takes) return;
      value.fail("is not supported in this version: gRPC takes TLS 1.2 and 1.3");
    };
  };
  const auto chooses = "gRPC chooses for itself";
  return {{"min_version", only("1.2")},
          {"max_version", only("1.3")},
          {"cipher_suites", refused_unless_off(chooses)},
          {"curve_preferences", refused_unless_off(chooses)},
          {"include_system_ca_certs_pool",
           refused_unless_off("client_ca_file alone says who may come")}};
}

void add(Keys& keys, Keys more) {
  for (Key& key : more) keys.push_back(std::move(key));
}

}  // namespace

Reader tpm() {
  return section({{"enabled", refused_unless_off("keys lie in files or in the configuration")},
                  {"path", accepted()},
                  {"owner_auth", accepted()},
                  {"auth", accepted()}});
}

Reader insecure_cipher_suites() {
  return [](const Value& value) {
    bool wanted = false;
    boolean(wanted)(value);
    if (wanted) value.warn("has no effect: what Go calls insecure is not offered");
  };
}

Reader server_tls(std::optional<TlsServerOptions>& out, TlsServerKind kind) {
  return [&out, kind](const Value& value) {
    if (value.is_null()) return;
    TlsServerOptions& tls = out.emplace();
    const auto no_ca = no_effect("client_ca_file names the authorities of clients");
    Keys keys = pair_keys(tls);
    add(keys, {{"client_ca_file", file(tls.client_ca_file)},
               {"client_ca_file_reload", accepted()},  // it always is
               {"reload_interval", duration(tls.reload_interval, milliseconds(0))},
               {"ca_file", no_ca},
               {"ca_pem", no_ca}});
    add(keys, kind == TlsServerKind::http ? http_server_keys(tls) : grpc_server_keys());
    read_section(value, keys);
    check_pair(value, tls, true);
    check_versions(value, tls);
  };
}

Reader client_tls(HttpTlsOptions& tls) {
  return [&tls](const Value& value) {
    Keys keys = pair_keys(tls);
    add(keys, {{"insecure", accepted()},  // the scheme of the URL decides, as in the Collector
               {"insecure_skip_verify", boolean(tls.insecure_skip_verify)},
               {"ca_file", file(tls.ca_file)},
               {"ca_pem", text(tls.ca_pem)},
               {"include_system_ca_certs_pool", boolean(tls.with_system_cas)},
               {"server_name_override", text(tls.server_name)},
               {"min_version", min_version(tls.only_1_3)},
               {"max_version", max_version(tls.only_1_2)},
               {"cipher_suites", ciphers(tls)},
               {"curve_preferences", curves(tls)},
               {"reload_interval", accepted()}});  // files are read for each connection
    read_section(value, keys);
    if (!tls.ca_file.empty() && !tls.ca_pem.empty()) {
      value.fail_at("ca_pem", "cannot stand beside ca_file: one of the two");
    }
    check_pair(value, tls, false);
    check_versions(value, tls);
  };
}

}  // namespace holdfast
