// Limits of bytes and time, and clients that test them.
#include <gtest/gtest.h>

#include <future>
#include <string>
#include <thread>
#include <utility>

#include "tests/support/http_server_fixture.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;

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

}  // namespace
}  // namespace holdfast
