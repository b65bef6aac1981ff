// Row by row: what an answer of the upstream means.
#include "exporters/response_policy.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "exporters/answer_body.h"

namespace holdfast {
namespace {

using Outcome = SendResult::Outcome;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::int64_t kNow = 1'700'000'000;  // Tue, 14 Nov 2023 22:13:20 GMT

SendResult judge(int status, std::string_view content_type = "", std::string_view body = "",
                 std::string_view retry_after = "") {
  return judge_answer(
      {.status = status, .content_type = content_type, .retry_after = retry_after, .body = body},
      kNow);
}

TEST(ResponsePolicy, TableOfStatuses) {
  struct Row {
    std::vector<int> statuses;
    Outcome outcome;
    bool upstream_down;
  };
  const std::vector<Row> rows{
      {{200, 202, 204}, Outcome::delivered, false},
      {{400, 415, 422}, Outcome::rejected, false},
      {{413}, Outcome::too_large, false},
      {{401, 403, 407, 408}, Outcome::hold, false},
      {{402, 404, 405, 406, 409, 410, 411, 414, 418, 431, 451, 499, 501, 505},
       Outcome::hold,
       false},
      {{429, 500, 507, 520, 599, 100, 199, 300, 301, 302, 307, 308, 600, 0, -1},
       Outcome::retry,
       false},
      {{502, 503, 504, 511}, Outcome::retry, true},
  };
  for (const Row& row : rows) {
    for (const int status : row.statuses) {
      const SendResult result = judge(status);
      EXPECT_EQ(result.outcome, row.outcome) << status;
      EXPECT_EQ(result.upstream_down, row.upstream_down) << status;
      EXPECT_EQ(result.status, status);
    }
  }
}

TEST(ResponsePolicy, SuccessNeedsAnOtlpContentTypeOrNoBody) {
  EXPECT_EQ(judge(200, "application/x-protobuf", "x").outcome, Outcome::delivered);
  EXPECT_EQ(judge(200, "Application/X-Protobuf ; charset=utf-8", "x").outcome, Outcome::delivered);
  EXPECT_EQ(judge(200, "application/json;charset=utf-8", "{}").outcome, Outcome::delivered);
  EXPECT_EQ(judge(200, "text/html", "").outcome, Outcome::delivered);
  for (const char* type :
       {"text/html", "", "application/jsonp", "application/json5;a", "text/plain"}) {
    const SendResult portal = judge(200, type, "<html>log in</html>");
    EXPECT_EQ(portal.outcome, Outcome::retry) << type;
    EXPECT_TRUE(portal.upstream_down);
    EXPECT_FALSE(portal.message.empty());
  }
}

TEST(ResponsePolicy, RetryAfterCountsOn429And503Only) {
  EXPECT_EQ(judge(429, "", "", "7").retry_after, seconds(7));
  EXPECT_EQ(judge(503, "", "", "7").retry_after, seconds(7));
  EXPECT_EQ(judge(502, "", "", "7").retry_after, std::nullopt);
  EXPECT_EQ(judge(400, "", "", "7").retry_after, std::nullopt);
  EXPECT_EQ(judge(503).retry_after, std::nullopt);
}

TEST(ResponsePolicy, RetryAfterInSecondsOrAsDate) {
  EXPECT_EQ(parse_retry_after("0", kNow), seconds(0));
  EXPECT_EQ(parse_retry_after(" 120 ", kNow), seconds(120));
  EXPECT_EQ(parse_retry_after("Tue, 14 Nov 2023 22:14:20 GMT", kNow), seconds(60));
  EXPECT_EQ(parse_retry_after("Tuesday, 14-Nov-23 22:14:20 GMT", kNow), seconds(60));
  EXPECT_EQ(parse_retry_after("Tue Nov 14 22:14:20 2023", kNow), seconds(60));
  EXPECT_EQ(parse_retry_after("Tue, 14 Nov 2023 22:00:00 GMT", kNow), seconds(0));  // past
  EXPECT_EQ(parse_retry_after("Thu, 14 Nov 2099 22:00:00 GMT", kNow), milliseconds(kRetryAfterMax));
  EXPECT_EQ(parse_retry_after("99999999999999999999999", kNow), milliseconds(kRetryAfterMax));
  for (const char* bad : {"", " ", "-1", "1.5", "soon", "12h", "\xFF"}) {
    EXPECT_EQ(parse_retry_after(bad, kNow), std::nullopt) << bad;
  }
}

TEST(ResponsePolicy, MessageIsTheStatusOfTheAnswerOrItsBodyCut) {
  EXPECT_EQ(judge(400, "application/x-protobuf",
                  "\x08\x03\x12\x03"
                  "bad")
                .message,
            "bad");
  EXPECT_EQ(judge(400, "application/json", R"({"code":3,"message":"bad"})").message, "bad");
  EXPECT_EQ(judge(400, "application/json", R"({"error":"bad"})").message, R"({"error":"bad"})");
  EXPECT_EQ(judge(400, "text/plain", "bad").message, "bad");
  EXPECT_EQ(judge(400, "text/plain", std::string(100'000, 'x')).message.size(), kMessageBytesMax);
}

TEST(PartialSuccess, ReadFromProtobufAndJson) {
  const std::string protobuf("\x0A\x07\x08\x05\x12\x03why", 9);
  EXPECT_EQ(judge(200, "application/x-protobuf", protobuf).rejected_items, 5U);
  EXPECT_EQ(judge(200, "application/x-protobuf", protobuf).message, "why");
  for (const char* key :
       {"rejectedSpans", "rejectedDataPoints", "rejectedLogRecords", "rejectedProfiles"}) {
    for (const char* value : {"5", "\"5\""}) {
      const std::string json = std::string(R"({"partialSuccess":{")") + key + "\":" + value +
                               R"(,"errorMessage":"why"}})";
      const SendResult result = judge(200, "application/json", json);
      EXPECT_EQ(result.outcome, Outcome::delivered);
      EXPECT_EQ(result.rejected_items, 5U) << json;
      EXPECT_EQ(result.message, "why");
    }
  }
}

TEST(PartialSuccess, NoneWhereAllIsWell) {
  const auto protobuf = AnswerEncoding::protobuf;
  EXPECT_FALSE(read_partial_success(protobuf, ""));
  EXPECT_FALSE(read_partial_success(protobuf, std::string_view("\x0A\x00", 2)));
  EXPECT_FALSE(read_partial_success(AnswerEncoding::json, "{}"));
  EXPECT_FALSE(read_partial_success(AnswerEncoding::json, R"({"partialSuccess":{}})"));
  EXPECT_FALSE(read_partial_success(AnswerEncoding::json, R"({"partialSuccess":null})"));
  EXPECT_FALSE(read_partial_success(AnswerEncoding::other, "\x0A\x02\x08\x05"));
}

TEST(PartialSuccess, HostileBodiesDoNoHarm) {
  const std::string negative("\x0A\x0B\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 13);
  EXPECT_FALSE(read_partial_success(AnswerEncoding::protobuf, negative));
  const std::string whole("\x0A\x07\x08\x05\x12\x03why", 9);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    read_partial_success(AnswerEncoding::protobuf, std::string_view(whole).substr(0, length));
  }
  for (const char* json :
       {"", "{", "[]", "7", "\"", R"({"partialSuccess":[]})",
        R"({"partialSuccess":{"rejectedSpans":"-5"}})",
        R"({"partialSuccess":{"rejectedSpans":-5}})", R"({"partialSuccess":{"rejectedSpans":{}}})",
        R"({"partialSuccess":{"rejectedSpans":"99999999999999999999999"}})"}) {
    EXPECT_FALSE(read_partial_success(AnswerEncoding::json, json)) << json;
  }
  EXPECT_FALSE(read_partial_success(AnswerEncoding::json, std::string(60'000, '[')));
  std::mt19937 random(7);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes(random() % 40, '\0');
    for (char& c : bytes) c = static_cast<char>(random() % 3 == 0 ? random() % 32 : random());
    const SendResult result = judge(200, "application/x-protobuf", bytes);
    ASSERT_LE(result.rejected_items, static_cast<std::uint64_t>(INT64_MAX));
    ASSERT_LE(result.message.size(), kMessageBytesMax);
    read_status_message(AnswerEncoding::protobuf, bytes);
    read_status_message(AnswerEncoding::json, bytes);
  }
}

}  // namespace
}  // namespace holdfast
