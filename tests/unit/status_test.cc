#include <simdjson.h>

#include <limits>

#include "agent/json_writer.h"
#include "agent/status_snapshot.h"
#include "agent/time_text.h"
#include "tests/support/telemetry_fixture.h"

namespace holdfast {
namespace {

class StatusTest : public TelemetryFixture {
 protected:
  /// /status, parsed; valid until the next call.
  simdjson::dom::element status() {
    text_ = render_status(telemetry);
    simdjson::dom::element document;
    const auto error = parser_.parse(text_).get(document);
    EXPECT_EQ(error, simdjson::SUCCESS) << simdjson::error_message(error) << "\n" << text_;
    return document;
  }

  static std::string string_at(simdjson::dom::element element, std::string_view pointer) {
    std::string_view value;
    EXPECT_EQ(element.at_pointer(pointer).get(value), simdjson::SUCCESS) << pointer;
    return std::string(value);
  }
  static double number_at(simdjson::dom::element element, std::string_view pointer) {
    double value = std::numeric_limits<double>::quiet_NaN();
    EXPECT_EQ(element.at_pointer(pointer).get(value), simdjson::SUCCESS) << pointer;
    return value;
  }
  static bool is_true_at(simdjson::dom::element element, std::string_view pointer) {
    bool value = false;
    EXPECT_EQ(element.at_pointer(pointer).get(value), simdjson::SUCCESS) << pointer;
    return value;
  }
  static bool is_null_at(simdjson::dom::element element, std::string_view pointer) {
    simdjson::dom::element value;
    return element.at_pointer(pointer).get(value) == simdjson::SUCCESS && value.is_null();
  }
  std::vector<std::string> codes() {
    std::vector<std::string> out;
    for (const auto reason : status()["reasons"]) out.push_back(string_at(reason, "/code"));
    return out;
  }

 private:
  simdjson::dom::parser parser_;
  std::string text_;
};

using Codes = std::vector<std::string>;

TEST_F(StatusTest, HealthyAgentIsOkAndSaysSinceWhen) {
  open_log(Signal::traces, {"otlp_http"});
  add_exporter("otlp_http");
  add_receiver("otlp", "grpc").signals[0].accepted = 9;
  clock.advance_ms(1'500);
  const auto shown = status();
  EXPECT_EQ(string_at(shown, "/health"), "ok");
  EXPECT_EQ(string_at(shown, "/version"), HOLDFAST_VERSION);
  EXPECT_EQ(string_at(shown, "/started_at"), "2027-01-15T08:00:00Z");
  EXPECT_EQ(number_at(shown, "/uptime_seconds"), 1.5);
  EXPECT_TRUE(is_true_at(shown, "/ready"));
  EXPECT_EQ(string_at(shown, "/disk/directory"), directory.path());
  EXPECT_GT(number_at(shown, "/disk/free_bytes"), 0);
  EXPECT_EQ(number_at(shown, "/process/in_flight_bytes_max"), 1'000'000);
  EXPECT_EQ(string_at(shown, "/receivers/0/transport"), "grpc");
  EXPECT_EQ(number_at(shown, "/receivers/0/signals/traces/accepted_items"), 9);
  EXPECT_EQ(number_at(shown, "/signals/traces/capacity_bytes"), 512 << 20);
  EXPECT_EQ(string_at(shown, "/signals/traces/exporters/otlp_http/state"), "idle");
  EXPECT_TRUE(is_null_at(shown, "/signals/traces/exporters/otlp_http/last_success"));
  EXPECT_TRUE(is_null_at(shown, "/signals/traces/exporters/otlp_http/oldest_age_seconds"));
  EXPECT_EQ(shown["signals"]["logs"].error(), simdjson::NO_SUCH_FIELD);
}

TEST_F(StatusTest, ImportDirectoriesShowWhatWaitsInThemAndWhatIsWrong) {
  ImportDirectoryStats& stats = add_import("/srv/spans", Signal::traces);
  stats.pending_files = 2;
  stats.pending_bytes = 999;
  stats.imported_files = 7;
  stats.quarantined = 1;
  stats.last_error.set("cannot be written");
  const auto shown = status();
  EXPECT_EQ(string_at(shown, "/imports/0/directory"), "/srv/spans");
  EXPECT_EQ(string_at(shown, "/imports/0/signal"), "traces");
  EXPECT_EQ(number_at(shown, "/imports/0/pending_files"), 2);
  EXPECT_EQ(number_at(shown, "/imports/0/pending_bytes"), 999);
  EXPECT_EQ(number_at(shown, "/imports/0/imported_files"), 7);
  EXPECT_EQ(number_at(shown, "/imports/0/quarantined"), 1);
  EXPECT_EQ(string_at(shown, "/imports/0/last_error"), "cannot be written");
}

TEST_F(StatusTest, OutageShowsBacklogErrorAndNextRetry) {
  ExporterSignalStats& stats = add_exporter("up").signals[index_of(Signal::metrics)];
  open_log(Signal::metrics, {"up"});
  ASSERT_EQ(append(Signal::metrics, std::string(9'000, 'm'), 77), AppendOutcome::stored);
  clock.advance_ms(2'500);
  stats.state = static_cast<std::uint8_t>(UpstreamState::retrying);
  stats.last_error.set("connection refused");
  stats.last_success_unix_ns = clock.unix_ns() - 60 * kNsPerSecond;
  stats.retry_at_unix_ns = clock.unix_ns() + 4 * kNsPerSecond;
  stats.send_failed = 77;

  const auto shown = status();
  EXPECT_EQ(string_at(shown, "/health"), "degraded");
  EXPECT_EQ(string_at(shown, "/reasons/0/code"), "upstream_down");
  EXPECT_EQ(string_at(shown, "/reasons/0/signal"), "metrics");
  EXPECT_EQ(string_at(shown, "/reasons/0/exporter"), "up");
  EXPECT_EQ(string_at(shown, "/reasons/0/detail"), "connection refused");
  EXPECT_EQ(string_at(shown, "/signals/metrics/exporters/up/last_error"), "connection refused");
  EXPECT_EQ(number_at(shown, "/signals/metrics/exporters/up/pending_items"), 77);
  EXPECT_EQ(number_at(shown, "/signals/metrics/exporters/up/oldest_age_seconds"), 2.5);
  EXPECT_EQ(number_at(shown, "/signals/metrics/exporters/up/next_retry_in_seconds"), 4);
  EXPECT_EQ(number_at(shown, "/signals/metrics/exporters/up/send_failed_items"), 77);
  EXPECT_EQ(string_at(shown, "/signals/metrics/exporters/up/last_success"),
            "2027-01-15T07:59:02.5Z");
  EXPECT_GE(number_at(shown, "/signals/metrics/allocated_bytes"), 9'000);
  EXPECT_EQ(number_at(shown, "/signals/metrics/segments"), 1);

  stats.state = static_cast<std::uint8_t>(UpstreamState::ok);
  stats.last_error.set("");
  EXPECT_EQ(codes(), Codes{});
}

TEST_F(StatusTest, UpstreamThatRefusesTheCredentialsIsTold) {
  add_exporter("up").signals[0].state = static_cast<std::uint8_t>(UpstreamState::holding);
  open_log(Signal::traces, {"up"});
  EXPECT_EQ(codes(), Codes{"upstream_refuses"});
}

TEST_F(StatusTest, DiskAtItsFloorIsToldAndSoIsTheRefusal) {
  add_exporter("up");
  open_log(Signal::traces, {"up"}, 1ULL << 60);
  EXPECT_EQ(codes(), Codes{"disk_nearly_full"});
  ASSERT_EQ(append(Signal::traces, "a", 1), AppendOutcome::full);
  EXPECT_EQ(codes(), (Codes{"disk_nearly_full", "buffer_full"}));
  EXPECT_TRUE(is_true_at(status(), "/disk/nearly_full"));
  EXPECT_TRUE(is_true_at(status(), "/signals/traces/full"));
}

TEST_F(StatusTest, DiskThatCannotBeAskedIsNull) {
  telemetry.buffer_directory = directory.path() + "/missing";
  EXPECT_TRUE(is_null_at(status(), "/disk/free_bytes"));
  EXPECT_EQ(codes(), Codes{});
}

TEST_F(StatusTest, DroppedItemsAreToldWithTheirReason) {
  ExporterStats& exporter = add_exporter("up");
  open_log(Signal::traces, {"up"});
  ASSERT_EQ(append(Signal::traces, "a", 30), AppendOutcome::stored);
  clock.advance_ms(19LL * 3600 * 1000);
  logs[0]->maintain();
  exporter.signals[0].dropped = 4;
  EXPECT_EQ(codes(), Codes{"data_dropped"});
  const auto shown = status();
  EXPECT_EQ(string_at(shown, "/reasons/0/detail"), "34 items since the start");
  EXPECT_EQ(number_at(shown, "/signals/traces/exporters/up/dropped/expired/items"), 30);
  EXPECT_GT(number_at(shown, "/signals/traces/exporters/up/dropped/expired/bytes"), 0);
  EXPECT_EQ(number_at(shown, "/signals/traces/exporters/up/dropped/quarantine_failed/items"), 4);
  EXPECT_EQ(number_at(shown, "/signals/traces/exporters/up/dropped_items"), 34);
}

TEST_F(StatusTest, QuarantineIsTold) {
  add_exporter("up");
  open_log(Signal::traces, {"up"});
  QuarantineEntry entry;
  entry.reader = "up";
  entry.reason = "rejected";
  entry.bytes = "bad";
  ASSERT_TRUE(logs[0]->reader("up").quarantine(entry).ok());
  EXPECT_EQ(codes(), Codes{"data_quarantined"});
  EXPECT_EQ(number_at(status(), "/signals/traces/quarantine/entries"), 1);
}

TEST_F(StatusTest, EveryReasonHasAKnownCode) {
  ExporterStats& exporter = add_exporter("up");
  open_log(Signal::traces, {"up"}, 1ULL << 60);
  ASSERT_EQ(append(Signal::traces, "a", 1), AppendOutcome::full);
  exporter.signals[0].dropped = 1;
  exporter.signals[0].state = static_cast<std::uint8_t>(UpstreamState::retrying);
  const StatusSnapshot snapshot = take_snapshot(telemetry);
  EXPECT_EQ(snapshot.reasons.size(), 4U);
  for (const DegradedReason& reason : snapshot.reasons) {
    EXPECT_NE(std::find(kDegradedCodes.begin(), kDegradedCodes.end(), reason.code),
              kDegradedCodes.end())
        << reason.code;
  }
}

TEST_F(StatusTest, ARefusedConfigurationIsToldUntilOneIsTaken) {
  EXPECT_EQ(string_at(status(), "/configuration/last_result"), "none");
  EXPECT_EQ(codes(), Codes{});
  telemetry.configuration.last_reload_unix_ns = clock.unix_ns();
  telemetry.configuration.refused = 1;
  telemetry.configuration.last_error.set("a.yaml:3:5: unknown key");
  EXPECT_EQ(string_at(status(), "/configuration/last_result"), "refused");
  EXPECT_EQ(string_at(status(), "/configuration/last_error"), "a.yaml:3:5: unknown key");
  EXPECT_EQ(string_at(status(), "/reasons/0/code"), "configuration_refused");
  EXPECT_EQ(string_at(status(), "/reasons/0/detail"), "a.yaml:3:5: unknown key");
  telemetry.configuration.taken = 1;
  telemetry.configuration.last_error.set("");
  EXPECT_EQ(string_at(status(), "/configuration/last_result"), "taken");
  EXPECT_EQ(string_at(status(), "/health"), "ok");
}

TEST_F(StatusTest, HostileNamesAndErrorsStayOneValidDocument) {
  const std::string name = "otlp_http/\"},{\\\n\x01\xFF";
  ExporterStats& exporter = add_exporter(name);
  open_log(Signal::traces, {name});
  exporter.signals[0].state = static_cast<std::uint8_t>(UpstreamState::retrying);
  exporter.signals[0].last_error.set(
      std::string("<html>\"\0\x7F\xED\xA0\x80 \xF0\x9F\x98\x80", 18));
  const auto shown = status();
  EXPECT_EQ(string_at(shown, "/reasons/0/exporter"), "otlp_http/\"},{\\\n\x01\xEF\xBF\xBD");
  const std::string detail = string_at(shown, "/reasons/0/detail");
  EXPECT_EQ(detail.substr(0, 9), std::string("<html>\"\0\x7F", 9));
  EXPECT_NE(detail.find(" \xF0\x9F\x98\x80"), std::string::npos);
  EXPECT_EQ(detail.find('\xED'), std::string::npos);
}

TEST(JsonWriterTest, PutsCommasBetweenMembersAndElementsOnly) {
  JsonWriter json;
  json.begin_object();
  json.key("empty").begin_object();
  json.end_object();
  json.key("list").begin_array();
  json.number(1);
  json.begin_array();
  json.end_array();
  json.boolean(true);
  json.null();
  json.end_array();
  json.key("after").string("x");
  json.end_object();
  EXPECT_EQ(json.text(), R"({"empty":{},"list":[1,[],true,null],"after":"x"})");
}

TEST(JsonWriterTest, NumbersKeepAllDigitsAndAreNeverInfinite) {
  JsonWriter json;
  json.begin_array();
  json.number(std::numeric_limits<std::uint64_t>::max());
  json.seconds(0.0004);
  json.seconds(86'400.1239);
  json.seconds(-std::numeric_limits<double>::max());
  json.seconds(std::numeric_limits<double>::infinity());
  json.seconds(std::numeric_limits<double>::quiet_NaN());
  json.end_array();
  EXPECT_TRUE(json.text().starts_with("[18446744073709551615,0.000,86400.124,-1797693134"))
      << json.text();
  EXPECT_TRUE(json.text().ends_with(".000,null,null]")) << json.text();
}

TEST(TimeTextTest, DurationsReadAsGoPrintsThem) {
  EXPECT_EQ(go_duration(0), "0s");
  EXPECT_EQ(go_duration(1), "1ns");
  EXPECT_EQ(go_duration(1'100), "1.1\xC2\xB5s");
  EXPECT_EQ(go_duration(2'200'000), "2.2ms");
  EXPECT_EQ(go_duration(999'999'999), "999.999999ms");
  EXPECT_EQ(go_duration(3'300'000'000), "3.3s");
  EXPECT_EQ(go_duration(62'300'000'000), "1m2.3s");
  EXPECT_EQ(go_duration(60'000'000'000), "1m0s");
  EXPECT_EQ(go_duration(3'600'000'000'000), "1h0m0s");
  EXPECT_EQ(go_duration(176'400'000'000'001), "49h0m0.000000001s");
  EXPECT_EQ(go_duration(-1'500'000'000), "-1.5s");
  EXPECT_EQ(go_duration(std::numeric_limits<std::int64_t>::max()), "2562047h47m16.854775807s");
  EXPECT_EQ(go_duration(std::numeric_limits<std::int64_t>::min()), "-2562047h47m16.854775808s");
}

TEST(TimeTextTest, MomentsReadAsRfc3339WithoutTrailingZeros) {
  EXPECT_EQ(rfc3339_nano(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(rfc3339_nano(1'700'000'000'250'000'000), "2023-11-14T22:13:20.25Z");
  EXPECT_EQ(rfc3339_nano(1'700'000'000'000'000'001), "2023-11-14T22:13:20.000000001Z");
  EXPECT_EQ(rfc3339_nano(-1), "1969-12-31T23:59:59.999999999Z");
}

}  // namespace
}  // namespace holdfast
