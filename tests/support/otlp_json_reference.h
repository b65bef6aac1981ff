// What the tests of the JSON reader compare with: protobuf's own JSON code, and simdjson's DOM
// parser as a judge of what is JSON at all.
#pragma once

#include <google/protobuf/message.h>
#include <google/protobuf/util/json_util.h>
#include <simdjson.h>

#include <cstdio>
#include <memory>
#include <regex>
#include <string>
#include <string_view>

#include "agent/otlp_json.h"
#include "proto/logs_service.pb.h"
#include "proto/metrics_service.pb.h"
#include "proto/profiles_service.pb.h"
#include "proto/trace_service.pb.h"

namespace holdfast {

using TraceRequest = opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;
using MetricsRequest = opentelemetry::proto::collector::metrics::v1::ExportMetricsServiceRequest;
using LogsRequest = opentelemetry::proto::collector::logs::v1::ExportLogsServiceRequest;
using ProfilesRequest =
    opentelemetry::proto::collector::profiles::v1development::ExportProfilesServiceRequest;

inline std::unique_ptr<google::protobuf::Message> new_request(Signal signal) {
  if (signal == Signal::traces) return std::make_unique<TraceRequest>();
  if (signal == Signal::metrics) return std::make_unique<MetricsRequest>();
  if (signal == Signal::logs) return std::make_unique<LogsRequest>();
  return std::make_unique<ProfilesRequest>();
}

inline std::string base64_from_hex(std::string_view hex) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bits;
  for (const char digit : hex) {
    const int value = std::stoi(std::string(1, digit), nullptr, 16);
    for (int bit = 3; bit >= 0; --bit) bits += (value >> bit & 1) != 0 ? '1' : '0';
  }
  bits.resize((bits.size() + 5) / 6 * 6, '0');
  std::string base64;
  for (std::size_t i = 0; i < bits.size(); i += 6) {
    base64 += kAlphabet[static_cast<std::size_t>(std::stoi(bits.substr(i, 6), nullptr, 2))];
  }
  base64.resize((base64.size() + 3) / 4 * 4, '=');
  return base64;
}

inline std::string hex_from_base64(std::string_view base64) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bits;
  for (const char digit : base64) {
    if (digit == '=') break;
    const auto value = kAlphabet.find(digit);
    for (int bit = 5; bit >= 0; --bit) bits += (value >> bit & 1U) != 0 ? '1' : '0';
  }
  std::string hex;
  for (std::size_t i = 0; i + 8 <= bits.size(); i += 8) {
    char pair[3];
    std::snprintf(pair, sizeof pair, "%02x",
                  static_cast<unsigned>(std::stoi(bits.substr(i, 8), nullptr, 2)));
    hex += pair;
  }
  return hex;
}

/// protobuf's JSON wants base64 where OTLP/JSON has hex ids, and the other way round.
template <typename Convert>
std::string with_ids(const std::string& json, Convert convert) {
  static const std::regex kId(R"re("(traceId|spanId|parentSpanId|profileId|)re"
                              R"re(trace_id|span_id|parent_span_id|profile_id)":"([^"]*)")re");
  std::string result;
  auto rest = json.cbegin();
  for (std::sregex_iterator id(json.begin(), json.end(), kId), end; id != end; ++id) {
    result.append(rest, (*id)[2].first);
    result += convert((*id)[2].str());
    rest = (*id)[2].second;
  }
  return result.append(rest, json.cend());
}

/// How simdjson's DOM parser, which checks everything, judges the text.
inline simdjson::error_code dom_verdict(std::string_view text) {
  simdjson::dom::parser parser;
  return parser.parse(text.data(), text.size()).error();
}

/// DOM refuses these, rightly for its purposes, but they are JSON: halves of surrogate pairs, and
/// numbers beyond 64 bits.
inline bool is_matter_of_opinion(simdjson::error_code code) {
  return code == simdjson::STRING_ERROR || code == simdjson::NUMBER_ERROR;
}

}  // namespace holdfast
