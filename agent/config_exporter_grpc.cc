// exporters: otlp_grpc (alias otlp).
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "agent/config_exporter.h"
#include "agent/config_values.h"

namespace holdfast {

namespace {

constexpr milliseconds kNotNegative{0};
// grpc-go, and so the Collector, pings no more often.
constexpr milliseconds kKeepaliveTimeMin{10'000};
constexpr milliseconds kKeepaliveTimeout{20'000};

/// An endpoint as configurations have it, and what gRPC calls it.
struct Target {
  std::string name;
  bool https = false;
  bool http = false;
};

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

Reader target(Target& out) {
  return [&out](const Value& value) {
    std::string content;
    text(content)(value);
    if (content.empty()) return;
    std::string_view rest = content;
    if (take_prefix(rest, "unix://")) {
      if (rest.empty()) return value.fail("names no socket", "as in \"unix:///run/otlp.sock\"");
      out.name = content;
      return;
    }
    out.https = take_prefix(rest, "https://");
    out.http = take_prefix(rest, "http://");
    if (!take_prefix(rest, "dns:///")) take_prefix(rest, "dns://");
    if (rest.ends_with('/') && (out.https || out.http)) rest.remove_suffix(1);
    const auto endpoint = parse_endpoint(rest);
    if (!endpoint || endpoint->host.empty()) {
      EndpointFault fault = explain_endpoint(rest);
      if (endpoint) fault = {fmt::format("{} names no host", quoted(rest)), ""};
      return value.fail(std::move(fault.message), std::move(fault.hint));
    }
    // gRPC takes an address in brackets only without a scheme before it.
    out.name = (rest.front() == '[' ? "" : "dns:///") + std::string(rest);
  };
}

Reader metadata(std::vector<std::pair<std::string, std::string>>& out) {
  return [&out](const Value& value) {
    headers(out)(value);
    for (auto& [name, content] : out) {
      const std::string written = name;
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      if (is_sendable_metadata(name, content)) continue;
      value.fail_at(written, is_sendable_metadata(name, "")
                                 ? "the value of a gRPC header must be printable ASCII"
                                 : "is a header that gRPC sets itself, or that it cannot send");
    }
  };
}

Reader compression(ContentCoding& out) {
  return [&out](const Value& value) {
    std::string word = "gzip";
    if (value.is_null()) return;
    choice({"gzip", "none", "zstd", "snappy", ""}, [&](std::size_t i) {
      static constexpr std::array kWords{"gzip", "none", "zstd", "snappy", "none"};
      word = kWords[i];
    })(value);
    out = word == "none" ? ContentCoding::identity : ContentCoding::gzip;
    if (word == "zstd" || word == "snappy") {
      value.warn(fmt::format("is sent as gzip: the gRPC library here does not speak {}", word));
    }
  };
}

Reader readable_file(std::string& out) {
  return [&out](const Value& value) {
    text(out)(value);
    if (!out.empty() && ::access(out.c_str(), R_OK) != 0) {
      value.warn(fmt::format("{} cannot be read now: {}", quoted(out), std::strerror(errno)));
    }
  };
}

/// gRPC speaks TLS 1.2 and 1.3, and has no way to be held to one of them.
Reader min_version() {
  return [](const Value& value) {
    std::string version;
    text(version)(value);
    if (version == "1.0" || version == "1.1")
      value.warn("has no effect: gRPC takes no less than 1.2");
    if (version == "1.3") {
      value.fail("\"1.3\" is not supported: the gRPC library takes 1.2 as well",
                 "otlp_http can be held to 1.3");
    } else if (!version.empty() && version != "1.0" && version != "1.1" && version != "1.2") {
      value.fail(fmt::format("{} is not one of 1.0, 1.1, 1.2, 1.3", quoted(version)));
    }
  };
}

Reader max_version() {
  return [](const Value& value) {
    std::string version;
    text(version)(value);
    if (version.empty() || version == "1.3") return;
    value.fail(
        fmt::format("{} is not supported: the gRPC library takes 1.3 as well", quoted(version)));
  };
}

Keys tls_keys(GrpcTlsOptions& tls, bool& insecure) {
  const auto reload = [](const Value& value) {
    milliseconds ignored{0};
    duration(ignored, kNotNegative)(value);  // files are read anew for every connection
  };
  Keys keys{
      {"insecure", boolean(insecure)},
      {"insecure_skip_verify", boolean(tls.insecure_skip_verify)},
      {"ca_file", readable_file(tls.ca_file)},
      {"ca_pem", text(tls.ca_pem)},
      {"cert_file", readable_file(tls.cert_file)},
      {"cert_pem", text(tls.cert_pem)},
      {"key_file", readable_file(tls.key_file)},
      {"key_pem", text(tls.key_pem)},
      {"server_name_override", text(tls.server_name)},
      {"include_system_ca_certs_pool", boolean(tls.with_system_roots)},
      {"min_version", min_version()},
      {"max_version", max_version()},
      {"reload_interval", reload},
  };
  for (const char* name : {"cipher_suites", "curve_preferences"}) {
    keys.push_back({name, refused_unless_off("gRPC chooses")});
  }
  keys.push_back({"include_insecure_cipher_suites", insecure_cipher_suites()});
  keys.push_back({"tpm", tpm()});
  return keys;
}

void check_tls(const Value& value, const GrpcTlsOptions& tls) {
  const Member* section = value.node.find("tls");
  if (section == nullptr) return;
  const Value at{section->value, join_key(value.key, "tls"), value.findings};
  const auto both = [&](const std::string& file, const std::string& pem, std::string_view name) {
    if (file.empty() || pem.empty()) return;
    at.fail_at(fmt::format("{}_pem", name),
               fmt::format("stands beside {}_file: one of them", name));
  };
  both(tls.ca_file, tls.ca_pem, "ca");
  both(tls.cert_file, tls.cert_pem, "cert");
  both(tls.key_file, tls.key_pem, "key");
  const bool certificate = !tls.cert_file.empty() || !tls.cert_pem.empty();
  const bool key = !tls.key_file.empty() || !tls.key_pem.empty();
  if (certificate != key) {
    at.fail(certificate ? "has a certificate without its key"
                        : "has a key without its certificate");
  }
}

/// As in the Collector: TLS unless `insecure` says otherwise; https:// and an authority of one's
/// own outweigh that, and http:// says nothing.
void decide_tls(const Value& value, const Target& target, bool insecure, GrpcTlsOptions& tls) {
  const bool authority = !tls.ca_file.empty() || !tls.ca_pem.empty();
  tls.enabled = !insecure || authority || target.https;
  if (tls.enabled && insecure) {
    value.findings.warning(
        value.place_of("tls"), join_key(value.key, "tls::insecure"),
        authority ? "has no effect beside an authority to trust" : "has no effect beside https://");
  }
  if (tls.enabled && target.http) {
    value.findings.warning(value.place_of("endpoint"), join_key(value.key, "endpoint"),
                           "uses TLS although it begins with http://: tls::insecure decides");
  }
}

Reader keepalive(std::optional<GrpcKeepalive>& out) {
  return [&out](const Value& value) {
    if (value.is_null()) return;
    GrpcKeepalive keepalive;
    read_section(value, {
                            {"time", duration(keepalive.time, kNotNegative)},
                            {"timeout", duration(keepalive.timeout, kNotNegative)},
                            {"permit_without_stream", boolean(keepalive.permit_without_stream)},
                        });
    if (keepalive.time < kKeepaliveTimeMin) {
      if (value.node.find("time") != nullptr) {
        value.warn(fmt::format("time is {}, the least that servers allow",
                               duration_text(kKeepaliveTimeMin)));
      }
      keepalive.time = kKeepaliveTimeMin;
    }
    if (keepalive.timeout.count() == 0) keepalive.timeout = kKeepaliveTimeout;
    out = keepalive;
  };
}

}  // namespace

void read_otlp_grpc(const ComponentId& id, const Value& value, Declared& declared) {
  DeclaredExporter exporter;
  exporter.key = value.key;
  exporter.config.name = id.id;
  exporter.config.kind = ExporterConfig::Kind::otlp_grpc;
  OtlpGrpcOptions& options = exporter.config.otlp_grpc;
  Target upstream;
  bool insecure = false;
  const auto buffers = no_effect("gRPC sizes its own buffers");
  read_section(
      value,
      {
          {"endpoint", target(upstream)},
          {"endpoints", endpoint_list(
                            [&](const Value& v, std::vector<std::string>& out) {
                              Target one;
                              target(one)(v);
                              if (!one.name.empty()) out.push_back(one.name);
                              upstream.https |= one.https;
                              upstream.http |= one.http;
                            },
                            exporter.config.endpoints)},
          {"endpoint_strategy", endpoint_strategy(exporter.config.endpoint_strategy)},
          {"headers", metadata(options.headers)},
          {"compression", compression(options.compression)},
          {"timeout", duration(options.timeout, kNotNegative)},
          {"tls", section(tls_keys(options.tls, insecure))},
          {"keepalive", keepalive(options.keepalive)},
          {"authority", text(options.authority)},
          {"user_agent", text(options.user_agent)},
          {"wait_for_ready", boolean(options.wait_for_ready)},
          {"balancer_name",
           choice({"round_robin", "pick_first", ""},
                  [&](std::size_t i) {
                    static constexpr std::array kNames{"round_robin", "pick_first", ""};
                    options.balancer_name = kNames[i];
                  })},
          {"read_buffer_size", buffers},
          {"write_buffer_size", buffers},
          {"auth", authenticator(exporter.auth)},
          {"middlewares", middlewares()},
          {"retry_on_failure", [&](const Value& v) { read_retry(v, exporter.config.retry); }},
          {"sending_queue", sending_queue(exporter)},
      });
  check_endpoints(value, {"endpoint"});
  if (!exporter.config.endpoints.empty()) upstream.name = exporter.config.endpoints.front();
  const bool listed = value.node.find("endpoints") != nullptr;
  const Member* endpoint = value.node.find(listed ? "endpoints" : "endpoint");
  if (endpoint == nullptr || endpoint->value.kind == Node::Kind::null ||
      (endpoint->value.kind == Node::Kind::scalar && endpoint->value.text.empty())) {
    value.fail_at("endpoint", "is missing: where to send to", "as in endpoint: host:4317");
  }
  options.target = upstream.name;
  check_tls(value, options.tls);
  decide_tls(value, upstream, insecure, options.tls);
  declared.exporters.push_back(std::move(exporter));
}

}  // namespace holdfast
