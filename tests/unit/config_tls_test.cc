// tls, auth and unix sockets in the configuration.
#include <gtest/gtest.h>

#include <string>

#include "tests/support/config_text.h"

namespace holdfast {
namespace {

using Kind = AuthenticatorConfig::Kind;

std::string http(const std::string& keys) {
  return receiver_config("      http: {" + keys + "}\n");
}
std::string grpc(const std::string& keys) {
  return receiver_config("      grpc: {" + keys + "}\n");
}
std::string exporter(const std::string& keys) {
  return exporter_config("    endpoint: https://localhost:4318\n    " + keys + "\n");
}

void expect_error(const std::string& text, const std::string& error) {
  EXPECT_EQ(errors_of(text), Lines{error}) << text;
}

const std::string kPair = "cert_pem: c, key_pem: k";

TEST(ConfigTlsTest, KeysOfAServer) {
  const Config config = load_good(http(
      "tls: {cert_file: /a/c.pem, key_file: /a/k.pem, client_ca_file: /a/ca.pem, "
      "client_ca_file_reload: true, min_version: \"1.3\", max_version: \"1.3\", cipher_suites: "
      "[TLS_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "
      "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256], curve_preferences: [X25519, P384, "
      "X25519MLKEM768], reload_interval: 1m, include_system_ca_certs_pool: true, tpm: "
      "{enabled: false}}"));
  ASSERT_TRUE(config.receivers.at(0).http->tls);
  const TlsServerOptions& tls = *config.receivers.at(0).http->tls;
  EXPECT_EQ(tls.cert_file, "/a/c.pem");
  EXPECT_EQ(tls.key_file, "/a/k.pem");
  EXPECT_EQ(tls.client_ca_file, "/a/ca.pem");
  EXPECT_TRUE(tls.only_1_3);
  EXPECT_FALSE(tls.only_1_2);
  EXPECT_EQ(tls.ciphers, "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305");
  EXPECT_EQ(tls.groups, "X25519:P-384");
  EXPECT_EQ(tls.reload_interval, milliseconds(60'000));
  EXPECT_TRUE(tls.with_system_cas);
  EXPECT_EQ(config.warnings.size(), 5U);  // three files, a suite and a curve
}

TEST(ConfigTlsTest, ServersThatHaveNoTls) {
  EXPECT_FALSE(load_good(http("tls: ")).receivers.at(0).http->tls);
  EXPECT_FALSE(load_good(grpc("")).receivers.at(0).grpc->tls);
  EXPECT_TRUE(load_good(grpc("tls: {" + kPair + "}")).receivers.at(0).grpc->tls);
}

TEST(ConfigTlsTest, FaultsOfAServerAreNamed) {
  const std::string h = "receivers::otlp::protocols::http::tls";
  const std::string g = "receivers::otlp::protocols::grpc::tls";
  const std::string together = "certificate and key belong together";
  expect_error(http("tls: {}"), "yaml:6:19: " + h + "::cert_file: is missing: " + together +
                                    " (cert_file or cert_pem)");
  expect_error(http("tls: {cert_pem: c}"), "yaml:6:19: " + h + "::key_file: is missing: " +
                                               together + " (key_file or key_pem)");
  expect_error(http("tls: {cert_file: /x, " + kPair + "}"),
               "yaml:6:45: " + h + "::cert_pem: cannot stand beside cert_file: one of the two");
  expect_error(http("tls: {" + kPair + ", min_version: \"1.4\"}"),
               "yaml:6:58: " + h +
                   "::min_version: \"1.4\" is not one of 1.0, 1.1, 1.2, 1.3 (did you mean "
                   "\"1.0\"?)");
  expect_error(
      http("tls: {" + kPair + ", max_version: \"1.1\"}"),
      "yaml:6:58: " + h + "::max_version: must be at least 1.2: versions below are refused");
  expect_error(http("tls: {" + kPair + ", min_version: \"1.3\", max_version: \"1.2\"}"),
               "yaml:6:78: " + h + "::max_version: must not be less than min_version");
  expect_error(
      http("tls: {" + kPair + ", curve_preferences: [P25]}"),
      "yaml:6:64: " + h + "::curve_preferences: \"P25\" is not supported (did you mean \"P256\"?)");
  expect_error(grpc("tls: {" + kPair + ", min_version: \"1.3\"}"),
               "yaml:6:58: " + g +
                   "::min_version: is not supported in this version: gRPC takes TLS 1.2 and 1.3");
  expect_error(grpc("tls: {" + kPair + ", cipher_suites: [x]}"),
               "yaml:6:60: " + g +
                   "::cipher_suites: is not supported in this version: gRPC chooses for itself");
}

TEST(ConfigTlsTest, KeysOfAnExporter) {
  const Config config = load_good(exporter(
      "tls: {ca_pem: ca, cert_pem: c, key_pem: k, server_name_override: other, min_version: "
      "\"1.2\", max_version: \"1.2\", include_system_ca_certs_pool: true, insecure_skip_verify: "
      "true, reload_interval: 1h, cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384], "
      "curve_preferences: [P256]}\n    proxy_url: http://user:secret@proxy:3128"));
  const OtlpHttpOptions& options = config.exporters.at(0).otlp_http;
  EXPECT_EQ(options.tls.ca_pem, "ca");
  EXPECT_EQ(options.tls.cert_pem, "c");
  EXPECT_EQ(options.tls.key_pem, "k");
  EXPECT_EQ(options.tls.server_name, "other");
  EXPECT_TRUE(options.tls.only_1_2);
  EXPECT_TRUE(options.tls.with_system_cas);
  EXPECT_TRUE(options.tls.insecure_skip_verify);
  EXPECT_EQ(options.tls.ciphers, "ECDHE-RSA-AES256-GCM-SHA384");
  EXPECT_EQ(options.tls.groups, "P-256");
  EXPECT_EQ(options.proxy_url, "http://user:secret@proxy:3128");
  EXPECT_EQ(config.warnings, Lines{});
}

TEST(ConfigTlsTest, FaultsOfAnExporterAreNamed) {
  const std::string e = "exporters::otlp_http::";
  expect_error(exporter("tls: {cert_pem: c}"),
               "yaml:6:10: " + e +
                   "tls::key_file: is missing: certificate and key belong together (key_file or "
                   "key_pem)");
  expect_error(exporter("tls: {ca_file: /x, ca_pem: c}"),
               "yaml:6:32: " + e + "tls::ca_pem: cannot stand beside ca_file: one of the two");
  expect_error(exporter("proxy_url: ftp://user:secret@proxy"),
               "yaml:6:16: " + e + "proxy_url: is not an http://, https:// or socks5:// URL");
}

std::string with_auth(const std::string& listed, const std::string& extensions,
                      const std::string& receiver, const std::string& sender = "") {
  return "receivers: {otlp: {protocols: {http: {auth: {authenticator: " + receiver +
         "}}, grpc: {auth: {authenticator: " + receiver + "}}}}}\n" +
         "exporters: {otlp_http: {endpoint: \"http://localhost\"" +
         (sender.empty() ? "" : ", auth: {authenticator: " + sender + "}") + "}}\n" +
         "service: {extensions: [" + listed +
         "], pipelines: {traces: {receivers: [otlp], exporters: [otlp_http]}}}\n" +
         "extensions:\n" + extensions;
}

TEST(ConfigTlsTest, AuthenticatorsAreFoundByTheirName) {
  const Config config = load_good(
      with_auth("basicauth/in, bearertokenauth",
                "  basicauth/in: {htpasswd: {file: /etc/htpasswd, inline: \"a:b\\nc:d\"}}\n"
                "  bearertokenauth: {scheme: Token, header: X-Key, token: t}\n",
                "basicauth/in", "bearertokenauth"));
  const OtlpReceiverConfig& receiver = config.receivers.at(0);
  ASSERT_TRUE(receiver.http->auth && receiver.grpc->auth && config.exporters.at(0).auth);
  EXPECT_EQ(receiver.http->auth->kind, Kind::basic_server);
  EXPECT_EQ(receiver.http->auth->name, "basicauth/in");
  EXPECT_EQ(receiver.grpc->auth->htpasswd_file, "/etc/htpasswd");
  EXPECT_EQ(receiver.grpc->auth->htpasswd_inline, "a:b\nc:d");
  const AuthenticatorConfig& sender = *config.exporters.at(0).auth;
  EXPECT_EQ(sender.kind, Kind::bearer);
  EXPECT_EQ(sender.scheme, "Token");
  EXPECT_EQ(sender.header, "X-Key");
  EXPECT_EQ(sender.tokens, std::vector<std::string>{"t"});
}

TEST(ConfigTlsTest, FaultsOfAuthenticatorsAreNamed) {
  const std::string r = "receivers::otlp::protocols::http::auth::authenticator: ";
  const std::string bearer = "  bearertokenauth: {token: secret}\n";
  const auto first = [](const std::string& text) {
    const Lines errors = errors_of(text);
    return errors.empty() ? "" : errors.front();
  };
  EXPECT_EQ(first(with_auth("bearertokenauth", bearer, "bearer")),
            "yaml:1:61: " + r +
                "references authenticator \"bearer\" which is not configured (there is: "
                "bearertokenauth)");
  EXPECT_EQ(first(with_auth("", bearer, "bearertokenauth")),
            "yaml:1:61: " + r + "\"bearertokenauth\" is not in service::extensions");
  EXPECT_EQ(first(with_auth("pprof", "  pprof:\n", "pprof")),
            "yaml:1:61: " + r + "\"pprof\" is no authenticator");
  const std::string client = "  basicauth: {client_auth: {username: u, password: secret}}\n";
  EXPECT_EQ(first(with_auth("basicauth", client, "basicauth")),
            "yaml:1:61: " + r +
                "\"basicauth\" has client_auth, which is for exporters (htpasswd is for "
                "receivers)");
  for (const auto& [extension, error] : std::vector<std::pair<std::string, std::string>>{
           {"basicauth: {}", "basicauth: has no credentials (one of htpasswd, client_auth)"},
           {"basicauth: {htpasswd: {}}", "basicauth::htpasswd: names nobody (file or inline)"},
           {"bearertokenauth: {}",
            "bearertokenauth: has no token (one of token, tokens, filename)"},
           {"bearertokenauth: {token: secret, tokens: [secret]}",
            "bearertokenauth::token: cannot stand beside tokens: one of the two"},
           {"basicauth: {client_auth: {aws_secrets_manager: {secret_arn: secret}}}",
            "basicauth::client_auth::aws_secrets_manager: is not supported in this version: "
            "supported: username, username_file, password, password_file"}}) {
    const Lines errors = errors_of(minimal_config() + "extensions: {" + extension + "}\n");
    ASSERT_EQ(errors.size(), 1U) << extension;
    EXPECT_TRUE(errors[0].ends_with("extensions::" + error)) << errors[0];
    EXPECT_EQ(errors[0].find("secret,"), std::string::npos);
  }
}

TEST(ConfigTlsTest, UnixSocketsArePaths) {
  const Config config =
      load_good(receiver_config("      http: {transport: unix, endpoint: /run/otlp-http.sock}\n"
                                "      grpc: {endpoint: /run/otlp-grpc.sock, transport: unix}\n"));
  EXPECT_EQ(config.receivers.at(0).http->endpoint, "unix:/run/otlp-http.sock");
  EXPECT_EQ(config.receivers.at(0).grpc->endpoint, "unix:/run/otlp-grpc.sock");
  expect_error(
      receiver_config("      http: {transport: unix, endpoint: /run/otlp.sock}\n"
                      "      grpc: {endpoint: /run/otlp.sock, transport: unix}\n"),
      "yaml:7:24: receivers::otlp::protocols::grpc: listens on \"unix:/run/otlp.sock\", as "
      "does receivers::otlp::protocols::http");
}

TEST(ConfigTlsTest, NothingListensEverywhereUnlessItIsWritten) {
  const Config config = load_good(
      "receivers: {otlp: {protocols: {grpc: , http: }}}\nexporters: {nop: }\n"
      "extensions: {health_check: }\n"
      "service: {extensions: [health_check], pipelines: {traces: {receivers: [otlp], exporters: "
      "[nop]}}}\n");
  for (const std::string& endpoint :
       {config.receivers.at(0).grpc->endpoint, config.receivers.at(0).http->endpoint,
        config.health->endpoint, config.telemetry.metrics_pull.at(0).endpoint}) {
    EXPECT_TRUE(endpoint.starts_with("localhost:")) << endpoint;
  }
}

TEST(ConfigTlsTest, SecretsAreNotPrinted) {
  const std::string text =
      with_auth("basicauth, bearertokenauth, basicauth/out",
                "  basicauth: {htpasswd: {inline: \"alice:SECRET\"}}\n"
                "  basicauth/out: {client_auth: {username: u, password: SECRET}}\n"
                "  bearertokenauth: {token: SECRET, header: H}\n"
                "  bearertokenauth/more: {tokens: [SECRET, SECRET]}\n",
                "basicauth", "basicauth/out");
  const std::string tls = exporter(
      "tls: {key_pem: SECRET, cert_pem: SECRET, ca_pem: SECRET}\n"
      "    proxy_url: http://u:SECRET@proxy");
  for (const std::string& one : {text, tls}) {
    const auto printed = print_config(sources_of(one));
    ASSERT_TRUE(std::holds_alternative<std::string>(printed));
    EXPECT_EQ(std::get<std::string>(printed).find("SECRET"), std::string::npos)
        << std::get<std::string>(printed);
    EXPECT_NE(std::get<std::string>(printed).find("[REDACTED]"), std::string::npos);
  }
}

}  // namespace
}  // namespace holdfast
