// Bodies in each form that an exporter may want.
#include "agent/request_body.h"

#include <gtest/gtest.h>

#include <string>

#include "agent/content_coding.h"
#include "agent/otlp_json.h"
#include "tests/support/wire_bytes.h"

namespace holdfast {
namespace {

using reference::attribute;
using reference::with_item;

std::string request(const std::string& text = "a text") {
  return with_item(attribute(9, "payload", text));
}

TEST(RequestBodyTest, ProtobufWithoutACodingIsTheRequestItself) {
  const std::string sent = request();
  RequestBody body(Signal::traces, {});
  EXPECT_EQ(sent.data(), body.make(sent)->data());
}

TEST(RequestBodyTest, JsonIsWhatAReaderTurnsBackIntoTheRequest) {
  RequestBody body(Signal::traces, {.encoding = BodyEncoding::json});
  const std::string json(*body.make(request()));
  EXPECT_TRUE(json.starts_with(R"({"resourceSpans":[)")) << json;
  std::string wire;
  ASSERT_TRUE(OtlpJsonParser().to_wire(Signal::traces, json, wire).ok());
  EXPECT_EQ(request(), wire);
}

TEST(RequestBodyTest, JsonGoesInEachCoding) {
  for (const ContentCoding coding : {ContentCoding::gzip, ContentCoding::zlib, ContentCoding::zstd,
                                     ContentCoding::snappy, ContentCoding::lz4}) {
    RequestBody body(Signal::traces, {.coding = coding, .encoding = BodyEncoding::json});
    std::string json;
    ASSERT_EQ(DecodeError::none,
              decode_content(coding_name(coding), *body.make(request()), 1 << 20, json));
    EXPECT_EQ(*RequestBody(Signal::traces, {.encoding = BodyEncoding::json}).make(request()), json);
  }
}

TEST(RequestBodyTest, AHigherLevelOfZstdMakesLess) {
  std::string text;
  for (unsigned i = 0; i < 20'000; ++i) text += std::to_string(i * i * 2654435761U % 1000);
  const auto length = [&](int level) {
    RequestBody body(Signal::traces, {.coding = ContentCoding::zstd, .level = level});
    return body.make(request(text))->size();
  };
  EXPECT_EQ(length(0), length(1));
  EXPECT_LT(length(19), length(1));
  EXPECT_EQ(length(22), length(1000));
}

TEST(RequestBodyTest, BytesThatAreNoRequestAreAnErrorInJson) {
  RequestBody body(Signal::traces, {.encoding = BodyEncoding::json});
  EXPECT_FALSE(body.make("\x0a\x7fx").ok());
}

}  // namespace
}  // namespace holdfast
