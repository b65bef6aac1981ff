// The log as a program reads it: JSON that parses, console lines that stay one line, repetition
// thinned.
#include "agent/logging.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "agent/log_text.h"
#include "agent/log_thinning.h"

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

}  // namespace
}  // namespace holdfast
