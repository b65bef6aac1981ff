// Listening, bursts, vanishing clients, stopping.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/http_server_fixture.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kGrace{5'000};

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
