// Whole documents: what SDKs send, and random messages printed by protobuf, must come out as the
// same messages.
#include "agent/otlp_json.h"

#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "tests/support/otlp_json_reference.h"
#include "tests/support/random_message.h"

namespace holdfast {
namespace {

using google::protobuf::Message;

const std::filesystem::path kPayloads = std::filesystem::path(HOLDFAST_GOLDEN_DIR) / "payloads";

std::vector<std::filesystem::path> payloads(std::string_view extension) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(kPayloads)) {
    if (entry.path().extension() == extension) paths.push_back(entry.path());
  }
  return paths;
}

std::string content_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

Signal signal_of(const std::filesystem::path& path) {
  const std::string name = path.filename();
  return signal_from_name(name.substr(0, name.find('-'))).value();
}

std::string difference(const Message& expected, const Message& actual) {
  std::string report;
  google::protobuf::util::MessageDifferencer differencer;
  differencer.ReportDifferencesToString(&report);
  differencer.Compare(expected, actual);
  return report;
}

void expect_converts_to(Signal signal, const std::string& json, const Message& expected) {
  OtlpJsonParser parser;
  std::string wire;
  const Status status = parser.to_wire(signal, json, wire);
  ASSERT_TRUE(status.ok()) << status.error().message << "\n" << json;
  const auto actual = new_request(signal);
  ASSERT_TRUE(actual->ParseFromString(wire)) << json;
  EXPECT_EQ(expected.SerializeAsString(), actual->SerializeAsString())
      << difference(expected, *actual) << json;
}

TEST(OtlpJson, NodePayloadsMeanWhatProtobufReadsInThem) {
  std::size_t compared = 0;
  for (const auto& path : payloads(".json")) {
    SCOPED_TRACE(path);
    const std::string json = content_of(path);
    const auto expected = new_request(signal_of(path));
    const auto read = google::protobuf::util::JsonStringToMessage(with_ids(json, base64_from_hex),
                                                                  expected.get());
    ASSERT_TRUE(read.ok()) << read.ToString();
    ASSERT_FALSE(expected->SerializeAsString().empty());
    expect_converts_to(signal_of(path), json, *expected);
    ++compared;
  }
  EXPECT_GE(compared, 6U);
}

TEST(OtlpJson, BinaryPayloadsOfAllSdksSurviveTheWayThroughJson) {
  std::size_t compared = 0;
  for (const auto& path : payloads(".pb")) {
    SCOPED_TRACE(path);
    const auto request = new_request(signal_of(path));
    ASSERT_TRUE(request->ParseFromString(content_of(path)));
    std::string json;
    ASSERT_TRUE(google::protobuf::util::MessageToJsonString(*request, &json).ok());
    expect_converts_to(signal_of(path), with_ids(json, hex_from_base64), *request);
    ++compared;
  }
  EXPECT_GE(compared, 20U);
}

TEST(OtlpJson, RandomMessagesSurviveTheWayThroughJsonInEachOfItsForms) {
  constexpr int kRounds = 300;
  constexpr int kDepth = 7;
  std::size_t bytes = 0;
  for (const Signal signal : kSignals) {
    for (int round = 0; round < kRounds; ++round) {
      const auto request = new_request(signal);
      RandomMessage(static_cast<std::uint32_t>(round)).fill(*request, kDepth);
      google::protobuf::util::JsonPrintOptions form;
      form.always_print_enums_as_ints = round % 2 == 0;
      form.preserve_proto_field_names = round % 3 == 0;
      form.always_print_primitive_fields = round % 5 == 0;
      form.add_whitespace = round % 7 == 0;
      std::string json;
      ASSERT_TRUE(google::protobuf::util::MessageToJsonString(*request, &json, form).ok());
      if (form.add_whitespace) json = std::regex_replace(json, std::regex("\": \""), "\":\"");
      expect_converts_to(signal, with_ids(json, hex_from_base64), *request);
      if (HasFatalFailure()) return;
      bytes += request->ByteSizeLong();
    }
  }
  EXPECT_GT(bytes, 100'000U);
}

TEST(OtlpJson, AppendsToWhatIsThereAndLeavesItAloneOnError) {
  OtlpJsonParser parser;
  std::string wire = "before";
  ASSERT_TRUE(parser.to_wire(Signal::logs, R"({"resourceLogs":[{}]})", wire).ok());
  EXPECT_EQ(wire, std::string("before\x0A\x00", 8));
  ASSERT_FALSE(parser.to_wire(Signal::logs, R"({"resourceLogs":[{},)", wire).ok());
  EXPECT_EQ(wire, std::string("before\x0A\x00", 8));
}

TEST(OtlpJson, OneParserReadsDocumentsOfAllSizesOneAfterAnother) {
  OtlpJsonParser parser;
  for (const std::size_t length : {10U, 2'000'000U, 0U, 100'000U, 700'000U, 1U}) {
    const std::string name(length, 'n');
    const std::string json = R"({"resourceLogs":[{"schemaUrl":")" + name + R"("}]})";
    std::string wire;
    const Status status = parser.to_wire(Signal::logs, json, wire);
    ASSERT_TRUE(status.ok()) << status.error().message;
    LogsRequest request;
    ASSERT_TRUE(request.ParseFromString(wire));
    EXPECT_EQ(request.resource_logs(0).schema_url(), name);
  }
}

TEST(OtlpJson, LengthsOfAllSizesComeOutInTheirShortestForm) {
  OtlpJsonParser parser;
  for (const int shift : {6, 7, 8, 13, 14, 15, 20, 21, 22}) {
    for (int around = -6; around <= 6; ++around) {
      LogsRequest request;
      auto* record = request.add_resource_logs()->add_scope_logs()->add_log_records();
      record->mutable_body()->set_string_value(
          std::string(static_cast<std::size_t>((1 << shift) + around), 'v'));
      record->set_severity_text("after");
      std::string json;
      ASSERT_TRUE(google::protobuf::util::MessageToJsonString(request, &json).ok());
      std::string wire;
      ASSERT_TRUE(parser.to_wire(Signal::logs, json, wire).ok());
      LogsRequest actual;
      ASSERT_TRUE(actual.ParseFromString(wire));
      EXPECT_EQ(actual.SerializeAsString(), request.SerializeAsString());
      EXPECT_EQ(wire.size(), request.ByteSizeLong());
    }
  }
}

}  // namespace
}  // namespace holdfast
