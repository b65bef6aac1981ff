// exporters: otlp_grpc (alias otlp): what its keys come to, and what is refused with which words.
#include <gtest/gtest.h>

#include "agent/config.h"
#include "tests/support/config_text.h"

namespace holdfast {
namespace {

using Headers = std::vector<std::pair<std::string, std::string>>;

/// One exporter in a traces pipeline. `exporter` is its block, indented by four; it starts in line
/// 5.
std::string grpc_config(const std::string& exporter, const std::string& name = "otlp_grpc") {
  return "receivers: {otlp: {protocols: {http: }}}\n"
         "service: {pipelines: {traces: {receivers: [otlp], exporters: [" +
         name + "]}}}\nexporters:\n  " + name + ":\n" + exporter;
}

Config load_exporter(const std::string& exporter) {
  Config config = load_good(grpc_config(exporter));
  if (config.exporters.empty()) config.exporters.emplace_back();  // the failure has been reported
  return config;
}

OtlpGrpcOptions options_of(const std::string& exporter) {
  return load_exporter(exporter).exporters[0].otlp_grpc;
}

TEST(ConfigExporterGrpcTest, DefaultsAreTheCollectors) {
  for (const char* name : {"otlp_grpc", "otlp", "otlp/backup"}) {
    const Config config = load_good(grpc_config("    endpoint: up.example:4317\n", name));
    ASSERT_EQ(config.exporters.size(), 1U);
    EXPECT_EQ(config.warnings, Lines{});
    const ExporterConfig& exporter = config.exporters[0];
    EXPECT_EQ(exporter.name, name);
    EXPECT_EQ(exporter.kind, ExporterConfig::Kind::otlp_grpc);
    EXPECT_EQ(exporter.retry.initial_interval, milliseconds(5'000));
    EXPECT_FALSE(exporter.batch);
    const OtlpGrpcOptions& options = exporter.otlp_grpc;
    EXPECT_EQ(options.target, "dns:///up.example:4317");
    EXPECT_EQ(options.compression, ContentCoding::gzip);
    EXPECT_EQ(options.timeout, milliseconds(5'000));
    EXPECT_TRUE(options.tls.enabled);
    EXPECT_FALSE(options.tls.insecure_skip_verify);
    EXPECT_FALSE(options.keepalive);
    EXPECT_FALSE(options.wait_for_ready);
    EXPECT_EQ(options.balancer_name, "");
  }
}

TEST(ConfigExporterGrpcTest, AuthenticatorsAreFoundByTheirName) {
  ConfigSources sources =
      sources_of(grpc_config("    endpoint: up.example:4317\n"
                             "    auth: {authenticator: bearertokenauth}\n"
                             "extensions: {bearertokenauth: {token: t}}\n"));
  sources.sets = {{"service.extensions", "[bearertokenauth]"}};
  const Config config = load_good(sources);
  ASSERT_EQ(config.exporters.size(), 1U);
  ASSERT_TRUE(config.exporters[0].auth);
  EXPECT_EQ(config.exporters[0].auth->kind, AuthenticatorConfig::Kind::bearer);
  EXPECT_EQ(config.exporters[0].auth->tokens, Lines{"t"});
}

TEST(ConfigExporterGrpcTest, AllKeysAreTaken) {
  const Config config = load_exporter(
      "    endpoint: up:4317\n"
      "    compression: none\n"
      "    timeout: 3s\n"
      "    headers: {X-Tenant: t1, x-raw-bin: \"\\u00e9\"}\n"
      "    authority: up.example\n"
      "    user_agent: edge/1\n"
      "    wait_for_ready: true\n"
      "    balancer_name: round_robin\n"
      "    keepalive: {time: 30s, timeout: 5s, permit_without_stream: true}\n"
      "    tls:\n"
      "      ca_pem: ca\n"
      "      cert_pem: cert\n"
      "      key_pem: key\n"
      "      server_name_override: name\n"
      "      insecure_skip_verify: true\n"
      "      include_system_ca_certs_pool: true\n"
      "      min_version: \"1.2\"\n"
      "      max_version: \"1.3\"\n"
      "      reload_interval: 1h\n"
      "    retry_on_failure: {initial_interval: 1s}\n"
      "    sending_queue: {batch: {min_size: 100}}\n");
  EXPECT_EQ(config.warnings, Lines{});
  EXPECT_EQ(config.exporters[0].retry.initial_interval, milliseconds(1'000));
  EXPECT_EQ(config.exporters[0].batch.value_or(BatchConfig{}).items_target, 100U);
  const OtlpGrpcOptions& options = config.exporters[0].otlp_grpc;
  EXPECT_EQ(options.compression, ContentCoding::identity);
  EXPECT_EQ(options.timeout, milliseconds(3'000));
  EXPECT_EQ(options.headers, (Headers{{"x-tenant", "t1"}, {"x-raw-bin", "\xC3\xA9"}}));
  EXPECT_EQ(options.authority, "up.example");
  EXPECT_EQ(options.user_agent, "edge/1");
  EXPECT_TRUE(options.wait_for_ready);
  EXPECT_EQ(options.balancer_name, "round_robin");
  ASSERT_TRUE(options.keepalive);
  EXPECT_EQ(options.keepalive->time, milliseconds(30'000));
  EXPECT_EQ(options.keepalive->timeout, milliseconds(5'000));
  EXPECT_TRUE(options.keepalive->permit_without_stream);
  EXPECT_EQ(options.tls.ca_pem, "ca");
  EXPECT_EQ(options.tls.cert_pem, "cert");
  EXPECT_EQ(options.tls.key_pem, "key");
  EXPECT_EQ(options.tls.server_name, "name");
  EXPECT_TRUE(options.tls.insecure_skip_verify);
  EXPECT_TRUE(options.tls.with_system_roots);
}

TEST(ConfigExporterGrpcTest, EndpointsOfAllForms) {
  const auto target = [](const std::string& endpoint) {
    return options_of("    endpoint: \"" + endpoint + "\"\n").target;
  };
  EXPECT_EQ(target("up:4317"), "dns:///up:4317");
  EXPECT_EQ(target("https://up:4317"), "dns:///up:4317");
  EXPECT_EQ(target("http://up:4317/"), "dns:///up:4317");
  EXPECT_EQ(target("dns:///up:4317"), "dns:///up:4317");
  EXPECT_EQ(target("dns://up:4317"), "dns:///up:4317");
  EXPECT_EQ(target("127.0.0.1:4317"), "dns:///127.0.0.1:4317");
  EXPECT_EQ(target("[::1]:4317"), "[::1]:4317");
  EXPECT_EQ(target("unix:///run/otlp.sock"), "unix:///run/otlp.sock");
}

TEST(ConfigExporterGrpcTest, TlsUnlessInsecureAsInTheCollector) {
  const auto tls = [](const std::string& endpoint, const std::string& keys) {
    return options_of("    endpoint: " + endpoint + "\n    tls: {" + keys + "}\n").tls.enabled;
  };
  EXPECT_TRUE(tls("up:4317", ""));
  EXPECT_TRUE(tls("http://up:4317", ""));
  EXPECT_TRUE(tls("unix:///run/s", ""));
  EXPECT_FALSE(tls("up:4317", "insecure: true"));
  EXPECT_FALSE(tls("http://up:4317", "insecure: true"));
  EXPECT_FALSE(tls("unix:///run/s", "insecure: true"));
  EXPECT_TRUE(tls("https://up:4317", "insecure: true"));
  EXPECT_TRUE(tls("up:4317", "insecure: true, ca_pem: x"));
}

TEST(ConfigExporterGrpcTest, WhatIsTakenOtherwiseIsTold) {
  const auto warnings = [](const std::string& keys) {
    return load_exporter("    endpoint: up:4317\n" + keys).warnings;
  };
  const std::string at = "exporters::otlp_grpc::";
  EXPECT_EQ(warnings("    compression: zstd\n"),
            Lines{"yaml:6:18: " + at +
                  "compression: is sent as gzip: the gRPC library here does not speak zstd"});
  EXPECT_EQ(warnings("    compression: snappy\n").size(), 1U);
  EXPECT_EQ(
      warnings("    read_buffer_size: 1\n"),
      Lines{"yaml:6:23: " + at + "read_buffer_size: has no effect: gRPC sizes its own buffers"});
  EXPECT_EQ(warnings("    write_buffer_size: 1\n").size(), 1U);
  EXPECT_EQ(warnings("    keepalive: {time: 1s}\n"),
            Lines{"yaml:6:16: " + at + "keepalive: time is 10s, the least that servers allow"});
  EXPECT_EQ(warnings("    tls: {insecure: true, ca_pem: x}\n"),
            Lines{"yaml:6:5: " + at + "tls::insecure: has no effect beside an authority to trust"});
  EXPECT_EQ(warnings("    tls: {ca_file: /nowhere/ca.pem}\n"),
            Lines{"yaml:6:20: " + at +
                  "tls::ca_file: \"/nowhere/ca.pem\" cannot be read now: No such file or "
                  "directory"});
  EXPECT_EQ(warnings("    tls: {min_version: \"1.0\"}\n").size(), 1U);
  EXPECT_EQ(load_exporter("    endpoint: http://up:4317\n").warnings,
            Lines{"yaml:5:5: " + at +
                  "endpoint: uses TLS although it begins with http://: tls::insecure decides"});
  EXPECT_EQ(load_exporter("    endpoint: https://up:4317\n    tls: {insecure: true}\n").warnings,
            Lines{"yaml:6:5: " + at + "tls::insecure: has no effect beside https://"});
}

TEST(ConfigExporterGrpcTest, KeepaliveWithoutValuesIsGrpcGos) {
  const auto keepalive =
      options_of("    endpoint: up:4317\n    keepalive: {timeout: 0s}\n").keepalive;
  ASSERT_TRUE(keepalive);
  EXPECT_EQ(keepalive->time, milliseconds(10'000));
  EXPECT_EQ(keepalive->timeout, milliseconds(20'000));
}

TEST(ConfigExporterGrpcTest, FaultsAreNamed) {
  const std::string at = "exporters::otlp_grpc::";
  const auto expect_fault = [&](const std::string& block, const std::string& place,
                                const std::string& error) {
    EXPECT_EQ(errors_of(grpc_config(block)), (Lines{"yaml:" + place + ": " + at + error})) << block;
  };
  const auto expect_key_fault = [&](const std::string& keys, const std::string& place,
                                    const std::string& error) {
    expect_fault("    endpoint: up:4317\n    " + keys + "\n", place, error);
  };
  expect_fault("    timeout: 1s\n", "5:5",
               "endpoint: is missing: where to send to (as in endpoint: host:4317)");
  expect_fault("    endpoint: \"\"\n", "5:15",
               "endpoint: is missing: where to send to (as in endpoint: host:4317)");
  expect_fault("    endpoint: up\n", "5:15",
               "endpoint: \"up\" is not host:port (the port is missing, as in \"localhost:4317\")");
  expect_fault("    endpoint: :4317\n", "5:15", "endpoint: \":4317\" names no host");
  expect_fault("    endpoint: unix://\n", "5:15",
               "endpoint: names no socket (as in \"unix:///run/otlp.sock\")");
  expect_key_fault("compression: lz4", "6:18",
                   "compression: \"lz4\" is not one of gzip, none, zstd, snappy");
  expect_key_fault("balancer_name: grpclb", "6:20",
                   "balancer_name: \"grpclb\" is not one of round_robin, pick_first");
  expect_key_fault(
      "headers: {Grpc-Timeout: 1n}", "6:29",
      "headers::Grpc-Timeout: is a header that gRPC sets itself, or that it cannot send");
  expect_key_fault("headers: {x: \"\\u00e9\"}", "6:18",
                   "headers::x: the value of a gRPC header must be printable ASCII");
  expect_key_fault("auth: {authenticator: x}", "6:27",
                   "auth::authenticator: references authenticator \"x\" which is not configured");
  expect_key_fault("middlewares: [x]", "6:18",
                   "middlewares: is not supported in this version: there are no extensions that "
                   "are middlewares");
  expect_key_fault("tls: {min_version: \"1.3\"}", "6:24",
                   "tls::min_version: \"1.3\" is not supported: the gRPC library takes 1.2 as well "
                   "(otlp_http can be held to 1.3)");
  expect_key_fault(
      "tls: {max_version: \"1.2\"}", "6:24",
      "tls::max_version: \"1.2\" is not supported: the gRPC library takes 1.3 as well");
  expect_key_fault("tls: {cipher_suites: [x]}", "6:26",
                   "tls::cipher_suites: is not supported in this version: gRPC chooses");
  expect_key_fault("tls: {ca_file: /dev/null, ca_pem: x}", "6:39",
                   "tls::ca_pem: stands beside ca_file: one of them");
  expect_key_fault("tls: {cert_pem: x}", "6:10", "tls: has a certificate without its key");
  expect_key_fault("tls: {key_pem: x}", "6:10", "tls: has a key without its certificate");
  expect_key_fault("endpiont: x", "6:5", "endpiont: unknown key (did you mean \"endpoint\"?)");
}

TEST(ConfigExporterGrpcTest, SecretsAreNotPrinted) {
  const auto printed = print_config(sources_of(grpc_config(
      "    endpoint: up:4317\n    headers: {x-key: hidden1}\n    tls: {key_pem: hidden2}\n")));
  ASSERT_TRUE(std::holds_alternative<std::string>(printed));
  EXPECT_EQ(std::get<std::string>(printed).find("hidden"), std::string::npos);
}

}  // namespace
}  // namespace holdfast
