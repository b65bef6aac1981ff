#include "agent/config_values.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

using std::chrono::milliseconds;

TEST(ConfigValuesTest, DurationsAreGos) {
  EXPECT_EQ(parse_duration("1m30s"), milliseconds(90'000));
  EXPECT_EQ(parse_duration("1.5h"), milliseconds(5'400'000));
  EXPECT_EQ(parse_duration("200ms"), milliseconds(200));
  EXPECT_EQ(parse_duration("0"), milliseconds(0));
  EXPECT_EQ(parse_duration("-5s"), milliseconds(-5'000));
  EXPECT_EQ(parse_duration("+5s"), milliseconds(5'000));
  EXPECT_EQ(parse_duration(".5s"), milliseconds(500));
  EXPECT_EQ(parse_duration("10us"), milliseconds(1));  // not zero stays not zero
  EXPECT_EQ(parse_duration("0ns"), milliseconds(0));
  EXPECT_EQ(parse_duration("1500µs"), milliseconds(2));
  for (const char* wrong :
       {"", "-", "5", "s", "5 s", "1.2.3s", "5d", "99999999999h", "1m30", "."}) {
    EXPECT_EQ(parse_duration(wrong), std::nullopt) << wrong;
  }
}

TEST(ConfigValuesTest, DurationTextReadsBack) {
  for (const std::int64_t ms : {0LL, 1LL, 1'000LL, 90'000LL, 5'400'001LL, 64'800'000LL, -2'500LL}) {
    EXPECT_EQ(parse_duration(duration_text(milliseconds(ms))), milliseconds(ms)) << ms;
  }
  EXPECT_EQ(duration_text(milliseconds(5'430'250)), "1h30m30s250ms");
}

TEST(ConfigValuesTest, SizesAreBytesOrHaveAUnit) {
  EXPECT_EQ(parse_size("0"), 0U);
  EXPECT_EQ(parse_size("1048576"), 1'048'576U);
  EXPECT_EQ(parse_size("8MiB"), 8U << 20);
  EXPECT_EQ(parse_size("10 MB"), 10'000'000U);
  EXPECT_EQ(parse_size("512kib"), 512U << 10);
  EXPECT_EQ(parse_size("1.5GiB"), 1'610'612'736U);
  EXPECT_EQ(parse_size("7B"), 7U);
  for (const char* wrong : {"", "-1", "8M", "MiB", "8MiBs", "1e3", "99999999TiB", "0x10"}) {
    EXPECT_EQ(parse_size(wrong), std::nullopt) << wrong;
  }
  EXPECT_EQ(size_text(8U << 20), "8MiB");
  EXPECT_EQ(size_text(1'000), "1000 bytes");
  EXPECT_EQ(size_text(0), "0 bytes");
}

TEST(ConfigValuesTest, EndpointsHaveAHostAndAPort) {
  EXPECT_EQ(parse_endpoint("localhost:4317")->host, "localhost");
  EXPECT_EQ(parse_endpoint("localhost:4317")->port, 4317);
  EXPECT_EQ(parse_endpoint(":0")->host, "");
  EXPECT_EQ(parse_endpoint("[::1]:65535")->host, "::1");
  for (const char* wrong : {"", "localhost", "localhost:", "localhost:65536", "localhost:-1",
                            "::1:4317", "[]:1", "[::1:1", "a b:1", "http://a:1", "a:99999999999"}) {
    EXPECT_FALSE(parse_endpoint(wrong)) << wrong;
  }
}

TEST(ConfigValuesTest, UrlsAreHttpOrHttps) {
  for (const char* good : {"http://localhost:4318", "https://a.example.com/x?y=1", "http://[::1]",
                           "http://[::1]:4318/v1", "http://u:p@h:1", "http://h"}) {
    EXPECT_TRUE(is_http_url(good)) << good;
  }
  for (const char* wrong :
       {"", "localhost:4318", "ftp://x", "http://", "http:///x", "http://:80", "http://a:b",
        "http://a b", "http://a:0", "HTTP//a", "http://a:70000"}) {
    EXPECT_FALSE(is_http_url(wrong)) << wrong;
  }
}

TEST(ConfigValuesTest, NumbersAreWhole) {
  EXPECT_EQ(parse_integer("-12"), -12);
  EXPECT_EQ(parse_integer("+12"), 12);
  EXPECT_EQ(parse_integer("99999999999999999999"), std::nullopt);
  EXPECT_EQ(parse_integer("1.0"), std::nullopt);
  EXPECT_EQ(parse_number("1e3"), 1000.0);
  EXPECT_EQ(parse_number("-0.5"), -0.5);
  EXPECT_EQ(parse_number("1e999"), std::nullopt);
  EXPECT_EQ(parse_number("nan"), std::nullopt);
}

TEST(ConfigValuesTest, NearestIsByEdits) {
  const std::vector<std::string> words{"endpoint", "timeout", "headers", "tls"};
  EXPECT_EQ(nearest("endpiont", words), "endpoint");
  EXPECT_EQ(nearest("ENDPOINT", words), "endpoint");
  EXPECT_EQ(nearest("time_out", words), "timeout");
  EXPECT_EQ(nearest("tsl", words), "tls");
  EXPECT_EQ(nearest("zzzz", words), std::nullopt);
  EXPECT_EQ(nearest("", words), std::nullopt);
  EXPECT_EQ(nearest(std::string(100'000, 'e'), words), std::nullopt);
}

}  // namespace
}  // namespace holdfast
