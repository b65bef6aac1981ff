#include "agent/http_server.h"

#include <curl/curl.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <latch>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/raw_http_client.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kGrace{5'000};

std::string post(std::string_view body, std::string_view more_headers = "",
                 std::string_view target = "/echo") {
  return "POST " + std::string(target) +
         " HTTP/1.1\r\nHost: agent\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         std::string(more_headers) + "\r\n" + std::string(body);
}

std::string chunk(std::string_view bytes) {
  char size[20];
  std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
  return size + std::string(bytes) + "\r\n";
}

const std::string kChunkedHead =
    "POST /echo HTTP/1.1\r\nHost: agent\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Echoes "METHOD target body". Requests to /hold are kept until release().
class HttpServerTest : public testing::Test {
 protected:
  void start(HttpServerOptions options = {}) {
    options.endpoint = "127.0.0.1:0";
    HttpServer::Handlers handlers;
    handlers.handle = [this](HttpRequest request, HttpReply reply) {
      ++handled_;
      if (request.path() == "/hold") {
        std::lock_guard lock(mutex_);
        held_.push_back(reply);
        arrived_.notify_all();
        return;
      }
      if (request.path() == "/drop") return;
      HttpResponse response;
      response.content_type = "text/plain";
      response.body = request.path() == "/large"
                          ? std::string(50U << 20, 'x')
                          : request.method + " " + request.target + " " + request.body;
      reply.send(std::move(response));
    };
    handlers.head = head_;
    handlers.refuse = refuse_;
    handlers.end_of_burst = end_of_burst_;
    auto started = HttpServer::start(options, std::move(handlers));
    ASSERT_TRUE(started.ok()) << started.error().message;
    server_ = std::move(started).value();
  }

  RawHttpClient client() { return RawHttpClient(server_->port()); }

  void wait_for_held(std::size_t count) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(
        arrived_.wait_for(lock, std::chrono::seconds(20), [&] { return held_.size() >= count; }));
  }

  /// Answers what is held, on the server's thread, and comes back when that is done.
  void release() {
    std::promise<void> done;
    server_->post([&] {
      std::lock_guard lock(mutex_);
      for (const HttpReply& reply : held_) {
        HttpResponse response;
        response.body = "held";
        reply.send(std::move(response));
      }
      held_.clear();
      done.set_value();
    });
    done.get_future().wait();
  }

  std::optional<ByteBudget> budget_;  // outlives the server
  HttpServer::HeadHandler head_;
  HttpServer::RefuseHandler refuse_;
  std::function<void()> end_of_burst_;
  std::atomic<int> handled_{0};
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<HttpReply> held_;
  std::unique_ptr<HttpServer> server_;
};

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

TEST_F(HttpServerTest, BodiesOverTheLimitAreRefusedAndTheAnswerCanBeRead) {
  start({.body_bytes_max = 1'000});
  const std::string large(5U << 20, 'x');
  RawHttpClient exact = client();
  EXPECT_EQ(200, exact.exchange(post(std::string(1'000, 'x'))).status);
  EXPECT_EQ(200,
            exact.exchange(kChunkedHead + chunk(std::string(1'000, 'x')) + "0\r\n\r\n").status);
  for (const std::string& request :
       {post(large), post(std::string(1'001, 'x')), kChunkedHead + chunk(large) + "0\r\n\r\n",
        kChunkedHead + chunk(std::string(1'001, 'x')) + "0\r\n\r\n",
        std::string("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n")}) {
    RawHttpClient one = client();
    EXPECT_TRUE(one.send(request));  // all of it, before the answer is looked at
    const RawResponse response = one.receive();
    EXPECT_EQ(413, response.status);
    EXPECT_EQ("close", response.header("Connection"));
    EXPECT_TRUE(one.ended_by_server());
  }
  EXPECT_EQ(2, handled_);
}

TEST_F(HttpServerTest, TheOwnerGivesRefusalsTheirForm) {
  refuse_ = [](const HttpServer::Refusal& refusal, const HttpRequest& head) {
    EXPECT_EQ(HttpServer::Refusal::Reason::body_too_large, refusal.reason);
    return HttpResponse{.status = 400, .body = head.target + " " + std::string(head.header("x-y"))};
  };
  start({.body_bytes_max = 10});
  RawHttpClient one = client();
  const RawResponse response = one.exchange(post("more than that", "X-Y: z\r\n"));
  EXPECT_EQ(400, response.status);
  EXPECT_EQ("/echo z", response.body);
}

TEST_F(HttpServerTest, ABodyIsInTheBudgetUntilItsAnswerIsWritten) {
  ByteBudget& budget = budget_.emplace(10'000);
  start({.budget = &budget});
  RawHttpClient one = client();
  RawHttpClient two = client();
  one.send(post(std::string(6'000, 'x'), "", "/hold"));
  wait_for_held(1);
  EXPECT_EQ(6'000U, budget.used());
  const RawResponse refused = two.exchange(post(std::string(6'000, 'y')));
  EXPECT_EQ(503, refused.status);
  EXPECT_EQ("close", refused.header("Connection"));
  EXPECT_TRUE(two.ended_by_server());
  RawHttpClient three = client();
  const std::string chunked = kChunkedHead + chunk(std::string(3'000, 'y'));
  three.send(chunked);
  EXPECT_TRUE(becomes_true([&] { return budget.used() == 9'000; }));
  three.send(chunk(std::string(3'000, 'y')));
  EXPECT_EQ(503, three.receive().status);
  EXPECT_EQ(6'000U, budget.used());
  release();
  EXPECT_EQ("held", one.receive().body);
  EXPECT_TRUE(becomes_true([&] { return budget.used() == 0; }));
  EXPECT_EQ(200, one.exchange(post(std::string(6'000, 'y'))).status);
}

TEST_F(HttpServerTest, ARequestLargerThanTheBudgetPassesAlone) {
  ByteBudget& budget = budget_.emplace(100);
  start({.budget = &budget});
  RawHttpClient one = client();
  EXPECT_EQ(200, one.exchange(post(std::string(90'000, 'x'))).status);
  const std::string chunked =
      kChunkedHead + chunk(std::string(90, 'x')) + chunk(std::string(70'000, 'x')) + "0\r\n\r\n";
  EXPECT_EQ(200, one.exchange(chunked).status);
  EXPECT_TRUE(becomes_true([&] { return budget.used() == 0; }));
}

TEST_F(HttpServerTest, ALeaseGrowsForWhatTheOwnerInflates) {
  ByteBudget& budget = budget_.emplace(1'000);
  start({.budget = &budget});
  RawHttpClient one = client();
  one.send(post(std::string(600, 'x'), "", "/hold"));
  wait_for_held(1);
  std::promise<std::pair<bool, std::size_t>> grown;
  server_->post([&] {
    const bool ok = held_.front().lease(300);
    grown.set_value({ok, budget.used()});
  });
  EXPECT_EQ(std::make_pair(true, std::size_t{900}), grown.get_future().get());
  ASSERT_TRUE(budget.try_acquire(100));
  std::promise<bool> more;
  server_->post([&] { more.set_value(held_.front().lease(5'000)); });
  EXPECT_FALSE(more.get_future().get());
  EXPECT_EQ(100U, budget.used());
  release();
  EXPECT_EQ("held", one.receive().body);
  EXPECT_EQ(100U, budget.used());
}

TEST_F(HttpServerTest, SlowHeadsAndBodiesTimeOut) {
  ByteBudget& budget = budget_.emplace(1'000);
  start({.header_timeout = milliseconds(60), .body_timeout = milliseconds(60), .budget = &budget});
  for (const std::string& start_of_request :
       {std::string("POST /ec"), std::string("POST / HTTP/1.1\r\nHost: a\r\nX:"),
        std::string("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc"),
        kChunkedHead + "5\r\nab"}) {
    RawHttpClient one = client();
    one.send(start_of_request);
    EXPECT_EQ(408, one.receive().status) << start_of_request;
    EXPECT_TRUE(one.ended_by_server());
  }
  EXPECT_EQ(0U, budget.used());
  EXPECT_EQ(0, handled_);
}

TEST_F(HttpServerTest, ADripOfBytesDoesNotKeepAHeadAlive) {
  start({.header_timeout = milliseconds(80)});
  RawHttpClient one = client();
  one.send("POST / HTTP/1.1\r\n");
  int sent = 0;
  while (!one.readable_within(5)) {
    one.send("X: y\r\n");
    ASSERT_LT(++sent, 4'000);
  }
  EXPECT_EQ(408, one.receive().status);
}

TEST_F(HttpServerTest, IdleConnectionsAreClosedWithoutAWord) {
  start({.header_timeout = milliseconds(50), .idle_timeout = milliseconds(50)});
  RawHttpClient silent = client();
  EXPECT_TRUE(silent.ended_by_server());
  RawHttpClient one = client();
  EXPECT_EQ(200, one.exchange(post("x")).status);
  EXPECT_TRUE(one.ended_by_server());
  EXPECT_TRUE(becomes_true([&] { return server_->connections() == 0; }));
}

TEST_F(HttpServerTest, ATimeoutOfZeroIsNone) {
  start({.header_timeout = milliseconds(0),
         .body_timeout = milliseconds(0),
         .idle_timeout = milliseconds(0)});
  RawHttpClient one = client();
  EXPECT_FALSE(one.readable_within(30));
  EXPECT_EQ(200, one.exchange(post("x")).status);
}

TEST_F(HttpServerTest, AClientThatDoesNotReadItsAnswerIsLetGo) {
  start({.write_timeout = milliseconds(60)});
  RawHttpClient one(server_->port(), 4096);
  one.send(post("", "", "/large"));
  EXPECT_TRUE(becomes_true([&] { return handled_ == 1 && server_->connections() == 0; }));
}

TEST_F(HttpServerTest, ConnectionsOverTheCapAreToldSo) {
  start({.connections_max = 2});
  RawHttpClient one = client();
  RawHttpClient two = client();
  EXPECT_EQ(200, one.exchange(post("x")).status);
  EXPECT_EQ(200, two.exchange(post("x")).status);
  RawHttpClient three = client();
  EXPECT_EQ(503, three.receive().status);
  EXPECT_TRUE(three.ended_by_server());
  one.close();
  EXPECT_TRUE(becomes_true([&] { return server_->connections() == 1; }));
  RawHttpClient four = client();
  EXPECT_EQ(200, four.exchange(post("x")).status);
}

TEST_F(HttpServerTest, ClientsMayVanishAtAnyMoment) {
  ByteBudget& budget = budget_.emplace(1U << 20);
  start({.budget = &budget});
  const std::string request = post(std::string(200, 'x'), "", "/hold");
  for (std::size_t length = 0; length < request.size(); length += 7) {
    RawHttpClient closing = client();
    closing.send(request.substr(0, length));
    closing.close();
    RawHttpClient resetting = client();
    resetting.send(request.substr(0, length));
    resetting.reset();
  }
  RawHttpClient waiting = client();
  waiting.send(request);
  wait_for_held(1);
  waiting.reset();
  release();
  EXPECT_TRUE(becomes_true([&] { return server_->connections() == 0; }));
  EXPECT_EQ(0U, budget.used());
  EXPECT_EQ(200, client().exchange(post("x")).status);
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

TEST_F(HttpServerTest, RequestsThatCouldSmuggleAnotherAreRefused) {
  start();
  const std::string smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
  const std::string head = "POST / HTTP/1.1\r\nHost: a\r\n";
  for (const std::string& request :
       {head + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        head + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        head + "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
        head + "Content-Length: 4, 5\r\n\r\nabcd",
        head + "Content-Length: -4\r\n\r\n",
        head + "Content-Length: +4\r\n\r\nabcd",
        head + "Content-Length: 0x4\r\n\r\nabcd",
        head + "Content-Length: 18446744073709551620\r\n\r\n",
        head + "Transfer-Encoding: gzip\r\n\r\n",
        head + "Transfer-Encoding: xchunked\r\n\r\n",
        head + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        head + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        head + "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        head + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        head + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n\r\n",
        head + "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
        head + "Transfer-Encoding: chunked\r\n\r\n4\r\nabcdX\r\n0\r\n\r\n",
        head + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\nabcd\r\n0\r\n\r\n",
        std::string("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        std::string("POST / HTTP/1.1\r\n\r\n"),
        std::string("POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")}) {
    RawHttpClient one = client();
    one.send(request + smuggled);
    const RawResponse response = one.receive();
    EXPECT_TRUE(response.status == 400 || response.status == 501 || response.status == 413)
        << response.status << " for " << request;
    EXPECT_TRUE(one.ended_by_server()) << request;
  }
  EXPECT_EQ(0, handled_);
}

TEST_F(HttpServerTest, GarbageIsRefused) {
  start();
  using namespace std::string_literals;
  for (const std::string& garbage :
       {"\0\0\0\0\0\0\0\0\r\n\r\n"s, "POST /\0 HTTP/1.1\r\nHost: a\r\n\r\n"s,
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello \r\n\r\n"s,
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"s, "GET / HTTP/9.9\r\nHost: a\r\n\r\n"s, "GET\r\n\r\n"s,
        "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n"s,
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"s,
        "GET / HTTP/1.1\r\nHost: a\r\nX\x01: a\r\n\r\n"s, "\xff\xfe\xfd\r\n\r\n"s}) {
    RawHttpClient one = client();
    one.send(garbage);
    EXPECT_EQ(400, one.receive().status) << garbage;
    EXPECT_TRUE(one.ended_by_server());
  }
  EXPECT_EQ(0, handled_);
}

TEST_F(HttpServerTest, HugeHeadsAreRefused) {
  start({.header_bytes_max = 8'192});
  const std::string large(20'000, 'h');
  std::string many = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (int i = 0; i < 2'000; ++i) many += "H" + std::to_string(i) + ": v\r\n";
  for (const std::string& request :
       {"GET /" + large + " HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: " + large + "\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: " + large, many + "\r\n", large + large}) {
    RawHttpClient one = client();
    one.send(request);
    const RawResponse response = one.receive();
    EXPECT_TRUE(response.status == 431 || response.status == 400) << response.status;
    EXPECT_TRUE(one.ended_by_server());
  }
  RawHttpClient one = client();
  one.send(kChunkedHead + "4;" + std::string(300'000, 'e'));
  EXPECT_EQ(400, one.receive().status);
  RawHttpClient two = client();
  two.send(kChunkedHead + "0\r\nTrailer: " + std::string(300'000, 't'));
  EXPECT_EQ(400, two.receive().status);
  EXPECT_EQ(0, handled_);
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

TEST_F(HttpServerTest, RequestsThatHaveArrivedShareABurst) {
  constexpr int kClients = 64;
  std::atomic<int> bursts{0};
  end_of_burst_ = [&] {
    ++bursts;
    std::lock_guard lock(mutex_);
    for (const HttpReply& reply : held_) reply.send({.body = "committed"});
    held_.clear();
  };
  start();
  std::vector<RawHttpClient> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.push_back(client());
    ASSERT_EQ(200, clients.back().exchange(post("x")).status);
  }
  bursts = 0;
  std::latch all_sent(1);
  server_->post([&] { all_sent.wait(); });
  for (RawHttpClient& one : clients) one.send(post("x", "", "/hold"));
  all_sent.count_down();
  for (RawHttpClient& one : clients) EXPECT_EQ("committed", one.receive().body);
  EXPECT_LE(bursts, 8);  // one, unless the machine is so slow that the burst's time is over
  EXPECT_GE(bursts, 1);
}

TEST_F(HttpServerTest, PostedTasksRunOnTheServersThread) {
  start();
  std::promise<std::thread::id> first;
  std::promise<std::thread::id> second;
  server_->post([&] { first.set_value(std::this_thread::get_id()); });
  server_->post([&] { second.set_value(std::this_thread::get_id()); });
  const auto thread = first.get_future().get();
  EXPECT_EQ(thread, second.get_future().get());
  EXPECT_NE(thread, std::this_thread::get_id());
}

TEST_F(HttpServerTest, StopAnswersWhatIsUnderWayAndClosesTheRest) {
  start();
  RawHttpClient idle = client();
  EXPECT_EQ(200, idle.exchange(post("x")).status);
  RawHttpClient held = client();
  held.send(post("", "", "/hold"));
  wait_for_held(1);
  RawHttpClient uploading = client();
  const std::string request = post("telemetry");
  uploading.send(request.substr(0, request.size() - 3));
  std::promise<void> seen;  // the server's thread has been round: it knows of the upload
  server_->post([&] { seen.set_value(); });
  seen.get_future().wait();
  EXPECT_TRUE(becomes_true([&] { return server_->connections() == 3; }));
  std::thread stopping([&] { server_->stop(kGrace); });
  EXPECT_TRUE(idle.ended_by_server());
  EXPECT_FALSE(client().connected());
  uploading.send(request.substr(request.size() - 3));
  const RawResponse response = uploading.receive();
  EXPECT_EQ("POST /echo telemetry", response.body);
  EXPECT_EQ("close", response.header("Connection"));
  release();
  EXPECT_EQ("held", held.receive().body);
  EXPECT_TRUE(held.ended_by_server());
  stopping.join();
  EXPECT_EQ(0U, server_->connections());
}

TEST_F(HttpServerTest, StopDoesNotWaitLongerThanTheGrace) {
  start();
  RawHttpClient held = client();
  held.send(post("", "", "/hold"));
  wait_for_held(1);
  RawHttpClient slow = client();
  slow.send("POST / HT");
  std::thread other([&] { server_->stop(milliseconds(50)); });
  server_->stop(milliseconds(50));
  other.join();
  EXPECT_TRUE(held.ended_by_server());
  EXPECT_TRUE(slow.ended_by_server());
  server_->stop(milliseconds(50));
  held_.front().send({.body = "too late"});
  server_.reset();
  held_.clear();  // outlives the server
}

TEST_F(HttpServerTest, LocalhostIsBothLoopbacks) {
  auto started = HttpServer::start({.endpoint = "localhost:0"}, {.handle = [](auto, auto) {}});
  ASSERT_TRUE(started.ok());
  EXPECT_TRUE(RawHttpClient((*started)->port()).connected());
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  const int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool has_v6 =
      probe >= 0 && bind(probe, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  if (probe >= 0) close(probe);
  const int six = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  address.sin6_port = htons((*started)->port());
  EXPECT_EQ(has_v6, connect(six, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  if (six >= 0) close(six);
}

TEST_F(HttpServerTest, APortInUseIsNamed) {
  start();
  const std::string endpoint = "127.0.0.1:" + std::to_string(server_->port());
  const auto second = HttpServer::start({.endpoint = endpoint}, {});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ("listen tcp " + endpoint + ": address already in use", second.error().message);
  EXPECT_EQ(EADDRINUSE, second.error().code);
}

TEST_F(HttpServerTest, UnusableEndpointsAreNamed) {
  for (const char* endpoint : {"", "localhost", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:x",
                               "::1:80", "no.such.host.invalid:0", "192.0.2.1:0"}) {
    const auto started = HttpServer::start({.endpoint = endpoint}, {});
    ASSERT_FALSE(started.ok()) << endpoint;
    EXPECT_TRUE(
        started.error().message.starts_with("listen tcp " + std::string(endpoint).substr(0, 9)))
        << started.error().message;
  }
  for (const char* endpoint : {":0", "0.0.0.0:0", "127.0.0.1:0"}) {
    const auto started = HttpServer::start({.endpoint = endpoint}, {.handle = [](auto, auto) {}});
    ASSERT_TRUE(started.ok()) << endpoint;
    EXPECT_TRUE(RawHttpClient((*started)->port()).connected());
  }
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

TEST_F(HttpServerTest, ManyClientsAtOnceAreAllServed) {
  start();
  std::atomic<int> answered{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 64; ++t) {
    threads.emplace_back([&, t] {
      RawHttpClient one = client();
      for (int i = 0; i < 50; ++i) {
        const std::string body(static_cast<std::size_t>((t * 37 + i * 611) % 40'000), 'b');
        const std::string request =
            i % 2 == 0 ? post(body)
                       : kChunkedHead + (body.empty() ? "" : chunk(body)) + "0\r\n\r\n";
        if (one.exchange(request).body == "POST /echo " + body) ++answered;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(64 * 50, answered);
}

}  // namespace
}  // namespace holdfast
