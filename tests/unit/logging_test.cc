// The log as a program reads it: JSON that parses, console lines that stay one line, repetition
// thinned.
#include "agent/logging.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "agent/log_settings.h"
#include "agent/log_text.h"
#include "agent/log_thinning.h"
#include "agent/own_log.h"
#include "proto/logs.pb.h"
#include "tests/support/temp_directory.h"

namespace holdfast {
namespace {

template <typename Body>
std::string stderr_of(Body body) {
  testing::internal::CaptureStderr();
  body();
  return testing::internal::GetCapturedStderr();
}

std::string json_string(std::string_view text) {
  std::string out;
  append_json_string(text, out);
  return out;
}

TEST(Logging, JsonLineHasLevelTimeMessageAndFields) {
  configure_logging("info", true);
  const std::string line = stderr_of([] {
    log(LogLevel::warn, "json fields", {{"text", "a \"b\"\n\\"}, {"count", 42}, {"raw", "\xFF"}});
  });
  simdjson::dom::parser parser;
  const simdjson::dom::element json = parser.parse(line);
  EXPECT_EQ(std::string_view(json["level"]), "warn");
  EXPECT_EQ(std::string_view(json["ts"]).size(),
            std::string_view("2026-01-01T00:00:00.000Z").size());
  EXPECT_EQ(std::string_view(json["msg"]), "json fields");
  EXPECT_EQ(std::string_view(json["text"]), "a \"b\"\n\\");
  EXPECT_EQ(std::int64_t(json["count"]), 42);
  EXPECT_EQ(std::string_view(json["raw"]), "\xEF\xBF\xBD");
  EXPECT_EQ(line.find('\n'), line.size() - 1);
}

TEST(Logging, ConsoleLineStaysOneLineWhateverTheUpstreamSaid) {
  configure_logging("info", false);
  const std::string line = stderr_of([] {
    log(LogLevel::info, "upstream said", {{"status", 503}, {"body", "x\n\x1b[2J"}, {"word", "ok"}});
  });
  EXPECT_NE(line.find("\tinfo\tupstream said status=503 body=\"x\\n\\u001b[2J\" word=ok\n"),
            std::string::npos)
      << line;
}

TEST(Logging, BelowTheLevelIsSilent) {
  configure_logging("error", false);
  EXPECT_EQ(stderr_of([] { log(LogLevel::warn, "too quiet"); }), "");
  EXPECT_NE(stderr_of([] { log(LogLevel::error, "loud"); }), "");
  configure_logging("debug", false);
  EXPECT_NE(stderr_of([] { log(LogLevel::debug, "detail"); }), "");
}

TEST(Logging, RepeatedWarningIsWrittenOnceAndInfoEachTime) {
  configure_logging("info", false);
  const std::string lines = stderr_of([] {
    for (int i = 0; i < 5; ++i) log(LogLevel::warn, "thinned", {{"exporter", "a"}, {"try", i}});
    log(LogLevel::warn, "thinned", {{"exporter", "b"}});
    for (int i = 0; i < 2; ++i) log(LogLevel::info, "not thinned");
  });
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 4) << lines;
}

TEST(Logging, LinesOfManyThreadsDoNotMix) {
  configure_logging("info", true);
  const std::string lines = stderr_of([] {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([] {
        for (int i = 0; i < 100; ++i) log(LogLevel::info, "concurrent", {{"i", i}});
      });
    }
  });
  simdjson::dom::parser parser;
  int count = 0;
  for (std::size_t at = 0; at < lines.size(); ++count) {
    const std::size_t end = lines.find('\n', at);
    EXPECT_EQ(parser.parse(lines.substr(at, end - at)).error(), simdjson::SUCCESS);
    at = end + 1;
  }
  EXPECT_EQ(count, 400);
}

TEST(LogText, EscapesControlsAndReplacesWhatIsNotUtf8) {
  EXPECT_EQ(json_string(""), "\"\"");
  EXPECT_EQ(json_string(std::string_view("\0\x1f\x7f", 3)), "\"\\u0000\\u001f\\u007f\"");
  EXPECT_EQ(json_string("gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80"),
            "\"gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80\"");
  EXPECT_EQ(json_string("\xC3"), "\"\xEF\xBF\xBD\"");                  // cut short
  EXPECT_EQ(json_string("\xC0\x80"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\"");  // overlong
  EXPECT_EQ(json_string("\xED\xA0\x80").find('\xED'), std::string::npos);
  EXPECT_EQ(json_string("\xF4\x90\x80\x80").find('\xF4'), std::string::npos);
}

TEST(LogThinning, AfterThePeriodTellsHowManyWereHeldBack) {
  LogThinning thinning;
  const LogThinning::TimePoint start{};
  EXPECT_EQ(thinning.admit("a", start), 0U);
  EXPECT_EQ(thinning.admit("a", start + std::chrono::seconds(1)), std::nullopt);
  EXPECT_EQ(thinning.admit("a", start + std::chrono::milliseconds(9'999)), std::nullopt);
  EXPECT_EQ(thinning.admit("b", start + std::chrono::seconds(1)), 0U);
  EXPECT_EQ(thinning.admit("a", start + std::chrono::seconds(10)), 2U);
  EXPECT_EQ(thinning.admit("a", start + std::chrono::seconds(20)), 0U);
}

TEST(LogThinning, NumberOfKeysIsBounded) {
  LogThinning thinning;
  const LogThinning::TimePoint start{};
  for (int i = 0; i < 10'000; ++i) {
    EXPECT_EQ(thinning.admit(std::to_string(i), start), 0U);
    ASSERT_LE(thinning.size(), LogThinning::kKeysMax);
  }
}

/// The log as it is by default again, whatever a test made of it.
class LogSettings : public ::testing::Test {
 protected:
  ~LogSettings() override {
    EXPECT_TRUE(open_log({}, {}).ok());
    configure_logging("info", false);
  }
};

TEST_F(LogSettings, JsonLineHasInitialFieldsAndTheResource) {
  TelemetryConfig config;
  config.log_fields = {{"site", "ship \"a\""}, {"rack", std::int64_t{7}}, {"edge", true}};
  ASSERT_TRUE(open_log(config, {{"service.name", "holdfast"}, {"ratio", 0.5}}).ok());
  configure_logging("info", true);
  const std::string line = stderr_of([] { log(LogLevel::info, "said", {{"count", 3}}); });
  simdjson::dom::parser parser;
  const simdjson::dom::element json = parser.parse(line);
  EXPECT_EQ(std::string_view(json["site"]), "ship \"a\"");
  EXPECT_EQ(std::int64_t(json["rack"]), 7);
  EXPECT_TRUE(bool(json["edge"]));
  EXPECT_EQ(std::string_view(json["resource"]["service.name"]), "holdfast");
  EXPECT_EQ(double(json["resource"]["ratio"]), 0.5);
  EXPECT_EQ(std::int64_t(json["count"]), 3);

  configure_logging("info", false);
  EXPECT_NE(stderr_of([] {
              log(LogLevel::info, "said", {{"count", 3}});
            }).find("\tsaid site=\"ship \\\"a\\\"\" rack=7 edge=true count=3\n"),
            std::string::npos);
  config.log_resource = false;
  ASSERT_TRUE(open_log(config, {{"service.name", "holdfast"}}).ok());
  configure_logging("info", true);
  EXPECT_EQ(stderr_of([] { log(LogLevel::info, "said"); }).find("resource"), std::string::npos);
}

TEST_F(LogSettings, LinesGoToEachOutput) {
  TempDirectory directory;
  TelemetryConfig config;
  config.log_outputs = {directory.path() + "/a.log", "file://" + directory.path() + "/b.log"};
  ASSERT_TRUE(open_log(config, {}).ok());
  EXPECT_EQ(stderr_of([] { log(LogLevel::info, "to files"); }), "");
  for (const char* name : {"/a.log", "/b.log"}) {
    std::ifstream file(directory.path() + name);
    std::string line;
    std::getline(file, line);
    EXPECT_TRUE(line.ends_with("\tinfo\tto files")) << line;
  }
}

TEST_F(LogSettings, FileThatCannotBeOpenedChangesNothing) {
  TelemetryConfig config;
  config.log_outputs = {"/proc/no/such.log"};
  const Status opened = open_log(config, {});
  ASSERT_FALSE(opened.ok());
  EXPECT_NE(opened.error().message.find("/proc/no/such.log"), std::string::npos);
  EXPECT_NE(stderr_of([] { log(LogLevel::info, "still here"); }), "");
}

TEST_F(LogSettings, SamplingCountsEqualLinesOfAllLevels) {
  const auto lines = [](const TelemetryConfig& config, const char* message) {
    EXPECT_TRUE(open_log(config, {}).ok());
    const std::string text = stderr_of([message] {
      for (int i = 0; i < 20; ++i) log(LogLevel::info, message);
      for (int i = 0; i < 20; ++i) log(LogLevel::error, message, {{"exporter", "a"}});
    });
    return std::count(text.begin(), text.end(), '\n');
  };
  TelemetryConfig config;
  EXPECT_EQ(lines(config, "by default"), 20 + 1);
  config.log_sampling = LogSampling{.initial = 5, .thereafter = 6};
  EXPECT_EQ(lines(config, "sampled"), 2 * (5 + 2));
  config.log_sampling->thereafter = 0;
  EXPECT_EQ(lines(config, "no others"), 2 * 5);
  config.log_sampled = false;
  EXPECT_EQ(lines(config, "all"), 40);
}

TEST_F(LogSettings, TeeGetsWhatIsWritten) {
  std::string seen;
  tee_log(
      [&seen](LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
        seen += std::to_string(static_cast<int>(level)) + std::string(message);
        for (const LogField& field : fields) seen += std::string(field.key) + field.value;
      });
  stderr_of([] {
    log(LogLevel::debug, "too quiet");
    log(LogLevel::warn, "said", {{"count", 3}});
    log(LogLevel::warn, "said", {{"count", 4}});  // thinned
  });
  tee_log(nullptr);
  stderr_of([] { log(LogLevel::error, "later"); });
  EXPECT_EQ(seen, "2saidcount3");
}

TEST(LogRecord, HasSeverityBodyAndTypedAttributes) {
  opentelemetry::proto::logs::v1::LogRecord record;
  ASSERT_TRUE(record.ParseFromString(encode_log_record(
      LogLevel::warn, "the upstream is away", {{"exporter", "a\xFF"}, {"tries", 7}}, 1'234)));
  EXPECT_EQ(record.time_unix_nano(), 1'234U);
  EXPECT_EQ(record.observed_time_unix_nano(), 1'234U);
  EXPECT_EQ(record.severity_number(), opentelemetry::proto::logs::v1::SEVERITY_NUMBER_WARN);
  EXPECT_EQ(record.severity_text(), "warn");
  EXPECT_EQ(record.body().string_value(), "the upstream is away");
  ASSERT_EQ(record.attributes_size(), 2);
  EXPECT_EQ(record.attributes(0).value().string_value(), "a\xEF\xBF\xBD");
  EXPECT_EQ(record.attributes(1).key(), "tries");
  EXPECT_EQ(record.attributes(1).value().int_value(), 7);
}

TEST(LogThinning, LimitsOfOnesOwn) {
  LogThinning thinning({.period = std::chrono::seconds(1), .initial = 2, .thereafter = 3});
  const LogThinning::TimePoint start{};
  std::string written;
  for (int i = 0; i < 9; ++i) written += thinning.admit("a", start) ? 'x' : '.';
  EXPECT_EQ(written, "xx..x..x.");
  EXPECT_EQ(thinning.admit("a", start + std::chrono::seconds(1)), 1U);
}

}  // namespace
}  // namespace holdfast
