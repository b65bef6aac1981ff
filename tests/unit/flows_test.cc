// What a reload compares: which drains and logs two configurations have in common.
#include "agent/flows.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "agent/receivers.h"
#include "tests/support/config_text.h"

namespace holdfast {
namespace {

constexpr const char* kBase = R"(
receivers:
  otlp: {protocols: {grpc: {}, http: {}}}
exporters:
  otlp_http: {endpoint: "http://up:4318"}
  otlp_grpc: {endpoint: "up:4317"}
  nop: {}
processors:
  batch: {timeout: 50ms}
extensions:
  disk_buffer: {directory: /tmp/holdfast-flows-test}
service:
  extensions: [disk_buffer]
  pipelines:
    traces: {receivers: [otlp], processors: [batch], exporters: [otlp_http, otlp_grpc]}
    logs: {receivers: [otlp], exporters: [otlp_http]}
)";

std::vector<FlowConfig> flows_with(const std::string& key, const std::string& value) {
  ConfigSources sources = sources_of(kBase);
  if (!key.empty()) sources.sets.emplace_back(key, value);
  return flows_of(load_good(sources));
}

/// "otlp_http/traces", of those that are not in `others`.
std::vector<std::string> names_not_in(const std::vector<FlowConfig>& flows,
                                      const std::vector<FlowConfig>& others) {
  std::vector<std::string> names;
  for (const FlowConfig& flow : flows) {
    if (std::find(others.begin(), others.end(), flow) != others.end()) continue;
    names.push_back(flow.exporter.name + "/" + std::string(name_of(flow.signal)));
  }
  return names;
}

std::vector<std::string> changed_by(const std::string& key, const std::string& value) {
  return names_not_in(flows_with(key, value), flows_with("", ""));
}

using Names = std::vector<std::string>;

TEST(FlowsTest, EachExporterHasAFlowForEachSignalThatNamesIt) {
  EXPECT_EQ(names_not_in(flows_with("", ""), {}),
            (Names{"otlp_http/traces", "otlp_http/logs", "otlp_grpc/traces"}));
}

TEST(FlowsTest, WhatDoesNotConcernAnExporterLeavesItsFlowsEqual) {
  EXPECT_EQ(changed_by("service.telemetry.logs.level", "debug"), Names{});
  EXPECT_EQ(changed_by("receivers.otlp.protocols.http.max_request_body_size", "1000"), Names{});
  EXPECT_EQ(changed_by("extensions.disk_buffer.max_folder_size", "64MiB"), Names{});
}

TEST(FlowsTest, AKeyOfAnExporterChangesItsOwnFlowsAlone) {
  EXPECT_EQ(changed_by("exporters.otlp_grpc.timeout", "7s"), Names{"otlp_grpc/traces"});
  EXPECT_EQ(changed_by("exporters.otlp_grpc.tls.insecure", "true"), Names{"otlp_grpc/traces"});
  EXPECT_EQ(changed_by("exporters.otlp_http.headers.x", "y"),
            (Names{"otlp_http/traces", "otlp_http/logs"}));
  EXPECT_EQ(changed_by("exporters.otlp_http.retry_on_failure.max_interval", "77s"),
            (Names{"otlp_http/traces", "otlp_http/logs"}));
}

TEST(FlowsTest, TheBatchOfAPipelineChangesItsFlowsAlone) {
  EXPECT_EQ(changed_by("processors.batch.timeout", "2s"),
            (Names{"otlp_http/traces", "otlp_grpc/traces"}));
}

TEST(FlowsTest, AnExporterMoreIsAFlowMore) {
  EXPECT_EQ(changed_by("service.pipelines.logs.exporters", "[otlp_http, nop]"), Names{"nop/logs"});
}

}  // namespace
}  // namespace holdfast
