// What the debug exporter writes of a batch.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "exporters/local.h"

namespace holdfast {
namespace {

std::string field(int number, const std::string& bytes) {
  return std::string(1, static_cast<char>(number << 3 | 2)) +
         std::string(1, static_cast<char>(bytes.size())) + bytes;
}

std::string attribute(const std::string& key, const std::string& any_value) {
  return field(1, key) + field(2, any_value);
}

/// Two resources with one item each.
std::string request_of(const std::string& item) {
  const std::string resource = field(1, field(2, field(2, item)));
  return resource + resource;
}

std::vector<std::string> lines_of(DebugVerbosity verbosity, Signal signal, std::string_view body) {
  std::vector<std::string> lines;
  const auto exporter = make_debug_exporter(
      {verbosity, [&](std::string_view line) { lines.emplace_back(line); }}, signal);
  EXPECT_EQ(exporter->form().coding, ContentCoding::identity);
  EXPECT_EQ(exporter->send({.body = body, .items = 2}, {}).outcome, SendResult::Outcome::delivered);
  return lines;
}

using Lines = std::vector<std::string>;

TEST(DebugExporter, BasicIsOneLineABatch) {
  const std::string body = request_of(field(5, "name"));
  EXPECT_EQ(lines_of(DebugVerbosity::basic, Signal::traces, body),
            Lines{"Traces: 2 resource spans, 2 spans"});
  EXPECT_EQ(lines_of(DebugVerbosity::basic, Signal::metrics, body),
            Lines{"Metrics: 2 resource metrics, 2 data points"});
  EXPECT_EQ(lines_of(DebugVerbosity::basic, Signal::logs, body),
            Lines{"Logs: 2 resource logs, 2 log records"});
  EXPECT_EQ(lines_of(DebugVerbosity::basic, Signal::profiles, body),
            Lines{"Profiles: 2 resource profiles, 2 sample records"});
}

TEST(DebugExporter, NormalNamesItemsAndDetailedTheirAttributes) {
  const std::string span = field(5, "GET /") + field(9, attribute("k", field(1, "v"))) +
                           field(9, attribute("n", std::string("\x18\x07", 2)));
  EXPECT_EQ(lines_of(DebugVerbosity::normal, Signal::traces, request_of(span)),
            (Lines{"Traces: 2 resource spans, 2 spans", "span GET /", "span GET /"}));
  EXPECT_EQ(lines_of(DebugVerbosity::detailed, Signal::traces, request_of(span)).at(1),
            "span GET / k=v n=7");
  const std::string record = field(3, "WARN") + field(5, field(1, "it rains"));
  EXPECT_EQ(lines_of(DebugVerbosity::detailed, Signal::logs, request_of(record)).at(1),
            "log record WARN it rains");
  EXPECT_EQ(
      lines_of(DebugVerbosity::detailed, Signal::profiles, request_of(field(2, "") + field(2, "")))
          .at(1),
      "profile samples=2");
  EXPECT_EQ(lines_of(DebugVerbosity::normal, Signal::metrics, request_of(field(1, "up"))).at(1),
            "metric up");
}

TEST(DebugExporter, TornBodyIsWrittenAsFarAsItGoes) {
  const std::string body = request_of(field(5, "name"));
  for (std::size_t length = 0; length < body.size(); ++length) {
    EXPECT_LE(lines_of(DebugVerbosity::detailed, Signal::traces, body.substr(0, length)).size(),
              3U);
  }
}

TEST(NopExporter, TakesEverything) {
  EXPECT_EQ(make_nop_exporter()->send({.body = "x"}, {}).outcome, SendResult::Outcome::delivered);
}

}  // namespace
}  // namespace holdfast
