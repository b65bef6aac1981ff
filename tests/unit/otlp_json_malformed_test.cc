// What the JSON reader must refuse, and that nothing it is fed can harm it.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

#include "agent/otlp_json.h"
#include "tests/support/otlp_json_reference.h"

namespace holdfast {
namespace {

struct Bad {
  const char* name;
  std::string json;
  const char* message;  // a part of it
};

std::string span(const std::string& fields) {
  return R"({"resourceSpans":[{"scopeSpans":[{"spans":[{)" + fields + "}]}]}]}";
}

std::string attribute(const std::string& value) {
  return span(R"("attributes":[{"key":"k","value":)" + value + "}]");
}

std::string nested(int depth, const std::string& open, const std::string& inside,
                   const std::string& close) {
  std::string text;
  for (int i = 0; i < depth; ++i) text += open;
  text += inside;
  for (int i = 0; i < depth; ++i) text += close;
  return text;
}

/// An attribute's value at `depth` lists within lists.
std::string nested_lists(int depth) {
  return attribute(nested(depth, R"({"arrayValue":{"values":[)", "{}", "]}}"));
}

class OtlpJsonRefuses : public testing::TestWithParam<Bad> {};

TEST_P(OtlpJsonRefuses, WithAReasonAndWithoutOutput) {
  OtlpJsonParser parser;
  std::string wire;
  const Status status = parser.to_wire(Signal::traces, GetParam().json, wire);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find(GetParam().message), std::string::npos)
      << status.error().message;
  EXPECT_TRUE(wire.empty());
}

const std::vector<Bad> kBad{
    {"NothingAtAll", "", "empty document"},
    {"OnlySpace", " \n", ""},
    {"List", "[]", "expect an object"},
    {"Number", "1", "expect an object"},
    {"String", "\"resourceSpans\"", "expect an object"},
    {"Null", "null", "expect an object"},
    {"OpenObject", "{", ""},
    {"OpenKey", "{\"resourceSpans", ""},
    {"NoValue", "{\"resourceSpans\"}", ""},
    {"NoColon", "{\"resourceSpans\" []}", ""},
    {"NoComma", R"({"resourceSpans":[{}{}]})", ""},
    {"CommaAtTheEndOfAnObject", R"({"resourceSpans":[],})", ""},
    {"CommaAtTheEndOfAList", R"({"resourceSpans":[{},]})", ""},
    {"OnlyAComma", R"({"resourceSpans":[,]})", ""},
    {"MissingBracket", R"({"resourceSpans":[{})", ""},
    {"WrongBracket", R"({"resourceSpans":[{]})", ""},
    {"KeyWithoutQuotes", "{resourceSpans:[]}", ""},
    {"SingleQuotes", "{'resourceSpans':[]}", ""},
    {"TextBehindTheEnd", "{} x", ""},
    {"SecondDocument", "{}{}", "after the end"},
    {"BracketBehindTheEnd", "{}}", "after the end"},
    {"Comment", "{} // c", ""},
    {"ZeroByteBehindTheEnd", std::string("{}\0", 3), ""},
    {"StringBesideString", span(R"("name":"a""b")"), ""},
    {"StringAsKeyAndValue", span(R"("name":"a":"b")"), ""},
    {"UnknownStringAsKeyAndValue", R"({"x":"a":1})", ""},
    {"UnknownNull", R"({"x":nul})", "not a JSON value"},
    {"UnknownTrueWithTail", R"({"x":truer})", "not a JSON value"},
    {"UnknownNumberWithLeadingZero", R"({"x":01})", "not a JSON value"},
    {"UnknownNumberWithPlus", R"({"x":+1})", "not a JSON value"},
    {"UnknownNumberEndingInPoint", R"({"x":1.})", "not a JSON value"},
    {"UnknownNumberBeginningWithPoint", R"({"x":.5})", "not a JSON value"},
    {"UnknownNumberWithoutExponent", R"({"x":1e})", "not a JSON value"},
    {"UnknownMinus", R"({"x":-})", "not a JSON value"},
    {"UnknownHex", R"({"x":0x10})", "not a JSON value"},
    {"UnknownNaN", R"({"x":NaN})", "not a JSON value"},
    {"UnknownEscape", R"({"x":"\q"})", "bad escape"},
    {"UnknownUnicodeEscape", R"({"x":"\u12g4"})", "bad escape"},
    {"UnknownUnicodeEscapeWithSign", R"({"x":"\u-123"})", "bad escape"},
    {"UnknownShortUnicodeEscape", R"({"x":"\u123"})", "bad escape"},
    {"UnknownKeyEscape", R"({"x":{"\q":1}})", "bad escape"},
    {"UnknownKeyAtTheTop", R"({"\q":1})", "bad escape"},
    {"UnknownControlCharacter", "{\"x\":\"a\nb\"}", ""},
    {"UnknownInvalidUtf8", "{\"x\":\"\xff\"}", ""},
    {"UnknownOverlongUtf8", "{\"x\":\"\xc0\xaf\"}", ""},
    {"UnknownListWithoutComma", R"({"x":[1 2]})", ""},
    {"UnknownObjectWithoutColon", R"({"x":{"a" 1}})", ""},
    {"UnknownKeyIsANumber", R"({"x":{1:2}})", ""},
    {"UnknownMissingBracket", R"({"x":[1})", ""},
    {"UnknownTooDeep", R"({"x":)" + nested(101, "[", "", "]") + "}", "nested too deeply"},
    {"UnknownVeryDeep", R"({"x":)" + nested(200'000, "[", "", "]") + "}", "nested too deeply"},
    {"UnknownObjectsTooDeep", R"({"x":)" + nested(101, R"({"a":)", "1", "}") + "}",
     "nested too deeply"},
    {"ListsTooDeep", nested_lists(48), "nested too deeply"},
    {"ListsVeryDeep", nested_lists(100'000), "nested too deeply"},
    {"InvalidUtf8", span("\"name\":\"\xed\xa0\x80\""), ""},
    {"ControlCharacter", span("\"name\":\"\x01\""), ""},
    {"BadEscape", span(R"("name":"\x41")"), "bad escape"},
    {"OpenString", R"({"resourceSpans":[{"schemaUrl":"abc}]})", ""},
    {"NumberForAString", span(R"("name":5)"), "readSpan.name: expect a string"},
    {"ObjectForAString", span(R"("name":{})"), "readSpan.name: expect a string"},
    {"ListForAString", span(R"("name":["a"])"), "readSpan.name: expect a string"},
    {"StringForAnObject", span(R"("status":"ok")"), "readSpan.status: expect an object"},
    {"ListForAnObject", span(R"("status":[])"), "readSpan.status: expect an object"},
    {"ObjectForAList", R"({"resourceSpans":{}})", "resourceSpans: expect a list"},
    {"NumberInAListOfObjects", R"({"resourceSpans":[1]})", "expect an object"},
    {"NullInAListOfStrings",
     R"({"resourceSpans":[{"resource":{"entityRefs":[{"idKeys":[null]}]}}]})", "expect a string"},
    {"Fraction", span(R"("startTimeUnixNano":1.5)"), "readSpan.startTimeUnixNano: not an integer"},
    {"NegativeTime", span(R"("startTimeUnixNano":-1)"), "not an integer in range"},
    {"TimeTooLarge", span(R"("startTimeUnixNano":"18446744073709551616")"), "in range"},
    {"TimeFarTooLarge", span(R"("startTimeUnixNano":1e300)"), "in range"},
    {"TimeEmpty", span(R"("startTimeUnixNano":"")"), "in range"},
    {"TimeWithSpace", span(R"("startTimeUnixNano":" 1")"), "in range"},
    {"TimeWithTail", span(R"("startTimeUnixNano":"1x")"), "in range"},
    {"TimeWithLeadingZero", span(R"("startTimeUnixNano":01)"), "in range"},
    {"TimeTrue", span(R"("startTimeUnixNano":true)"), "in range"},
    {"CountTooLarge", span(R"("droppedLinksCount":4294967296)"), "in range"},
    {"IntTooLarge", attribute(R"({"intValue":"9223372036854775808"})"), "in range"},
    {"IntTooSmall", attribute(R"({"intValue":"-9223372036854775809"})"), "in range"},
    {"DoubleTooLarge", attribute(R"({"doubleValue":1e400})"), "not a double in range"},
    {"DoubleEmpty", attribute(R"({"doubleValue":""})"), "not a double"},
    {"DoubleWord", attribute(R"({"doubleValue":"inf"})"), "not a double"},
    {"DoubleBareNaN", attribute(R"({"doubleValue":NaN})"), "not a double"},
    {"BoolAsString", attribute(R"({"boolValue":"true"})"), "expect true or false"},
    {"BoolAsNumber", attribute(R"({"boolValue":1})"), "expect true or false"},
    {"UnknownEnumName", span(R"("kind":"SPAN_KIND_NOBODY")"), "readSpan.kind"},
    {"EnumTooLarge", span(R"("kind":2147483648)"), "readSpan.kind"},
    {"EnumFraction", span(R"("kind":1.5)"), "readSpan.kind"},
    {"TraceIdShort", span(R"("traceId":"0102")"),
     "readSpan.traceId: parse trace_id:invalid length for ID, error found in #"},
    {"TraceIdLong", span(R"("traceId":"000102030405060708090a0b0c0d0e0f10")"),
     "parse trace_id:invalid length for ID"},
    {"TraceIdOfSpanLength", span(R"("traceId":"a1b2c3d4e5f60718")"), "invalid length for ID"},
    {"SpanIdOfTraceLength", span(R"("spanId":"000102030405060708090a0b0c0d0e0f")"),
     "parse span_id:invalid length for ID"},
    {"ParentSpanIdNotHex", span(R"("parentSpanId":"a1b2c3d4e5f6071g")"),
     "parse parent_span_id:cannot unmarshal ID from string 'a1b2c3d4e5f6071g'"},
    {"TraceIdAsNumber", span(R"("traceId":0)"), "readSpan.traceId: expect a string"},
    {"Base64Letters", attribute(R"({"bytesValue":"ab*d"})"), "readAnyValue.bytesValue: not base64"},
    {"Base64OneLetter", attribute(R"({"bytesValue":"abcde"})"), "not base64"},
    {"Base64TooMuchPadding", attribute(R"({"bytesValue":"ab==="})"), "not base64"},
    {"Base64WrongPadding", attribute(R"({"bytesValue":"abc=="})"), "not base64"},
    {"Base64OnlyPadding", attribute(R"({"bytesValue":"===="})"), "not base64"},
};

INSTANTIATE_TEST_SUITE_P(All, OtlpJsonRefuses, testing::ValuesIn(kBad),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(OtlpJson, NestingUpToTheLimitIsReadAndProtobufReadsItToo) {
  OtlpJsonParser parser;
  std::string wire;
  // Five messages lie above the value, each list adds two.
  ASSERT_TRUE(parser.to_wire(Signal::traces, nested_lists(47), wire).ok());
  TraceRequest request;
  EXPECT_TRUE(request.ParseFromString(wire));
  const std::string unknown = R"({"x":)" + nested(100, "[", "", "]") + "}";
  EXPECT_TRUE(parser.to_wire(Signal::traces, unknown, wire).ok());
}

// The specification names no form for it; the Collector's is hex, as of other ids.
TEST(OtlpJson, AProfileIdInBase64IsRefused) {
  OtlpJsonParser parser;
  std::string wire;
  const std::string json =
      R"({"resourceProfiles":[{"scopeProfiles":[{"profiles":[{"profileId":"AAECAwQFBgcICQoLDA0O/w=="}]}]}]})";
  EXPECT_NE(parser.to_wire(Signal::profiles, json, wire)
                .error()
                .message.find("readProfile.profileId: parse profile_id:invalid length for ID"),
            std::string::npos);
}

TEST(OtlpJson, ErrorsNameTheByteWhereTheValueBegins) {
  OtlpJsonParser parser;
  std::string wire;
  const std::string json = span(R"("name":5)");
  const Status status = parser.to_wire(Signal::traces, json, wire);
  EXPECT_EQ(status.error().message, "readSpan.name: expect a string, error found in #" +
                                        std::to_string(json.find('5')) + " byte");
}

TEST(OtlpJson, ADocumentCutAnywhereIsRefused) {
  OtlpJsonParser parser;
  const std::string json =
      span(R"("name":"a\u00e9","kind":1,"x":[{"a":"\n"},-1.5e3,true],"attributes":[{"key":"k"}])");
  std::string wire;
  ASSERT_TRUE(parser.to_wire(Signal::traces, json, wire).ok());
  for (std::size_t size = 0; size < json.size(); ++size) {
    EXPECT_FALSE(parser.to_wire(Signal::traces, json.substr(0, size), wire).ok()) << size;
  }
}

/// Damages a text here and there, with bytes that JSON cares about more often than not.
void mutate(std::string& text, std::mt19937& random) {
  constexpr std::string_view kTelling("{}[]\",:\\u0-+.eE1tfn \n\x00\xff\xc3", 25);
  const auto below = [&random](std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random);
  };
  for (std::size_t damages = 1 + below(3); damages > 0 && !text.empty(); --damages) {
    const std::size_t place = below(text.size());
    const std::size_t other = below(text.size());
    switch (below(4)) {
      case 0:
        text[place] = kTelling[below(kTelling.size())];
        break;
      case 1:
        text.insert(place, 1, kTelling[below(kTelling.size())]);
        break;
      case 2:
        text.erase(place, 1 + below(4));
        break;
      default:
        text.insert(place, text.substr(other, below(40)));
    }
  }
}

std::vector<std::string> node_payloads() {
  std::vector<std::string> texts;
  const auto folder = std::filesystem::path(HOLDFAST_GOLDEN_DIR) / "payloads" / "node";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".json") continue;
    std::ifstream in(entry.path(), std::ios::binary);
    texts.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  return texts;
}

TEST(OtlpJson, DamagedPayloadsAreRefusedOrStillMakeAMessage) {
  std::mt19937 random(20240607);
  OtlpJsonParser parser;
  std::size_t taken = 0;
  std::size_t refused = 0;
  const auto texts = node_payloads();
  ASSERT_FALSE(texts.empty());
  for (int round = 0; round < 10'000; ++round) {
    std::string json = texts[static_cast<std::size_t>(round) % texts.size()];
    mutate(json, random);
    for (const Signal signal : kSignals) {
      std::string wire;
      if (!parser.to_wire(signal, json, wire).ok()) {
        ++refused;
        continue;
      }
      ++taken;
      ASSERT_TRUE(new_request(signal)->ParseFromString(wire)) << json;
      const auto verdict = dom_verdict(json);
      ASSERT_TRUE(verdict == simdjson::SUCCESS || is_matter_of_opinion(verdict)) << json;
    }
  }
  EXPECT_GT(taken, 1000U);
  EXPECT_GT(refused, 1000U);
}

TEST(OtlpJson, UnknownFieldsAreJudgedAsAWholeParserJudgesThem) {
  std::mt19937 random(7);
  OtlpJsonParser parser;
  std::size_t taken = 0;
  std::size_t refused = 0;
  const auto texts = node_payloads();
  ASSERT_FALSE(texts.empty());
  for (int round = 0; round < 10'000; ++round) {
    std::string inside = texts[static_cast<std::size_t>(round) % texts.size()];
    mutate(inside, random);
    const std::string json = R"({"unknown":)" + inside + "}";
    const auto verdict = dom_verdict(json);
    if (is_matter_of_opinion(verdict)) continue;
    std::string wire;
    const bool accepted = parser.to_wire(Signal::traces, json, wire).ok();
    ASSERT_EQ(accepted, verdict == simdjson::SUCCESS) << simdjson::error_message(verdict) << json;
    (accepted ? taken : refused) += 1;
  }
  EXPECT_GT(taken, 1000U);
  EXPECT_GT(refused, 1000U);
}

}  // namespace
}  // namespace holdfast
