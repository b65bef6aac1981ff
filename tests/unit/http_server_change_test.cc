// Other settings for a server that runs: handlers, limits, TLS, endpoints.
#include <gtest/gtest.h>

#include <string>

#include "tests/support/http_server_fixture.h"

namespace holdfast {
namespace {

HttpServer::Handlers answers(const std::string& text) {
  HttpServer::Handlers handlers;
  handlers.handle = [text](const HttpRequest&, const HttpReply& reply) {
    reply.send({.body = text});
  };
  return handlers;
}

class HttpServerChangeTest : public HttpServerTest {
 protected:
  void start_with(const std::string& text) {
    options_.endpoint = "127.0.0.1:0";
    auto started = HttpServer::start(options_, answers(text));
    ASSERT_TRUE(started.ok()) << started.error().message;
    server_ = std::move(*started);
  }

  HttpServerOptions options_;
};

TEST_F(HttpServerChangeTest, AnOpenConnectionGetsTheAnswersAndLimitsOfTheNewSettings) {
  start_with("one");
  RawHttpClient open = client();
  EXPECT_EQ(open.exchange(post("x")).body, "one");
  options_.body_bytes_max = 10;
  bool also = false;
  auto change = server_->prepare(options_, answers("two"), {}, [&] { also = true; });
  ASSERT_TRUE(change.ok());
  EXPECT_EQ(open.exchange(post("x")).body, "one") << "nothing is in force yet";
  EXPECT_FALSE(also);
  (*change)();
  EXPECT_TRUE(also);
  EXPECT_EQ(open.exchange(post("x")).body, "two");
  EXPECT_NE(open.exchange(post(std::string(11, 'x'))).status, 200);
}

TEST_F(HttpServerChangeTest, ANewEndpointIsOpenBeforeTheOldOneClosesAndConnectionsStay) {
  start_with("here");
  RawHttpClient open = client();
  EXPECT_EQ(open.exchange(post("x")).status, 200);
  const std::uint16_t before = server_->port();
  options_.endpoint = "localhost:0";
  auto change = server_->prepare(options_, answers("here"), server_->sockets(), {});
  ASSERT_TRUE(change.ok());
  EXPECT_EQ(client().exchange(post("x")).status, 200);
  (*change)();
  EXPECT_NE(server_->port(), before);
  EXPECT_EQ(open.exchange(post("x")).status, 200);
  EXPECT_EQ(client().exchange(post("x")).status, 200);
  const auto again = listen_on("127.0.0.1:" + std::to_string(before));
  EXPECT_TRUE(again.ok()) << "the old one is still listened on";
}

TEST_F(HttpServerChangeTest, AChangeThatIsDroppedLeavesNothingBehind) {
  start_with("here");
  const auto free = listen_on("127.0.0.1:0");
  ASSERT_TRUE(free.ok());
  options_.endpoint = "127.0.0.1:" + std::to_string(free->front().port());
  EXPECT_FALSE(server_->prepare(options_, answers("there"), {}, {}).ok());
  options_.endpoint = "localhost:0";
  { ASSERT_TRUE(server_->prepare(options_, answers("there"), {}, {}).ok()); }
  EXPECT_EQ(client().exchange(post("x")).body, "here");
}

}  // namespace
}  // namespace holdfast
