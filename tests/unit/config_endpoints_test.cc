// Several endpoints of one exporter: how they are written, and what they become.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "agent/exporter_factory.h"
#include "tests/support/config_text.h"

namespace holdfast {
namespace {

std::string with_exporter(const std::string& name, const std::string& keys) {
  return "receivers: {otlp: {protocols: {http: }}}\n"
         "service: {pipelines: {traces: {receivers: [otlp], exporters: [" +
         name + "]}}}\nexporters:\n  " + name + ":\n" + keys;
}

TEST(ConfigEndpointsTest, OtlpHttpTakesBaseUrls) {
  const Config config = load_good(with_exporter(
      "otlp_http",
      "    endpoints: [\"http://a:4318/\", https://b/otlp]\n    endpoint_strategy: round_robin\n"));
  const ExporterConfig& exporter = config.exporters[0];
  EXPECT_EQ(exporter.endpoints, (Lines{"http://a:4318", "https://b/otlp"}));
  EXPECT_EQ(exporter.endpoint_strategy, EndpointStrategy::round_robin);
  EXPECT_EQ(exporter.otlp_http.urls[0], "http://a:4318/v1/traces");
}

TEST(ConfigEndpointsTest, OtlpGrpcTakesWhatItsEndpointTakes) {
  const Config config = load_good(with_exporter(
      "otlp_grpc", "    endpoints: [a:4317, \"https://b:4317\", unix:///run/o.sock]\n"));
  const ExporterConfig& exporter = config.exporters[0];
  EXPECT_EQ(exporter.endpoints, (Lines{"dns:///a:4317", "dns:///b:4317", "unix:///run/o.sock"}));
  EXPECT_EQ(exporter.endpoint_strategy, EndpointStrategy::failover);
  EXPECT_EQ(exporter.otlp_grpc.target, "dns:///a:4317");
}

TEST(ConfigEndpointsTest, FaultsAreNamed) {
  const std::vector<std::pair<std::string, std::string>> faults{
      {with_exporter("otlp_http", "    endpoints: []\n"),
       "yaml:5:16: exporters::otlp_http::endpoints: must be a list of endpoints"},
      {with_exporter("otlp_http", "    endpoints: [\"ftp://a\"]\n"),
       "yaml:5:17: exporters::otlp_http::endpoints: \"ftp://a\" is not an http:// or https:// URL"},
      {with_exporter("otlp_http", "    endpoints: [\"http://a\", \"http://a/\"]\n"),
       "yaml:5:29: exporters::otlp_http::endpoints: \"http://a\" stands here twice"},
      {with_exporter("otlp_http", "    endpoints: [\"http://a\"]\n    endpoint: http://b\n"),
       "yaml:6:15: exporters::otlp_http::endpoint: stands beside endpoints: one of them"},
      {with_exporter("otlp_http", "    endpoints: [\"http://a\"]\n    logs_endpoint: http://b\n"),
       "yaml:6:20: exporters::otlp_http::logs_endpoint: stands beside endpoints: one of them"},
      {with_exporter("otlp_http", "    endpoint: http://a\n    endpoint_strategy: failover\n"),
       "yaml:6:24: exporters::otlp_http::endpoint_strategy: needs a list of endpoints (as in "
       "endpoints: [a, b])"},
      {with_exporter("otlp_grpc", "    endpoints: [a:1, b:1]\n    endpoint: a:1\n"),
       "yaml:6:15: exporters::otlp_grpc::endpoint: stands beside endpoints: one of them"},
      {with_exporter("otlp_grpc", "    endpoints: [a:1]\n    endpoint_strategy: random\n"),
       "yaml:6:24: exporters::otlp_grpc::endpoint_strategy: \"random\" is not one of failover, "
       "round_robin"},
  };
  for (const auto& [text, error] : faults) EXPECT_EQ(errors_of(text), Lines{error}) << text;
}

TEST(ConfigEndpointsTest, CredentialsInAUrlAreNotShown) {
  ExporterConfig config;
  config.endpoints = {"http://user:a@b@host:1/p@th", "http://plain/@", "dns:///a:4317"};
  ExporterStats stats;
  list_endpoints(config, stats);
  const auto& endpoints = stats.signals[0].endpoints;
  ASSERT_EQ(endpoints.size(), 3U);
  EXPECT_EQ(endpoints[0]->endpoint, "http://host:1/p@th");
  EXPECT_EQ(endpoints[1]->endpoint, "http://plain/@");
  EXPECT_EQ(endpoints[2]->endpoint, "dns:///a:4317");
}

}  // namespace
}  // namespace holdfast
