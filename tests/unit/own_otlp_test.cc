// The agent's own telemetry as OTLP, read back with the generated messages.
#include "agent/own_otlp.h"

#include <gtest/gtest.h>

#include "agent/health.h"
#include "proto/logs_service.pb.h"
#include "proto/metrics_service.pb.h"
#include "proto/trace_service.pb.h"

namespace holdfast {
namespace {

using opentelemetry::proto::collector::metrics::v1::ExportMetricsServiceRequest;
using opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;
using opentelemetry::proto::metrics::v1::AGGREGATION_TEMPORALITY_CUMULATIVE;

const Attributes kResource{{"service.name", "edge"},
                           {"bool", true},
                           {"int", std::int64_t{-7}},
                           {"double", 0.5},
                           {"empty", ""}};

TEST(OwnOtlpTest, MetricsAreSumsAndGaugesByScope) {
  MetricFamilies families;
  families.scope("one");
  families.counter({"sent", "What was sent.", "{span}"});
  families.sample({{"exporter", "a"}}, std::uint64_t{18'000'000'000'000'000'000U});
  families.sample({{"exporter", "b\xFF"}}, std::uint64_t{0});
  families.scope("two");
  families.gauge({"share", "Of all."});
  families.sample({}, 0.25);
  families.gauge({"empty", "Has none."});

  ExportMetricsServiceRequest request;
  ASSERT_TRUE(request.ParseFromString(
      encode_own_metrics(families.families(), kResource, {.start_unix_ns = 5, .unix_ns = 9})));
  ASSERT_EQ(request.resource_metrics_size(), 1);
  const auto& group = request.resource_metrics(0);
  ASSERT_EQ(group.resource().attributes_size(), 5);
  EXPECT_EQ(group.resource().attributes(0).key(), "service.name");
  EXPECT_EQ(group.resource().attributes(0).value().string_value(), "edge");
  EXPECT_TRUE(group.resource().attributes(1).value().bool_value());
  EXPECT_EQ(group.resource().attributes(2).value().int_value(), -7);
  EXPECT_EQ(group.resource().attributes(3).value().double_value(), 0.5);
  EXPECT_TRUE(group.resource().attributes(4).value().has_string_value());

  ASSERT_EQ(group.scope_metrics_size(), 2);
  EXPECT_EQ(group.scope_metrics(0).scope().name(), "one");
  const auto& sent = group.scope_metrics(0).metrics(0);
  EXPECT_EQ(sent.name(), "sent");
  EXPECT_EQ(sent.description(), "What was sent.");
  EXPECT_EQ(sent.unit(), "{span}");
  EXPECT_TRUE(sent.sum().is_monotonic());
  EXPECT_EQ(sent.sum().aggregation_temporality(), AGGREGATION_TEMPORALITY_CUMULATIVE);
  ASSERT_EQ(sent.sum().data_points_size(), 2);
  const auto& point = sent.sum().data_points(0);
  EXPECT_EQ(static_cast<std::uint64_t>(point.as_int()), 18'000'000'000'000'000'000U);
  EXPECT_EQ(point.start_time_unix_nano(), 5U);
  EXPECT_EQ(point.time_unix_nano(), 9U);
  EXPECT_EQ(point.attributes(0).key(), "exporter");
  EXPECT_EQ(sent.sum().data_points(1).attributes(0).value().string_value(), "b\xEF\xBF\xBD");

  ASSERT_EQ(group.scope_metrics(1).metrics_size(), 1);
  EXPECT_EQ(group.scope_metrics(1).metrics(0).gauge().data_points(0).as_double(), 0.25);
}

TEST(OwnOtlpTest, RecordsOfAnyLengthAreOneRequest) {
  std::vector<std::string> records;
  for (const std::size_t length : {0U, 100U, 200U, 20'000U, 3'000'000U}) {
    opentelemetry::proto::trace::v1::Span span;
    span.set_name(std::string(length, 'n'));
    records.push_back(span.SerializeAsString());
  }
  ExportTraceServiceRequest request;
  ASSERT_TRUE(request.ParseFromString(encode_own_records(records, kResource, "holdfast")));
  ASSERT_EQ(request.resource_spans_size(), 1);
  EXPECT_EQ(request.resource_spans(0).resource().attributes_size(), 5);
  const auto& scope = request.resource_spans(0).scope_spans(0);
  EXPECT_EQ(scope.scope().name(), "holdfast");
  ASSERT_EQ(scope.spans_size(), 5);
  EXPECT_EQ(scope.spans(4).name().size(), 3'000'000U);
}

TEST(OwnOtlpTest, ViewsDropByNameAndScope) {
  const auto shown = [](const std::vector<DroppedMetrics>& views) {
    MetricFamilies families;
    for (const char* scope : {"s/one", "s/two"}) {
      families.scope(scope);
      for (const char* name : {"sent_spans", "sent_logs"}) {
        families.gauge({name, "."});
        families.sample({}, 1.0);
      }
    }
    families.drop(views);
    std::string names;
    for (const MetricFamily& family : families.families()) {
      names += std::string(family.scope) + ":" + family.name + " ";
    }
    return names;
  };
  EXPECT_EQ(shown({{"sent_*", "s/one"}}), "s/two:sent_spans s/two:sent_logs ");
  EXPECT_EQ(shown({{"*_logs", ""}}), "s/one:sent_spans s/two:sent_spans ");
  EXPECT_EQ(shown({{"", "s/?wo"}, {"sent_logs", "s/one"}}), "s/one:sent_spans ");
}

}  // namespace
}  // namespace holdfast
