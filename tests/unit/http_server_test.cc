// HTTP/1.1 as clients speak it.
#include <curl/curl.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>

#include "tests/support/http_server_fixture.h"

namespace holdfast {
namespace {

TEST_F(HttpServerTest, AnswersWithLengthDateAndTheConnectionStays) {
  start();
  RawHttpClient one = client();
  const RawResponse response = one.exchange(post("hello"));
  EXPECT_EQ(200, response.status);
  EXPECT_EQ("POST /echo hello", response.body);
  EXPECT_EQ("16", response.header("Content-Length"));
  EXPECT_EQ("text/plain", response.header("Content-Type"));
  EXPECT_EQ(29U, response.header("Date").value_or("").size());
  EXPECT_FALSE(response.header("Connection"));
  for (int i = 0; i < 100; ++i) {
    const std::string body(static_cast<std::size_t>(i) * 1'000, 'b');
    EXPECT_EQ("POST /echo " + body, one.exchange(post(body)).body);
  }
  EXPECT_EQ(1U, server_->connections());
}

TEST_F(HttpServerTest, PipelinedRequestsAreAnsweredInOrder) {
  start();
  std::string requests;
  for (int i = 0; i < 200; ++i) {
    const std::string number = std::to_string(i);
    requests += i % 3 == 0 ? kChunkedHead + chunk(number) + "0\r\n\r\n" : post(number);
  }
  RawHttpClient one = client();
  one.send(requests);
  for (int i = 0; i < 200; ++i) EXPECT_EQ("POST /echo " + std::to_string(i), one.receive().body);
}

TEST_F(HttpServerTest, PipelinedRequestsWaitForTheAnswerBefore) {
  start();
  RawHttpClient one = client();
  one.send(post("", "", "/hold") + post("second"));
  wait_for_held(1);
  EXPECT_FALSE(one.readable_within(50));
  release();
  EXPECT_EQ("held", one.receive().body);
  EXPECT_EQ("POST /echo second", one.receive().body);
}

TEST_F(HttpServerTest, RequestsMayComeByteByByte) {
  start();
  RawHttpClient one = client();
  const std::string chunked = kChunkedHead + chunk("tele") + chunk("metry") + "0\r\n\r\n";
  for (const std::string& request : {post("telemetry"), chunked}) {
    for (const char byte : request) ASSERT_TRUE(one.send({&byte, 1}));
    EXPECT_EQ("POST /echo telemetry", one.receive().body);
  }
}

TEST_F(HttpServerTest, ChunksMayHaveExtensionsAndTrailers) {
  start();
  RawHttpClient one = client();
  const std::string body = "4;name=value\r\ntele\r\n5\r\nmetry\r\n0\r\nChecksum: 1\r\n\r\n";
  EXPECT_EQ("POST /echo telemetry", one.exchange(kChunkedHead + body).body);
  EXPECT_EQ("POST /echo x", one.exchange(post("x")).body);
}

TEST_F(HttpServerTest, LargeChunkedBodiesArrive) {
  start();
  std::string expected;
  std::string request = kChunkedHead;
  for (int i = 0; i < 300; ++i) {
    const std::string part(static_cast<std::size_t>(1 + i * 97), static_cast<char>('a' + i % 26));
    expected += part;
    request += chunk(part);
  }
  RawHttpClient one = client();
  std::thread sender([&] { one.send(request + "0\r\n\r\n"); });
  EXPECT_TRUE(one.receive().body == "POST /echo " + expected);
  sender.join();
}

TEST_F(HttpServerTest, AClientThatExpectsContinueIsToldToGoOn) {
  start();
  RawHttpClient one = client();
  const std::string request = post("telemetry", "Expect: 100-continue\r\n");
  const std::size_t head = request.size() - 9;
  EXPECT_EQ(100, one.exchange(request.substr(0, head)).status);
  EXPECT_EQ("POST /echo telemetry", one.exchange(request.substr(head)).body);
  EXPECT_EQ(417, one.exchange(post("", "Expect: miracles\r\n")).status);
  EXPECT_TRUE(one.ended_by_server());
}

TEST_F(HttpServerTest, ARefusedHeadIsNotToldToGoOn) {
  head_ = [](const HttpRequest&) {
    return std::make_unique<HttpResponse>(HttpResponse{.status = 404, .body = "no"});
  };
  start();
  RawHttpClient one = client();
  one.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(404, one.receive().status);
  EXPECT_TRUE(one.ended_by_server());
}

TEST_F(HttpServerTest, AClientThatClosesItsSideStillGetsItsAnswer) {
  start();
  RawHttpClient whole = client();
  whole.send(post("x"));
  whole.finish_sending();
  EXPECT_EQ(200, whole.receive().status);
  EXPECT_TRUE(whole.ended_by_server());
  for (const std::string& torn :
       {std::string("POST / HT"), post("abc").substr(0, post("abc").size() - 1),
        kChunkedHead + "5\r\nab"}) {
    RawHttpClient one = client();
    one.send(torn);
    one.finish_sending();
    EXPECT_EQ(400, one.receive().status);
    EXPECT_TRUE(one.ended_by_server());
  }
}

TEST_F(HttpServerTest, ARequestThatNobodyAnswersIsAnswered500) {
  start();
  RawHttpClient one = client();
  EXPECT_EQ(500, one.exchange(post("", "", "/drop")).status);
  EXPECT_EQ(200, one.exchange(post("x")).status);
}

TEST_F(HttpServerTest, ASecondAnswerIsIgnored) {
  start();
  RawHttpClient one = client();
  one.send(post("", "", "/hold"));
  wait_for_held(1);
  {
    std::lock_guard lock(mutex_);
    held_.push_back(held_.front());
  }
  release();
  EXPECT_EQ("held", one.receive().body);
  EXPECT_EQ("POST /echo x", one.exchange(post("x")).body);
}

TEST_F(HttpServerTest, HeadHasALengthAndNoBody) {
  start();
  RawHttpClient one = client();
  one.send("HEAD /echo HTTP/1.1\r\nHost: a\r\n\r\n");
  const RawResponse response = one.receive(true);
  EXPECT_EQ(200, response.status);
  EXPECT_EQ("11", response.header("Content-Length"));
  EXPECT_EQ("BREW /echo ", one.exchange("BREW /echo HTTP/1.1\r\nHost: a\r\n\r\n").body);
}

TEST_F(HttpServerTest, OldClientsAreServed) {
  start();
  RawHttpClient one = client();
  const RawResponse response = one.exchange("GET /a HTTP/1.0\r\n\r\n");
  EXPECT_EQ("GET /a ", response.body);
  EXPECT_EQ("close", response.header("Connection"));
  EXPECT_TRUE(one.ended_by_server());
  RawHttpClient two = client();
  const std::string kept = "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
  EXPECT_EQ("keep-alive", two.exchange(kept).header("Connection"));
  EXPECT_EQ(200, two.exchange(kept).status);
}

TEST_F(HttpServerTest, ConnectionCloseAndDisabledKeepAliveEndTheConnection) {
  start();
  RawHttpClient one = client();
  EXPECT_EQ("close", one.exchange(post("x", "Connection: close\r\n")).header("Connection"));
  EXPECT_TRUE(one.ended_by_server());
  start({.keep_alive = false});
  RawHttpClient two = client();
  EXPECT_EQ("close", two.exchange(post("x")).header("Connection"));
  EXPECT_TRUE(two.ended_by_server());
}

TEST_F(HttpServerTest, AnAnswerToTheHeadSparesTheBody) {
  head_ = [](const HttpRequest& head) -> std::unique_ptr<HttpResponse> {
    if (head.path() != "/no") return nullptr;
    return std::make_unique<HttpResponse>(HttpResponse{.status = 404, .body = "no"});
  };
  ByteBudget& budget = budget_.emplace(10);
  start({.budget = &budget});
  RawHttpClient small = client();
  for (int i = 0; i < 3; ++i) {  // read past, on the same connection
    EXPECT_EQ(404, small.exchange(post(std::string(100'000, 'x'), "", "/no")).status);
    EXPECT_EQ("POST /echo after", small.exchange(post("after")).body);
  }
  small.send(post("abc", "", "/no") + post("pipelined"));
  EXPECT_EQ(404, small.receive().status);
  EXPECT_EQ("POST /echo pipelined", small.receive().body);
  RawHttpClient large = client();
  EXPECT_TRUE(large.send(post(std::string(3U << 20, 'x'), "", "/no")));
  EXPECT_EQ(404, large.receive().status);
  EXPECT_TRUE(large.ended_by_server());
  EXPECT_EQ(0U, budget.used());
}

std::size_t append_to(char* data, std::size_t size, std::size_t count, void* to) {
  static_cast<std::string*>(to)->append(data, size * count);
  return size * count;
}

TEST_F(HttpServerTest, CurlIsServed) {
  start();
  CURL* curl = curl_easy_init();
  const std::string url = "http://127.0.0.1:" + std::to_string(server_->port()) + "/echo";
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, append_to);
  curl_slist* chunked = curl_slist_append(nullptr, "Transfer-Encoding: chunked");
  const std::string body(5U << 20, 'b');  // curl expects 100-continue for this much
  for (const long version : {CURL_HTTP_VERSION_1_0, CURL_HTTP_VERSION_1_1, CURL_HTTP_VERSION_2_0}) {
    for (int i = 0; i < 3; ++i) {
      std::string answer;
      curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, version);
      curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
      curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.data());
      curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
      const bool chunks = i == 1 && version != CURL_HTTP_VERSION_1_0;
      curl_easy_setopt(curl, CURLOPT_HTTPHEADER, chunks ? chunked : nullptr);
      ASSERT_EQ(CURLE_OK, curl_easy_perform(curl));
      EXPECT_TRUE(answer == "POST /echo " + body);
    }
  }
  curl_slist_free_all(chunked);
  curl_easy_cleanup(curl);
}

}  // namespace
}  // namespace holdfast
