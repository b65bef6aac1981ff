// Endpoints as sockets: unix sockets and their files, and servers behind them.
#include "agent/listen.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "tests/support/grpc_receiver_fixture.h"
#include "tests/support/http_server_fixture.h"
#include "tests/support/wire_bytes.h"

namespace holdfast {
namespace {

class ListenTest : public testing::Test {
 protected:
  bool exists() const { return ::access(path_.c_str(), F_OK) == 0; }

  /// As a process that was killed leaves it.
  static void leave_file(const std::string& path) {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ::close(fd);
  }

  int client() const {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
    ::close(fd);
    return -1;
  }

  const TempDirectory directory_;
  const std::string path_ = directory_.path() + "/otlp.sock";
  const std::string endpoint_ = "unix:" + path_;
};

TEST_F(ListenTest, ASocketFileIsForOwnerAndGroup) {
  for (const mode_t mask : {0U, 022U, 077U}) {
    const mode_t before = umask(mask);
    const auto sockets = listen_on(endpoint_);
    umask(before);
    ASSERT_TRUE(sockets.ok()) << sockets.error().message;
    struct stat found {};
    ASSERT_EQ(stat(path_.c_str(), &found), 0);
    EXPECT_TRUE(S_ISSOCK(found.st_mode));
    EXPECT_EQ(found.st_mode & 0777, 0660U);
  }
  EXPECT_FALSE(exists());
}

TEST_F(ListenTest, TheFileOfAProcessThatIsGoneIsReplaced) {
  leave_file(path_);
  ASSERT_TRUE(exists());
  const auto again = listen_on(endpoint_);
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_GE(client(), 0);
}

TEST_F(ListenTest, AFileBehindWhichSomebodyListensStays) {
  const auto first = listen_on(endpoint_);
  ASSERT_TRUE(first.ok());
  const auto second = listen_on(endpoint_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, EADDRINUSE);
  EXPECT_EQ(second.error().message, "listen unix " + path_ + ": address already in use");
  EXPECT_GE(client(), 0);
}

TEST_F(ListenTest, AFileThatIsNoSocketStays) {
  std::ofstream(path_) << "telemetry";
  const auto sockets = listen_on(endpoint_);
  ASSERT_FALSE(sockets.ok());
  EXPECT_EQ(sockets.error().message, "listen unix " + path_ + ": file exists");
  std::string content;
  std::ifstream(path_) >> content;
  EXPECT_EQ(content, "telemetry");
}

TEST_F(ListenTest, PathsThatCannotBeAreNamed) {
  const auto nowhere = listen_on(endpoint_ + "/missing/sock");
  ASSERT_FALSE(nowhere.ok());
  EXPECT_EQ(nowhere.error().code, ENOENT);
  const auto long_path = listen_on("unix:/" + std::string(108, 'x'));
  ASSERT_FALSE(long_path.ok());
  EXPECT_EQ(long_path.error().code, ENAMETOOLONG);
}

TEST_F(ListenTest, HttpServesAUnixSocketAndRemovesItsFile) {
  auto started = HttpServer::start(
      {.endpoint = endpoint_}, {.handle = [](auto, auto reply) { reply.send({.body = "here"}); }});
  ASSERT_TRUE(started.ok()) << started.error().message;
  EXPECT_EQ((*started)->port(), 0);
  RawHttpClient one = RawHttpClient::over(client());
  EXPECT_EQ(one.exchange(post("x")).body, "here");
  EXPECT_EQ(one.exchange(post("x")).body, "here");
  (*started)->stop(std::chrono::seconds(1));
  EXPECT_FALSE(exists());
}

TEST_F(ListenTest, AFileGoesWithTheLastOfThoseThatShareIt) {
  auto first = listen_on(endpoint_);
  ASSERT_TRUE(first.ok());
  {
    const auto second = listen_on(endpoint_, {&first->front()});
    ASSERT_TRUE(second.ok()) << second.error().message;
    first->clear();
    EXPECT_TRUE(exists());
    EXPECT_GE(client(), 0);
  }
  EXPECT_FALSE(exists());
}

TEST(ListenOnHeldPortsTest, TheSameAddressIsSharedAndOverlappingOnesAreBoundBesideIt) {
  const auto first = listen_on("127.0.0.1:0");
  ASSERT_TRUE(first.ok());
  const std::string port = std::to_string(first->front().port());
  const HeldSockets held{&first->front()};
  for (const char* host : {"127.0.0.1", "localhost", "0.0.0.0", ""}) {
    const auto again = listen_on(std::string(host) + ":" + port, held);
    EXPECT_TRUE(again.ok()) << host << ": " << again.error().message;
  }
  for (const char* host : {"127.0.0.1", "0.0.0.0"}) {
    const auto stranger = listen_on(std::string(host) + ":" + port);
    EXPECT_FALSE(stranger.ok()) << host << ": the port must not stay open to others";
  }
}

class GrpcListenTest : public GrpcReceiverFixture {};

TEST_F(GrpcListenTest, GrpcServesAUnixSocketAndRemovesItsFile) {
  const TempDirectory place;
  const std::string path = place.path() + "/otlp.sock";
  config.endpoint = "unix:" + path;
  start({Signal::traces});
  struct stat found {};
  ASSERT_EQ(stat(path.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0660U);
  {
    GrpcClient client(config.endpoint);
    EXPECT_TRUE(client.call(method(Signal::traces), reference::with_item("")).status.ok());
  }
  auto second = GrpcReceiver::start(config, {}, stats, budget);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().message, "OTLP/gRPC: listen unix " + path + ": address already in use");
  stop();
  EXPECT_NE(::access(path.c_str(), F_OK), 0);
}

}  // namespace
}  // namespace holdfast
