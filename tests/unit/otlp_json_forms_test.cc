// The forms that OTLP/JSON and protobuf's JSON mapping allow for each kind of value.
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "agent/otlp_json.h"
#include "tests/support/otlp_json_reference.h"

namespace holdfast {
namespace {

struct Form {
  const char* name;
  Signal signal;
  std::string json;
  const char* expected;  // protobuf text format
};

std::string span(const std::string& fields) {
  return R"({"resourceSpans":[{"scopeSpans":[{"spans":[{)" + fields + "}]}]}]}";
}

std::string body(const std::string& value) {
  return R"({"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":)" + value + "}]}]}]}";
}

std::string histogram(const std::string& fields) {
  return R"({"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"histogram":{"dataPoints":[{)" +
         fields + "}]}}]}]}]}";
}

std::string profile(const std::string& fields) {
  return R"({"resourceProfiles":[{"scopeProfiles":[{"profiles":[{)" + fields + "}]}]}]}";
}

class OtlpJsonForm : public testing::TestWithParam<Form> {};

TEST_P(OtlpJsonForm, MeansTheExpectedMessage) {
  const Form& form = GetParam();
  const auto expected = new_request(form.signal);
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(form.expected, expected.get()));
  OtlpJsonParser parser;
  std::string wire;
  const Status status = parser.to_wire(form.signal, form.json, wire);
  ASSERT_TRUE(status.ok()) << status.error().message;
  const auto actual = new_request(form.signal);
  ASSERT_TRUE(actual->ParseFromString(wire));
  EXPECT_EQ(expected->SerializeAsString(), actual->SerializeAsString()) << actual->DebugString();
}

#define SPAN(text) "resource_spans { scope_spans { spans { " text " } } }"
#define BODY(text) "resource_logs { scope_logs { log_records { body { " text " } } } }"
#define PROFILE(text) "resource_profiles { scope_profiles { profiles { " text " } } }"
#define HISTOGRAM(text) \
  "resource_metrics { scope_metrics { metrics { histogram { data_points { " text " } } } } }"

constexpr Signal kTraces = Signal::traces;
constexpr Signal kLogs = Signal::logs;
constexpr Signal kMetrics = Signal::metrics;
constexpr Signal kProfiles = Signal::profiles;

const std::vector<Form> kForms{
    {"EmptyObject", kTraces, "{}", ""},
    {"WhitespaceEverywhere", kTraces, " \n\t{ \"resourceSpans\" \r: [ { } , { } ] } \n",
     "resource_spans {} resource_spans {}"},
    {"IdsInLowerCase", kTraces,
     span(R"("traceId":"000102030405060708090a0b0c0d0eff","spanId":"a1b2c3d4e5f60718")"),
     SPAN(R"(trace_id: "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\xff"
              span_id: "\xa1\xb2\xc3\xd4\xe5\xf6\x07\x18")")},
    {"IdsInUpperCase", kTraces, span(R"("parentSpanId":"A1B2C3D4E5F60718")"),
     SPAN(R"(parent_span_id: "\xa1\xb2\xc3\xd4\xe5\xf6\x07\x18")")},
    {"IdsEmpty", kTraces, span(R"("traceId":"","spanId":"","parentSpanId":"")"), SPAN("")},
    {"IdsNull", kTraces, span(R"("traceId":null,"spanId":null,"name":"n")"), SPAN("name: 'n'")},
    {"Fixed64AsString", kTraces, span(R"("startTimeUnixNano":"18446744073709551615")"),
     SPAN("start_time_unix_nano: 18446744073709551615")},
    {"Fixed64AsNumber", kTraces, span(R"("startTimeUnixNano":18446744073709551615)"),
     SPAN("start_time_unix_nano: 18446744073709551615")},
    {"Fixed64AsIntegralDouble", kTraces,
     span(R"("startTimeUnixNano":1.0,"endTimeUnixNano":12.5e3,"flags":1E2)"),
     SPAN("start_time_unix_nano: 1 end_time_unix_nano: 12500 flags: 100")},
    {"Fixed64MinusZero", kTraces, span(R"("startTimeUnixNano":-0)"), SPAN("")},
    {"Int64Edges", kLogs, body(R"({"arrayValue":{"values":[{"intValue":"-9223372036854775808"},
        {"intValue":9223372036854775807},{"intValue":"-1e2"},{"intValue":-3.0}]}})"),
     BODY("array_value { values { int_value: -9223372036854775808 }"
          "values { int_value: 9223372036854775807 } values { int_value: -100 }"
          "values { int_value: -3 } }")},
    {"OneofMembersOfZeroAreWritten", kLogs,
     body(R"({"arrayValue":{"values":[{"intValue":0},{"stringValue":""},{"boolValue":false},
        {"doubleValue":0},{"bytesValue":""},{"arrayValue":{}},{"kvlistValue":{}},{}]}})"),
     BODY("array_value { values { int_value: 0 } values { string_value: '' }"
          "values { bool_value: false } values { double_value: 0 } values { bytes_value: '' }"
          "values { array_value {} } values { kvlist_value {} } values {} }")},
    {"NullMemberOfOneofIsUnset", kLogs, body(R"({"stringValue":null})"), BODY("")},
    {"NullBodyIsUnset", kLogs, body("null"), "resource_logs { scope_logs { log_records { } } }"},
    {"NullListIsEmpty", kLogs, R"({"resourceLogs":[{"scopeLogs":null}]})", "resource_logs { }"},
    {"NullElementKeepsItsPlace", kLogs,
     body(R"({"arrayValue":{"values":[null,{"intValue":1},null]}})"),
     BODY("array_value { values {} values { int_value: 1 } values {} }")},
    {"EnumAsNumber", kTraces, span(R"("kind":3,"status":{"code":2})"),
     SPAN("kind: SPAN_KIND_CLIENT status { code: STATUS_CODE_ERROR }")},
    {"EnumAsName", kTraces,
     span(R"("kind":"SPAN_KIND_CLIENT","status":{"code":"STATUS_CODE_ERROR"})"),
     SPAN("kind: SPAN_KIND_CLIENT status { code: STATUS_CODE_ERROR }")},
    {"EnumAsNumberInString", kTraces, span(R"("kind":"3")"), SPAN("kind: SPAN_KIND_CLIENT")},
    {"Doubles", kMetrics,
     histogram(R"("explicitBounds":[0,-0.0,1.5,"2.5",1e-400,"Infinity","-Infinity","1E3",
        123456789012345678901234567890])"),
     HISTOGRAM("explicit_bounds: [0, -0.0, 1.5, 2.5, 0, inf, -inf, 1000,"
               "123456789012345678901234567890]")},
    {"OptionalZeroIsWritten", kMetrics, histogram(R"("sum":0,"min":null,"max":0.0,"count":0)"),
     HISTOGRAM("sum: 0 max: 0")},
    {"PackedNumbersAndStrings", kMetrics, histogram(R"("bucketCounts":[0,"1",2e0,"300"])"),
     HISTOGRAM("bucket_counts: [0, 1, 2, 300]")},
    {"EmptyPackedList", kMetrics, histogram(R"("bucketCounts":[],"count":"1")"),
     HISTOGRAM("count: 1")},
    {"SignedOffsets", kMetrics,
     R"({"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"exponentialHistogram":{"dataPoints":[
        {"scale":-10,"positive":{"offset":-2147483648,"bucketCounts":["1"]},
         "negative":{"offset":2147483647}}]}}]}]}]})",
     "resource_metrics { scope_metrics { metrics { exponential_histogram { data_points { scale: -10"
     " positive { offset: -2147483648 bucket_counts: 1 } negative { offset: 2147483647 } } } } } "
     "}"},
    {"SnakeCaseNames", kLogs,
     R"({"resource_logs":[{"scope_logs":[{"log_records":[{"time_unix_nano":"5",
        "body":{"string_value":"x"}}]}]}]})",
     "resource_logs { scope_logs { log_records { time_unix_nano: 5 body { string_value: 'x' } } } "
     "}"},
    {"EscapedNames", kTraces, span(R"("n\u0061me":"n","\u006bind":1)"), SPAN("name: 'n' kind: 1")},
    {"Escapes", kTraces, span(R"("name":"\"\\\/\b\f\n\r\t\u00e9\u20AC\ud83d\ude00\u0000.")"),
     SPAN(R"(name: "\"\\/\b\f\n\r\t\u00e9\u20ac\U0001f600\000.")")},
    {"HalfSurrogatesBecomeReplacementCharacters", kTraces,
     span(R"("name":"\ud83d","traceState":"a\ude00\ud83d\ud83d\ude00b")"),
     SPAN(R"(name: "\ufffd" trace_state: "a\ufffd\ufffd\U0001f600b")")},
    {"ProfileIdAsTheCollectorWritesIt", kProfiles,
     profile(R"("profileId":"000102030405060708090A0b0c0d0eff","originalPayload":"AP8=")"),
     PROFILE(R"(profile_id: "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\xff"
                original_payload: "\x00\xff")")},
    {"IndicesAndValues", kProfiles,
     profile(R"("samples":[{"stackIndex":1,"values":["-1",2],"timestampsUnixNano":["5"],
                 "attributeIndices":[0,-1]}])"),
     PROFILE("samples { stack_index: 1 values: [-1, 2] timestamps_unix_nano: 5 "
             "attribute_indices: [0, -1] }")},
    {"DictionaryBesideTheResources", kProfiles,
     R"({"dictionary":{"stringTable":["","a"],"linkTable":[{"spanId":"0102030405060708"}]},
         "resourceProfiles":[{}]})",
     R"(resource_profiles {} dictionary { string_table: ["", "a"]
         link_table { span_id: "\x01\x02\x03\x04\x05\x06\x07\x08" } })"},
    {"Base64Padded", kLogs, body(R"({"bytesValue":"+/8="})"), BODY(R"(bytes_value: "\xfb\xff")")},
    {"Base64Unpadded", kLogs, body(R"({"bytesValue":"+/8"})"), BODY(R"(bytes_value: "\xfb\xff")")},
    {"Base64ForAddresses", kLogs, body(R"({"bytesValue":"-_8"})"),
     BODY(R"(bytes_value: "\xfb\xff")")},
    {"Base64WithEscapedSlash", kLogs, body(R"({"bytesValue":"+\/8="})"),
     BODY(R"(bytes_value: "\xfb\xff")")},
    {"UnknownFieldsAreIgnored", kTraces,
     R"({"x":{"a":[1,-2.5e+3,"s\u00e9",true,false,null,{}],"b":[[]]},"resourceSpans":[{"y":"z",
        "schemaUrl":"s","":1,"resource":{"q":[]}}]})",
     "resource_spans { resource {} schema_url: 's' }"},
    {"LastOfTwoScalarsWins", kTraces, span(R"("name":"a","kind":2,"name":"","kind":0)"), SPAN("")},
    {"NullDoesNotUndo", kTraces, span(R"("name":"a","name":null)"), SPAN("name: 'a'")},
    {"TwoListsAreJoined", kTraces, R"({"resourceSpans":[{}],"resourceSpans":[{"schemaUrl":"2"}]})",
     "resource_spans {} resource_spans { schema_url: '2' }"},
    {"TwoMessagesAreMerged", kTraces, span(R"("status":{"code":1},"status":{"message":"m"})"),
     SPAN("status { code: STATUS_CODE_OK message: 'm' }")},
    {"LastMemberOfOneofWins", kLogs, body(R"({"stringValue":"a","intValue":"7"})"),
     BODY("int_value: 7")},
};

INSTANTIATE_TEST_SUITE_P(All, OtlpJsonForm, testing::ValuesIn(kForms),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(OtlpJson, NotANumberIsANumber) {
  OtlpJsonParser parser;
  std::string wire;
  ASSERT_TRUE(parser.to_wire(kMetrics, histogram(R"("sum":"NaN")"), wire).ok());
  MetricsRequest request;
  ASSERT_TRUE(request.ParseFromString(wire));
  const auto& metric = request.resource_metrics(0).scope_metrics(0).metrics(0);
  EXPECT_TRUE(std::isnan(metric.histogram().data_points(0).sum()));
}

TEST(OtlpJson, DefaultsTakeNoRoomOnTheWire) {
  OtlpJsonParser parser;
  std::string wire;
  ASSERT_TRUE(parser
                  .to_wire(kTraces,
                           span(R"("name":"","kind":0,"droppedLinksCount":0,"links":[],"flags":0,
                                   "startTimeUnixNano":"0","traceId":"")"),
                           wire)
                  .ok());
  EXPECT_EQ(wire, std::string("\x0A\x04\x12\x02\x12\x00", 6));
}

}  // namespace
}  // namespace holdfast
