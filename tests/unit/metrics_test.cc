#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <thread>

#include "agent/metrics_families.h"
#include "agent/metrics_prometheus.h"
#include "agent/process_info.h"
#include "tests/support/exposition.h"
#include "tests/support/telemetry_fixture.h"

namespace holdfast {
namespace {

using Labels = Exposition::Labels;

class MetricsTest : public TelemetryFixture {
 protected:
  Exposition scrape() const { return Exposition(render_metrics(telemetry)); }

  /// accepted + recovered less delivered + stored + dropped + quarantined.
  static double unaccounted(const Exposition& shown, const std::string& signal,
                            const std::string& exporter) {
    const Labels both{{"signal", signal}, {"exporter", exporter}};
    return shown.sum("holdfast_accepted_items_total", {{"signal", signal}}) +
           shown.sum("holdfast_buffer_recovered_items", both) -
           shown.sum("holdfast_delivered_items_total", both) -
           shown.sum("holdfast_buffer_stored_items", both) -
           shown.sum("holdfast_dropped_items_total", both) -
           shown.sum("holdfast_quarantined_items_total", both);
  }
};

TEST_F(MetricsTest, CollectorNamesCarryTheirLabelsAndValues) {
  open_log(Signal::traces, {"otlp_http"});
  open_log(Signal::logs, {"otlp_http"});
  ReceiverStats& grpc = add_receiver("otlp", "grpc");
  grpc.signals[index_of(Signal::traces)].accepted = 512;
  grpc.signals[index_of(Signal::traces)].refused = 7;
  grpc.signals[index_of(Signal::logs)].failed = 3;
  ExporterStats& exporter = add_exporter("otlp_http");
  exporter.signals[index_of(Signal::traces)].sent = 500;
  exporter.signals[index_of(Signal::traces)].send_failed = 12;
  exporter.signals[index_of(Signal::logs)].dropped = 2;

  const Exposition shown = scrape();
  const Labels from{{"receiver", "otlp"}, {"transport", "grpc"}};
  EXPECT_EQ(shown.value("otelcol_receiver_accepted_spans", from), 512);
  EXPECT_EQ(shown.value("otelcol_receiver_refused_spans", from), 7);
  EXPECT_EQ(shown.value("otelcol_receiver_failed_spans", from), 0);
  EXPECT_EQ(shown.value("otelcol_receiver_failed_log_records", from), 3);
  const Labels to{{"exporter", "otlp_http"}};
  EXPECT_EQ(shown.value("otelcol_exporter_sent_spans", to), 500);
  EXPECT_EQ(shown.value("otelcol_exporter_send_failed_spans", to), 12);
  EXPECT_EQ(shown.value("otelcol_exporter_enqueue_failed_spans", to), 0);
  EXPECT_EQ(shown.value("otelcol_exporter_enqueue_failed_log_records", to), 2);
  EXPECT_EQ(shown.value("otelcol_exporter_queue_capacity",
                        {{"exporter", "otlp_http"}, {"data_type", "traces"}}),
            512 << 20);
  EXPECT_EQ(shown.type("otelcol_receiver_accepted_spans"), "counter");
  EXPECT_EQ(shown.type("otelcol_exporter_queue_size"), "gauge");
}

TEST_F(MetricsTest, SignalWithoutAPipelineHasNoSamples) {
  open_log(Signal::traces, {"otlp_http"});
  add_receiver("otlp", "http");
  add_exporter("otlp_http");
  const Exposition shown = scrape();
  EXPECT_EQ(shown.type("otelcol_receiver_accepted_spans"), "counter");
  EXPECT_EQ(shown.type("otelcol_receiver_accepted_metric_points"), "");
  EXPECT_EQ(shown.type("otelcol_exporter_sent_log_records"), "");
}

TEST_F(MetricsTest, AgentWithoutAnyPipelineIsValid) {
  const Exposition shown = scrape();
  EXPECT_EQ(shown.value("holdfast_ready"), 1);
  EXPECT_EQ(shown.value("holdfast_build_info", {{"version", HOLDFAST_VERSION}}), 1);
}

TEST_F(MetricsTest, OurCountersEndInTotalAndOurGaugesDoNot) {
  open_log(Signal::traces, {"otlp_http"});
  add_receiver("otlp", "http");
  add_exporter("otlp_http");
  const Exposition shown = scrape();
  int ours = 0;
  for (const auto& [name, type] : shown.types()) {
    if (!name.starts_with("holdfast_")) continue;
    ++ours;
    EXPECT_EQ(name.ends_with("_total"), type == "counter") << name;
  }
  EXPECT_GT(ours, 30);
}

TEST_F(MetricsTest, ImportDirectoriesAreToldApart) {
  add_import("/srv/spans", Signal::traces).imported_files = 3;
  ImportDirectoryStats& logs = add_import("/srv/logs", Signal::logs);
  logs.pending_files = 2;
  logs.pending_bytes = 999;
  logs.quarantined = 1;
  const Exposition shown = scrape();
  const auto of_logs = [&](const std::string& name) {
    return shown.value(name, {{"directory", "/srv/logs"}, {"signal", "logs"}});
  };
  EXPECT_EQ(shown.value("holdfast_import_files_total",
                        {{"directory", "/srv/spans"}, {"signal", "traces"}}),
            3);
  EXPECT_EQ(of_logs("holdfast_import_files_total"), 0);
  EXPECT_EQ(of_logs("holdfast_import_pending_files"), 2);
  EXPECT_EQ(of_logs("holdfast_import_pending_bytes"), 999);
  EXPECT_EQ(of_logs("holdfast_import_quarantined_total"), 1);
}

TEST_F(MetricsTest, OperatorsReadOfEachOfOurMetrics) {
  open_log(Signal::traces, {"otlp_http"});
  add_receiver("otlp", "http");
  add_exporter("otlp_http");
  add_import("/srv/spans", Signal::traces);
  std::ifstream file(HOLDFAST_SOURCE_DIR "/docs/operations.md");
  const std::string document{std::istreambuf_iterator<char>(file), {}};
  const Exposition shown = scrape();
  std::set<std::string> told;
  const std::regex row(R"(\n\| `(holdfast_[a-z0-9_]+)` \| ([a-z]+) \|)");
  for (std::sregex_iterator at(document.begin(), document.end(), row), end; at != end; ++at) {
    EXPECT_EQ(shown.type((*at)[1]), (*at)[2].str()) << (*at)[1];
    told.insert((*at)[1]);
  }
  for (const auto& [name, type] : shown.types()) {
    EXPECT_TRUE(told.contains(name) || !name.starts_with("holdfast_")) << name << " is not told";
  }
}

TEST_F(MetricsTest, QueueSizeIsBytesOnDiskWhileSomethingIsPending) {
  ExporterStats& exporter = add_exporter("up");
  open_log(Signal::metrics, {"up"});
  const Labels queue{{"exporter", "up"}, {"data_type", "metrics"}};
  EXPECT_EQ(scrape().value("otelcol_exporter_queue_size", queue), 0);
  ASSERT_EQ(append(Signal::metrics, std::string(10'000, 'm'), 40), AppendOutcome::stored);
  EXPECT_GE(scrape().value("otelcol_exporter_queue_size", queue), 10'000);
  deliver_all(Signal::metrics, exporter);
  EXPECT_EQ(scrape().value("otelcol_exporter_queue_size", queue), 0);
}

TEST_F(MetricsTest, ItemsAddUpForEachExporterThroughDeliveryExpiryAndRestart) {
  ExporterStats& fast = add_exporter("fast");
  ExporterStats& slow = add_exporter("slow");
  open_log(Signal::traces, {"fast", "slow"});
  ASSERT_EQ(append(Signal::traces, "a", 100), AppendOutcome::stored);
  deliver_all(Signal::traces, fast);
  ASSERT_EQ(append(Signal::traces, "b", 23), AppendOutcome::stored);
  Exposition shown = scrape();
  EXPECT_EQ(shown.value("holdfast_accepted_items_total", {{"signal", "traces"}}), 123);
  EXPECT_EQ(shown.sum("holdfast_delivered_items_total", {{"exporter", "fast"}}), 100);
  EXPECT_EQ(shown.sum("holdfast_buffer_stored_items", {{"exporter", "fast"}}), 23);
  EXPECT_EQ(shown.sum("holdfast_buffer_stored_items", {{"exporter", "slow"}}), 123);
  EXPECT_EQ(unaccounted(shown, "traces", "fast"), 0);
  EXPECT_EQ(unaccounted(shown, "traces", "slow"), 0);

  clock.advance_ms(19LL * 3600 * 1000);
  logs[index_of(Signal::traces)]->maintain();
  shown = scrape();
  const Labels expired{{"signal", "traces"}, {"exporter", "slow"}, {"reason", "expired"}};
  EXPECT_EQ(shown.value("holdfast_dropped_items_total", expired), 123);
  EXPECT_GT(shown.value("holdfast_dropped_bytes_total", expired), 0);
  EXPECT_EQ(shown.sum("holdfast_dropped_items_total", {{"exporter", "fast"}}), 23);
  EXPECT_EQ(shown.value("otelcol_exporter_enqueue_failed_spans", {{"exporter", "slow"}}), 123);
  EXPECT_EQ(unaccounted(shown, "traces", "fast"), 0);
  EXPECT_EQ(unaccounted(shown, "traces", "slow"), 0);

  ASSERT_EQ(append(Signal::traces, "c", 5), AppendOutcome::stored);
  logs[index_of(Signal::traces)]->close();
  for (ExporterStats* exporter : {&fast, &slow}) exporter->signals[0].sent = 0;
  open_log(Signal::traces, {"fast", "slow"});
  slow.signals[index_of(Signal::traces)].quarantined += 5;  // as a drain whose upstream refuses it
  logs[index_of(Signal::traces)]->reader("slow").claim({});
  logs[index_of(Signal::traces)]->reader("slow").acknowledge();
  shown = scrape();
  EXPECT_EQ(shown.sum("holdfast_buffer_recovered_items", {{"exporter", "fast"}}), 5);
  EXPECT_EQ(shown.sum("holdfast_buffer_stored_items", {{"exporter", "slow"}}), 0);
  EXPECT_EQ(unaccounted(shown, "traces", "fast"), 0);
  EXPECT_EQ(unaccounted(shown, "traces", "slow"), 0);
}

TEST_F(MetricsTest, OldestAgeGrowsWithTheClockAndEndsWithDelivery) {
  ExporterStats& exporter = add_exporter("up");
  open_log(Signal::logs, {"up"});
  const Labels flow{{"signal", "logs"}, {"exporter", "up"}};
  EXPECT_EQ(scrape().value("holdfast_buffer_oldest_age_seconds", flow), 0);
  ASSERT_EQ(append(Signal::logs, "a", 1), AppendOutcome::stored);
  clock.advance_ms(90'500);
  EXPECT_EQ(scrape().value("holdfast_buffer_oldest_age_seconds", flow), 90.5);
  clock.jump_ms(-3'600'000);  // a clock that was set back makes no negative age
  EXPECT_EQ(scrape().value("holdfast_buffer_oldest_age_seconds", flow), 0);
  deliver_all(Signal::logs, exporter);
  EXPECT_EQ(scrape().value("holdfast_buffer_oldest_age_seconds", flow), 0);
}

TEST_F(MetricsTest, UptimeIgnoresJumpsOfTheWallClock) {
  clock.advance_ms(12'250);
  clock.jump_ms(50LL * 365 * 24 * 3600 * 1000);
  EXPECT_EQ(scrape().value("otelcol_process_uptime"), 12.25);
}

TEST_F(MetricsTest, UpstreamStateIsOneHot) {
  ExporterStats& exporter = add_exporter("up");
  open_log(Signal::traces, {"up"});
  exporter.signals[0].state = static_cast<std::uint8_t>(UpstreamState::holding);
  exporter.signals[0].last_success_unix_ns = 1'700'000'000'500'000'000;
  const Exposition shown = scrape();
  const Labels flow{{"signal", "traces"}, {"exporter", "up"}};
  EXPECT_EQ(shown.sum("holdfast_exporter_state", flow), 1);
  EXPECT_EQ(shown.sum("holdfast_exporter_state", {{"state", "holding"}}), 1);
  EXPECT_EQ(shown.value("holdfast_exporter_last_success_timestamp_seconds", flow), 1'700'000'000.5);
  EXPECT_EQ(shown.value("holdfast_exporter_next_retry_timestamp_seconds", flow), 0);
  EXPECT_EQ(shown.value("holdfast_degraded", {{"reason", "upstream_refuses"}}), 1);
  EXPECT_EQ(shown.value("holdfast_degraded", {{"reason", "upstream_down"}}), 0);
}

TEST_F(MetricsTest, HostileNamesAreEscapedOrReplaced) {
  const std::string hostile = "otlp_http/a\"b\\c\nd{e=\"f\"} 1\xFF\xC3";
  const std::string readable = "otlp_http/a\"b\\c\nd{e=\"f\"} 1\xEF\xBF\xBD\xEF\xBF\xBD";
  add_exporter(hostile);
  add_receiver("ot\"lp\n", "grpc");
  open_log(Signal::traces, {hostile});
  const Exposition shown = scrape();
  EXPECT_EQ(shown.value("otelcol_exporter_sent_spans", {{"exporter", readable}}), 0);
  EXPECT_EQ(shown.value("otelcol_receiver_accepted_spans",
                        {{"receiver", "ot\"lp\n"}, {"transport", "grpc"}}),
            0);
}

TEST_F(MetricsTest, LargeCountersKeepTheirDigits) {
  ExporterStats& exporter = add_exporter("up");
  open_log(Signal::traces, {"up"});
  exporter.signals[0].sent = 9'007'199'254'740'991;
  EXPECT_NE(render_metrics(telemetry).find(
                "holdfast_delivered_items_total{signal=\"traces\",exporter=\"up\"} "
                "9007199254740991\n"),
            std::string::npos);
}

TEST_F(MetricsTest, ScrapesWhileItemsFlowAreEachConsistentText) {
  ExporterStats& exporter = add_exporter("up");
  open_log(Signal::traces, {"up"});
  std::jthread writer([&](const std::stop_token& stop) {
    for (int i = 0; i < 200 && !stop.stop_requested(); ++i) {
      if (append(Signal::traces, "record", 3) != AppendOutcome::stored) return;
      exporter.signals[0].last_error.set("error " + std::to_string(i));
      deliver_all(Signal::traces, exporter);
    }
  });
  for (int i = 0; i < 20; ++i) {
    EXPECT_LE(scrape().sum("holdfast_delivered_items_total", {}), 600);
  }
  writer.join();
  EXPECT_EQ(unaccounted(scrape(), "traces", "up"), 0);
  EXPECT_EQ(scrape().sum("holdfast_delivered_items_total", {}), 600);
}

TEST(MetricFamiliesTest, FamiliesWithoutSamplesAreLeftOut) {
  MetricFamilies families;
  families.counter({"empty_first_total", "Nothing."});
  families.gauge({"shown", "Something."});
  families.sample({{"a", "b"}}, 0.25);
  families.gauge({"empty_last", "Nothing."});
  EXPECT_EQ(prometheus_text(families.families(), {}, {}),
            "# HELP shown Something.\n# TYPE shown gauge\nshown{a=\"b\"} 0.25\n");
  EXPECT_EQ(prometheus_text(MetricFamilies().families(), {}, {}), "");
}

TEST(ProcessInfoTest, CountsThisProcess) {
  const ProcessInfo before = read_process_info();
  EXPECT_GT(before.rss_bytes, 1'000'000);
  std::vector<char> touched(64 << 20, 'x');
  const ProcessInfo after = read_process_info();
  EXPECT_GT(after.rss_bytes, before.rss_bytes + (32 << 20));
  EXPECT_GE(after.cpu_seconds, before.cpu_seconds);
  EXPECT_GT(after.cpu_seconds, 0);
  EXPECT_EQ(touched.back(), 'x');
}

}  // namespace
}  // namespace holdfast
