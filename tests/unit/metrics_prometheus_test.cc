// How the agent's own metrics are named and labelled for Prometheus.
#include "agent/metrics_prometheus.h"

#include <gtest/gtest.h>

#include "agent/own_resource.h"
#include "tests/support/exposition.h"
#include "tests/support/telemetry_fixture.h"

namespace holdfast {
namespace {

using Labels = Exposition::Labels;

class MetricsPrometheusTest : public TelemetryFixture {
 protected:
  MetricsPrometheusTest() {
    open_log(Signal::traces, {"otlp_http"});
    add_receiver("otlp", "grpc").signals[0].accepted = 512;
    ExporterStats& exporter = add_exporter("otlp_http");
    exporter.signals[0].sent = 500;
    exporter.signals[0].in_flight = 1;
    telemetry.resource = {{"service.instance.id", "4711"},
                          {"service.name", "edge"},
                          {"9lives", true},
                          {"deployment..ratio", 0.5}};
  }

  Exposition scrape(const PrometheusStyle& style) const {
    return Exposition(render_metrics(telemetry, style));
  }
};

TEST_F(MetricsPrometheusTest, DefaultsAreTheCollectors) {
  const Exposition shown = scrape({});
  EXPECT_EQ(
      shown.value("otelcol_receiver_accepted_spans", {{"receiver", "otlp"}, {"transport", "grpc"}}),
      512);
  EXPECT_EQ(shown.value("otelcol_exporter_in_flight_requests",
                        {{"exporter", "otlp_http"}, {"data_type", "traces"}}),
            1);
  EXPECT_EQ(shown.type("otelcol_process_uptime"), "counter");
  EXPECT_EQ(shown.type("otelcol_process_cpu_seconds"), "counter");
  EXPECT_EQ(shown.type("otelcol_process_memory_rss"), "gauge");
  EXPECT_EQ(shown.type("otelcol_process_runtime_heap_alloc_bytes"), "gauge");
  EXPECT_EQ(shown.type("otelcol_process_runtime_total_sys_memory_bytes"), "gauge");
  EXPECT_EQ(shown.value("target_info", {{"service_instance_id", "4711"},
                                        {"service_name", "edge"},
                                        {"key_9lives", "true"},
                                        {"deployment_ratio", "0.5"}}),
            1);
}

TEST_F(MetricsPrometheusTest, SuffixesAreUnitAndTotal) {
  const Exposition shown = scrape({.suffixes = true});
  const Labels from{{"receiver", "otlp"}, {"transport", "grpc"}};
  EXPECT_EQ(shown.value("otelcol_receiver_accepted_spans_total", from), 512);
  EXPECT_EQ(shown.value("otelcol_exporter_sent_spans_total", {{"exporter", "otlp_http"}}), 500);
  EXPECT_EQ(shown.type("otelcol_receiver_accepted_spans"), "");
  EXPECT_EQ(shown.type("otelcol_process_uptime_seconds_total"), "counter");
  EXPECT_EQ(shown.type("otelcol_process_cpu_seconds_total"), "counter");
  EXPECT_EQ(shown.type("otelcol_process_memory_rss_bytes"), "gauge");
  EXPECT_EQ(shown.type("otelcol_process_runtime_heap_alloc_bytes"), "gauge");
  EXPECT_EQ(shown.type("otelcol_exporter_queue_size"), "gauge");
}

TEST_F(MetricsPrometheusTest, OurOwnNamesStayAsTheyAre) {
  const auto ours = [](const Exposition& shown) {
    std::map<std::string, std::string> names;
    for (const auto& [name, type] : shown.types()) {
      if (name.starts_with("holdfast_")) names.emplace(name, type);
    }
    return names;
  };
  EXPECT_EQ(ours(scrape({.suffixes = true})), ours(scrape({})));
}

TEST_F(MetricsPrometheusTest, ScopeAndResourceBecomeLabelsWhereAskedFor) {
  const PrometheusStyle style{
      .scope_info = true,
      .target_info = false,
      .resource_labels =
          NameFilter{.included = {"service.name", "service.instance.id"}, .excluded = {}}};
  const Exposition shown = scrape(style);
  EXPECT_EQ(
      shown.value("otelcol_exporter_sent_spans",
                  {{"exporter", "otlp_http"},
                   {"otel_scope_name", "go.opentelemetry.io/collector/exporter/exporterhelper"},
                   {"otel_scope_version", ""},
                   {"otel_scope_schema_url", ""},
                   {"service_name", "edge"},
                   {"service_instance_id", "4711"}}),
      500);
  EXPECT_EQ(shown.sum("holdfast_ready", {{"otel_scope_name", "holdfast"}}), 1);
  EXPECT_EQ(shown.type("target_info"), "");
}

TEST_F(MetricsPrometheusTest, ExcludedResourceAttributesAreNoLabels) {
  const PrometheusStyle style{
      .resource_labels = NameFilter{.included = {}, .excluded = {"9lives", "service.instance.id"}}};
  EXPECT_EQ(scrape(style).value("holdfast_ready",
                                {{"service_name", "edge"}, {"deployment_ratio", "0.5"}}),
            1);
}

TEST_F(MetricsPrometheusTest, LabelOfTheMetricStandsBeforeOneOfTheResource) {
  telemetry.resource = {{"exporter", "mine"}, {"a.b", "first"}, {"a_b", "second"}};
  const Exposition shown = scrape({.resource_labels = NameFilter{}});
  EXPECT_EQ(
      shown.value("otelcol_exporter_sent_spans", {{"exporter", "otlp_http"}, {"a_b", "first"}}),
      500);
}

TEST(OwnResourceTest, ServiceIsNamedUnlessTheConfigurationSaysOtherwise) {
  const Attributes own = own_resource({});
  ASSERT_EQ(own.size(), 3U);
  EXPECT_EQ(own[0].name, "service.instance.id");
  EXPECT_EQ(text_of(own[0].value).size(), 36U);
  EXPECT_EQ(own[1], (Attribute{"service.name", "holdfast"}));
  EXPECT_EQ(own[2], (Attribute{"service.version", HOLDFAST_VERSION}));
  EXPECT_EQ(own_resource({}), own) << "one instance a process";

  const Attributes changed =
      own_resource({.attributes = {{"service.name", "edge"}, {"host.name", "ship"}},
                    .removed = {"service.instance.id", "not.there"}});
  EXPECT_EQ(changed, (Attributes{{"host.name", "ship"},
                                 {"service.name", "edge"},
                                 {"service.version", HOLDFAST_VERSION}}));
}

}  // namespace
}  // namespace holdfast
