// What the writer makes of wire bytes must mean the same to protobuf and to our own reader.
#include "agent/otlp_json_writer.h"

#include <gtest/gtest.h>

#include <random>

#include "agent/wire_walker.h"
#include "tests/support/otlp_json_reference.h"
#include "tests/support/payloads.h"
#include "tests/support/random_message.h"
#include "tests/support/wire_bytes.h"

namespace holdfast {
namespace {

using reference::nest;
using reference::tag;
using reference::varint;

std::string json_of(Signal signal, std::string_view wire_bytes) {
  OtlpJsonWriter writer;
  std::string json;
  const Status written = writer.write(signal, wire_bytes, json);
  EXPECT_TRUE(written.ok()) << written.error().message;
  return json;
}

/// The JSON of the one log record with these bytes, without what stands around it.
std::string record_json(const std::string& record) {
  const std::string json = json_of(Signal::logs, nest(1, nest(2, nest(2, record))));
  constexpr std::string_view kBefore = R"({"resourceLogs":[{"scopeLogs":[{"logRecords":[)";
  constexpr std::string_view kAfter = "]}]}]}";
  EXPECT_TRUE(json.starts_with(kBefore) && json.ends_with(kAfter)) << json;
  return json.substr(kBefore.size(), json.size() - kBefore.size() - kAfter.size());
}

/// The wire bytes that our reader makes of it.
std::string read_back(Signal signal, const std::string& json) {
  OtlpJsonParser parser;
  std::string wire_bytes;
  const Status read = parser.to_wire(signal, json, wire_bytes);
  EXPECT_TRUE(read.ok()) << read.error().message << "\n" << json;
  return wire_bytes;
}

TEST(OtlpJsonWriter, PayloadsOfAllSdksComeBackByteForByte) {
  const auto payloads = reference::real_payloads();
  ASSERT_GE(payloads.size(), 20U);
  for (const auto& payload : payloads) {
    SCOPED_TRACE(payload.name);
    const auto request = new_request(payload.signal);
    ASSERT_TRUE(request->ParseFromString(payload.bytes));
    const std::string canonical = request->SerializeAsString();
    EXPECT_EQ(read_back(payload.signal, json_of(payload.signal, canonical)), canonical);
    // The order in which an SDK writes its fields changes nothing.
    EXPECT_EQ(json_of(payload.signal, payload.bytes), json_of(payload.signal, canonical));
  }
}

TEST(OtlpJsonWriter, RandomMessagesMeanTheSameToProtobufsOwnJsonReader) {
  constexpr int kRounds = 300;
  constexpr int kDepth = 7;
  OtlpJsonWriter writer;
  std::size_t bytes = 0;
  for (const Signal signal : kSignals) {
    for (int round = 0; round < kRounds; ++round) {
      SCOPED_TRACE(round);
      const auto request = new_request(signal);
      RandomMessage(static_cast<std::uint32_t>(round)).fill(*request, kDepth);
      const std::string canonical = request->SerializeAsString();
      std::string json;
      ASSERT_TRUE(writer.write(signal, canonical, json).ok());
      const auto read = new_request(signal);
      const auto status =
          google::protobuf::util::JsonStringToMessage(with_ids(json, base64_from_hex), read.get());
      ASSERT_TRUE(status.ok()) << status.ToString() << json;
      ASSERT_EQ(read->SerializeAsString(), canonical) << json;
      ASSERT_EQ(read_back(signal, json), canonical) << json;
      bytes += json.size();
    }
  }
  EXPECT_GT(bytes, 100'000U);
}

TEST(OtlpJsonWriter, CanonicalDocumentsComeBackAsTheyWere) {
  const std::string json =
      R"({"resourceMetrics":[{"resource":{"attributes":[{"key":"a","value":{"stringValue":"\"\n/é"}},)"
      R"({"key":"b","value":{"kvlistValue":{"values":[{"key":"c","value":{"arrayValue":{}}}]}}},)"
      R"({"key":"d","value":{"bytesValue":"AP8="}},{"key":"e","value":{"boolValue":false}}]},)"
      R"("scopeMetrics":[{"metrics":[{"name":"m","sum":{"dataPoints":[{"timeUnixNano":)"
      R"("18446744073709551615","asInt":"-9223372036854775808"},{"asDouble":"-Infinity"},)"
      R"({"asDouble":0,"flags":1}],"aggregationTemporality":2,"isMonotonic":true}},)"
      R"({"exponentialHistogram":{"dataPoints":[{"count":"3","sum":"NaN","scale":-7,)"
      R"("positive":{"offset":-1,"bucketCounts":["1","0","2"]},"zeroThreshold":1e-05}]}},)"
      R"({"histogram":{"dataPoints":[{"explicitBounds":[0.5,-0.0,2],"min":0}]}}]}],)"
      R"("schemaUrl":"s"}]})";
  EXPECT_EQ(json_of(Signal::metrics, read_back(Signal::metrics, json)), json);
  const std::string trace =
      R"({"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"000102030405060708090a0b0c0d0eff",)"
      R"("spanId":"00000000000000ab","kind":3,"status":{"message":"no","code":2}}]}]},{}]})";
  EXPECT_EQ(json_of(Signal::traces, read_back(Signal::traces, trace)), trace);
}

TEST(OtlpJsonWriter, ProfilesComeBackAsTheyWere) {
  const std::string json =
      R"({"resourceProfiles":[{"scopeProfiles":[{"profiles":[{"sampleType":{"typeStrindex":1},)"
      R"("samples":[{"stackIndex":1,"values":["-5","0"],"timestampsUnixNano":["18446744073709551615"]}],)"
      R"("profileId":"000102030405060708090a0b0c0d0eff","originalPayload":"AP8=",)"
      R"("attributeIndices":[1,0,-1]}]}]}],"dictionary":{"linkTable":[{},{"spanId":"00000000000000ab"}],)"
      R"("stringTable":["","a"],"stackTable":[{},{"locationIndices":[1,2]}]}})";
  EXPECT_EQ(json_of(Signal::profiles, read_back(Signal::profiles, json)), json);
}

TEST(OtlpJsonWriter, LastValueCountsAndSubmessagesAreMerged) {
  const std::string text = nest(3, "first") + nest(3, "last");
  EXPECT_EQ(record_json(text), R"({"severityText":"last"})");
  EXPECT_EQ(record_json(nest(3, "first") + nest(3, "")), "{}");
  // A body of two pieces is one AnyValue, in which the member that was set last stands.
  const std::string number = nest(5, tag(3, 0) + varint(0));
  EXPECT_EQ(record_json(nest(5, nest(1, "text")) + number), R"({"body":{"intValue":"0"}})");
  EXPECT_EQ(record_json(number + nest(5, nest(1, ""))), R"({"body":{"stringValue":""}})");
  // What a member held before another one took its place is gone.
  const auto list_of = [](const std::string& value) {
    return nest(5, nest(5, nest(1, nest(1, value))));
  };
  EXPECT_EQ(record_json(list_of("a") + list_of("b")),
            R"({"body":{"arrayValue":{"values":[{"stringValue":"a"},{"stringValue":"b"}]}}})");
  EXPECT_EQ(record_json(list_of("a") + number + list_of("b")),
            R"({"body":{"arrayValue":{"values":[{"stringValue":"b"}]}}})");
}

TEST(OtlpJsonWriter, ScatteredElementsOfAListStandTogether) {
  const std::string request = nest(1, nest(3, "one")) + tag(7, 0) + varint(1) + nest(1, "");
  EXPECT_EQ(json_of(Signal::traces, request), R"({"resourceSpans":[{"schemaUrl":"one"},{}]})");
  const auto buckets = [](const std::string& content) {
    return json_of(Signal::metrics, nest(1, nest(2, nest(2, nest(10, nest(1, nest(8, content)))))));
  };
  // Packed, not packed, and empty.
  const std::string counts = nest(2, varint(1) + varint(2)) + tag(2, 0) + varint(3) + nest(2, "");
  EXPECT_NE(buckets(counts).find(R"("positive":{"bucketCounts":["1","2","3"]})"), std::string::npos)
      << buckets(counts);
  EXPECT_NE(buckets(nest(2, "")).find(R"("positive":{})"), std::string::npos);
}

TEST(OtlpJsonWriter, UnknownFieldsAreLeftOut) {
  const std::string group = tag(99, 3) + tag(98, 3) + nest(1, "x") + tag(98, 4) + tag(99, 4);
  const std::string unknown = tag(90, 0) + varint(5) + tag(91, 1) + std::string(8, 'x') +
                              tag(92, 5) + std::string(4, 'x') + nest(93, "x") + group;
  EXPECT_EQ(record_json(unknown + nest(3, "kept") + unknown), R"({"severityText":"kept"})");
  // Another wire form than the field's is an unknown field too.
  EXPECT_EQ(record_json(tag(3, 0) + varint(1) + nest(2, "x") + tag(1, 5) + "abcd"), "{}");
}

TEST(OtlpJsonWriter, OldScopesStandForTodaysWhereThereAreNone) {
  const std::string scope = nest(3, "schema");
  EXPECT_EQ(json_of(Signal::logs, nest(1, nest(3, "x") + nest(1000, scope))),
            R"({"resourceLogs":[{"scopeLogs":[{"schemaUrl":"schema"}],"schemaUrl":"x"}]})");
  EXPECT_EQ(json_of(Signal::logs, nest(1, nest(2, "") + nest(1000, scope))),
            R"({"resourceLogs":[{"scopeLogs":[{}]}]})");
}

TEST(OtlpJsonWriter, TextThatIsNotUtf8IsReplaced) {
  EXPECT_EQ(record_json(nest(3,
                             "a\xFF"
                             "b\xC3")),
            "{\"severityText\":\"a\xEF\xBF\xBD"
            "b\xEF\xBF\xBD\"}");
}

TEST(OtlpJsonWriter, VarintsWiderThanTheirFieldAreCut) {
  EXPECT_EQ(record_json(tag(2, 0) + varint(0xFFFF'FFFF'0000'0009ULL)), R"({"severityNumber":9})");
  EXPECT_EQ(record_json(tag(2, 0) + varint(0x1'0000'0000ULL)), "{}");
}

TEST(OtlpJsonWriter, NestingGoesAsFarAsTheReadersAndNoFurther) {
  const auto nested = [](int lists) {
    std::string value = nest(1, "in");
    for (int i = 0; i < lists; ++i) value = nest(5, nest(1, value));
    return nest(1, nest(2, nest(2, nest(5, value))));
  };
  OtlpJsonWriter writer;
  OtlpJsonParser parser;
  std::string json;
  std::string wire_bytes;
  // Four submessages down to the body, and two for each list.
  ASSERT_TRUE(writer.write(Signal::logs, nested(48), json).ok());
  ASSERT_TRUE(parser.to_wire(Signal::logs, json, wire_bytes).ok());
  EXPECT_EQ(wire_bytes, nested(48));
  json = "before";
  const Status refused = writer.write(Signal::logs, nested(49), json);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message, "not an ExportLogsServiceRequest: nested too deeply");
  EXPECT_EQ(json, "before");
}

TEST(OtlpJsonWriter, BytesThatAreNoMessageAreRefusedAndNothingIsWritten) {
  const std::string good = nest(1, nest(2, nest(2, nest(3, "text") + nest(9, "0123456789abcdef"))));
  OtlpJsonWriter writer;
  std::size_t refused = 0;
  for (std::size_t length = 1; length < good.size(); ++length) {
    std::string json = "before";
    if (writer.write(Signal::logs, good.substr(0, length), json)) continue;
    EXPECT_EQ(json, "before");
    ++refused;
  }
  EXPECT_EQ(refused, good.size() - 1);
  for (const std::string& bad : {tag(99, 3), tag(99, 4), tag(99, 3) + tag(98, 3) + tag(99, 4),
                                 std::string("\x0A\xFF"), std::string(11, '\xFF')}) {
    std::string json;
    EXPECT_FALSE(writer.write(Signal::traces, bad, json).ok());
    EXPECT_EQ(json, "");
  }
}

TEST(OtlpJsonWriter, WhateverAReceiverTakesCanBeWrittenAndReadAgain) {
  constexpr int kRounds = 200;
  std::mt19937 random(1);
  OtlpJsonWriter writer;
  std::size_t written = 0;
  for (const auto& payload : reference::real_payloads()) {
    for (int round = 0; round < kRounds; ++round) {
      std::string bytes = payload.bytes;
      for (int flips = 0; flips < 3; ++flips) {
        bytes[random() % bytes.size()] = static_cast<char>(random());
      }
      std::string json;
      const Status status = writer.write(payload.signal, bytes, json);
      if (!walk_export_request(payload.signal, bytes).ok()) continue;
      ASSERT_TRUE(status.ok()) << payload.name << ": " << status.error().message;
      const std::string again = read_back(payload.signal, json);
      ASSERT_EQ(json_of(payload.signal, again), json) << payload.name;
      ++written;
    }
  }
  EXPECT_GT(written, 1'000U);
}

}  // namespace
}  // namespace holdfast
