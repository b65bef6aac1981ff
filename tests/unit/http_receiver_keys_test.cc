// The row of the other keys: response headers, CORS, keep-alive, timeouts.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/http_receiver_fixture.h"

namespace holdfast {
namespace {

using HttpReceiverKeysTest = HttpReceiverFixture;

TEST_F(HttpReceiverKeysTest, OtherKeysRowResponseHeaders) {
  config_.response_headers = {{"X-Agent", "holdfast"}, {"Content-Type", "text/html"}};
  start();
  RawHttpClient one = client();
  const std::vector<std::string> requests{
      http_post(spans_request(1)), http_post("{", kJsonType), http_post("", "text/plain"),
      http_post("x", kProtobufType, coded("br")), http_post("", kProtobufType, "", "/nowhere")};
  for (const std::string& request : requests) {
    const RawResponse response = one.exchange(request);
    EXPECT_EQ("holdfast", response.header("X-Agent")) << response.status;
    EXPECT_NE("text/html", response.header("Content-Type"));
  }
  config_.request_body_bytes_max = 1;
  start();
  EXPECT_EQ("holdfast", exchange(http_post("large")).header("X-Agent"));
}

TEST_F(HttpReceiverKeysTest, OnlyTheCodingsThatAreListedAreTaken) {
  config_.compression_algorithms = {"", "zstd"};
  start();
  RawHttpClient one = client();
  EXPECT_EQ(200, one.exchange(http_post(spans_request(1))).status);
  const RawResponse gzip = one.exchange(http_post("x", kProtobufType, coded("gzip")));
  EXPECT_EQ(400, gzip.status);
  EXPECT_NE(gzip.body.find("unsupported Content-Encoding: gzip"), std::string::npos) << gzip.body;
  const RawResponse zstd = one.exchange(http_post("x", kProtobufType, coded("zstd")));
  EXPECT_EQ(zstd.body.find("unsupported"), std::string::npos) << zstd.body;
  // As in the Collector, a list without "" takes no body as it is.
  config_.compression_algorithms = {"zstd"};
  start();
  EXPECT_EQ(400, exchange(http_post(spans_request(1))).status);
}

TEST_F(HttpReceiverKeysTest, OtherKeysRowCorsPreflight) {
  config_.cors.allowed_origins = {"https://*.example.com", "http://localhost:3000"};
  config_.cors.allowed_headers = {"X-Tenant", "Content-Type"};
  config_.cors.max_age_s = 7200;
  config_.response_headers = {{"X-Agent", "holdfast"}};
  start();
  RawHttpClient one = client();
  const auto preflight = [&](const std::string& headers) {
    return one.exchange("OPTIONS /v1/traces HTTP/1.1\r\nHost: a\r\n" + headers + "\r\n");
  };
  const RawResponse allowed = preflight(
      "Origin: https://App.example.com\r\nAccess-Control-Request-Method: POST\r\n"
      "Access-Control-Request-Headers: content-type,x-tenant\r\n");
  EXPECT_EQ(204, allowed.status);
  EXPECT_FALSE(allowed.header("Content-Length"));
  EXPECT_EQ("https://App.example.com", allowed.header("Access-Control-Allow-Origin"));
  EXPECT_EQ("POST", allowed.header("Access-Control-Allow-Methods"));
  EXPECT_EQ("content-type,x-tenant", allowed.header("Access-Control-Allow-Headers"));
  EXPECT_EQ("true", allowed.header("Access-Control-Allow-Credentials"));
  EXPECT_EQ("7200", allowed.header("Access-Control-Max-Age"));
  EXPECT_EQ("holdfast", allowed.header("X-Agent"));
  for (const char* refused :
       {"Origin: https://evil.com\r\nAccess-Control-Request-Method: POST\r\n",
        "Origin: https://.example.co\r\nAccess-Control-Request-Method: POST\r\n",
        "Access-Control-Request-Method: POST\r\n",
        "Origin: http://localhost:3000\r\nAccess-Control-Request-Method: DELETE\r\n",
        "Origin: http://localhost:3000\r\nAccess-Control-Request-Method: POST\r\n"
        "Access-Control-Request-Headers: x-other\r\n"}) {
    const RawResponse response = preflight(refused);
    EXPECT_EQ(204, response.status);
    EXPECT_FALSE(response.header("Access-Control-Allow-Origin")) << refused;
    EXPECT_EQ("Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
              response.header("Vary"));
  }
  EXPECT_EQ(405, preflight("Origin: http://localhost:3000\r\n").status);  // not a preflight
}

TEST_F(HttpReceiverKeysTest, OtherKeysRowCorsRequests) {
  config_.cors.allowed_origins = {"*"};
  config_.cors.exposed_headers = {"x-request-id", "Date"};
  start();
  RawHttpClient one = client();
  const RawResponse response =
      one.exchange(http_post(spans_request(1), kProtobufType, "Origin: https://a.b\r\n"));
  EXPECT_EQ(200, response.status);
  EXPECT_EQ("*", response.header("Access-Control-Allow-Origin"));
  EXPECT_EQ("X-Request-Id, Date", response.header("Access-Control-Expose-Headers"));
  EXPECT_EQ("Origin", response.header("Vary"));
  const RawResponse failed =
      one.exchange(http_post("\xff", kProtobufType, "Origin: https://a.b\r\n"));
  EXPECT_EQ("*", failed.header("Access-Control-Allow-Origin"));
  const RawResponse plain = one.exchange(http_post(spans_request(1)));
  EXPECT_FALSE(plain.header("Access-Control-Allow-Origin"));
  EXPECT_EQ("Origin", plain.header("Vary"));
}

TEST_F(HttpReceiverKeysTest, OtherKeysRowWithoutCorsNothingIsAdded) {
  start();
  const RawResponse response =
      exchange(http_post(spans_request(1), kProtobufType, "Origin: https://a.b\r\n"));
  EXPECT_FALSE(response.header("Vary"));
  EXPECT_FALSE(response.header("Access-Control-Allow-Origin"));
  EXPECT_EQ(405, exchange("OPTIONS /v1/traces HTTP/1.1\r\nHost: a\r\nOrigin: https://a.b\r\n"
                          "Access-Control-Request-Method: POST\r\n\r\n")
                     .status);
}

TEST_F(HttpReceiverKeysTest, OtherKeysRowKeepAlivesAndTimeouts) {
  config_.keep_alives = false;
  config_.read_header_timeout = milliseconds(50);
  start();
  RawHttpClient one = client();
  EXPECT_EQ("close", one.exchange(http_post(spans_request(1))).header("Connection"));
  EXPECT_TRUE(one.ended_by_server());
  RawHttpClient slow = client();
  slow.send("POST /v1/traces HTTP/1.1\r\n");
  EXPECT_EQ(408, slow.receive().status);
}

}  // namespace
}  // namespace holdfast
