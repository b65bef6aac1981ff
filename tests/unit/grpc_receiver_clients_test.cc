// The receiver against many clients, and against such as do not do as they should.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/grpc_receiver_fixture.h"
#include "tests/support/wire_bytes.h"

namespace holdfast {
namespace {

using reference::attribute;
using reference::with_item;

class GrpcReceiverClientsTest : public GrpcReceiverFixture {
 protected:
  static std::string request_of(const std::string& text) {
    return with_item(attribute(9, "payload", text));
  }
  void expect_alive() {
    GrpcClient client(receiver->port());
    const GrpcReply reply = client.call(method(Signal::traces), request_of("alive"));
    EXPECT_TRUE(reply.status.ok()) << reply.status.error_message();
  }
  static bool has_loopback_v6() {
    const int fd = socket(AF_INET6, SOCK_STREAM, 0);
    if (fd < 0) return false;
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_addr = in6addr_loopback;
    const bool bound = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    close(fd);
    return bound;
  }
};

TEST_F(GrpcReceiverClientsTest, SixtyFourConnectionsAtOnceAreAllStored) {
  start();
  constexpr int kClients = 64;
  constexpr int kRequests = 20;
  std::latch ready(kClients);
  std::atomic<int> accepted{0};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kClients; ++i) {
      threads.emplace_back([&, i] {
        GrpcClient client(receiver->port());
        ready.arrive_and_wait();
        for (int n = 0; n < kRequests; ++n) {
          const std::string text = std::to_string(i) + "/" + std::to_string(n);
          // Every fourth is too large to share a record.
          const std::string padding(n % 4 == 0 ? 40'000 : 0, '.');
          accepted += client.call(method(Signal::traces), request_of(text + padding)).status.ok();
        }
      });
    }
  }
  EXPECT_EQ(accepted, kClients * kRequests);
  std::vector<std::string> requests = stored(Signal::traces);
  EXPECT_EQ(requests.size(), static_cast<std::size_t>(kClients * kRequests));
  std::sort(requests.begin(), requests.end());
  EXPECT_EQ(std::unique(requests.begin(), requests.end()), requests.end());
  EXPECT_EQ(stats_of(Signal::traces).accepted, static_cast<std::uint64_t>(kClients * kRequests));
  EXPECT_LT(logs[index_of(Signal::traces)]->stats().commits,
            static_cast<std::uint64_t>(kClients * kRequests));
  EXPECT_TRUE(budget_returns_to(0));
}

TEST_F(GrpcReceiverClientsTest, LargeMessagesOfManyConnectionsAreAllStored) {
  start();
  constexpr int kClients = 16;
  std::atomic<int> accepted{0};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kClients; ++i) {
      threads.emplace_back([&, i] {
        GrpcClient client(receiver->port());
        const std::string large = std::to_string(i) + std::string(3U << 20, 'l');
        accepted += client.call(method(Signal::logs), with_item(attribute(6, "payload", large)))
                        .status.ok();
      });
    }
  }
  EXPECT_EQ(accepted, kClients);
  EXPECT_EQ(stored(Signal::logs).size(), static_cast<std::size_t>(kClients));
  EXPECT_TRUE(budget_returns_to(0));
}

TEST_F(GrpcReceiverClientsTest, LocalhostIsLoopbackV4AndV6) {
  start();
  const std::string port = std::to_string(receiver->port());
  GrpcClient v4("127.0.0.1:" + port);
  EXPECT_TRUE(v4.call(method(Signal::traces), request_of("v4")).status.ok());
  GrpcClient v6("[::1]:" + port);
  EXPECT_EQ(v6.call(method(Signal::traces), request_of("v6")).status.ok(), has_loopback_v6());
}

TEST_F(GrpcReceiverClientsTest, EveryAddressAndBracketedEndpointsAreServed) {
  for (const char* endpoint : {":0", "0.0.0.0:0", "127.0.0.1:0"}) {
    config.endpoint = endpoint;
    start();
    expect_alive();
    stop();
  }
}

TEST_F(GrpcReceiverClientsTest, SecondReceiverOnThePortSaysWhatIsWrong) {
  start();
  config.endpoint = "localhost:" + std::to_string(receiver->port());
  auto second = GrpcReceiver::start(config, {}, stats, budget);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, EADDRINUSE);
  EXPECT_EQ(second.error().message,
            "OTLP/gRPC: listen tcp 127.0.0.1:" + std::to_string(receiver->port()) +
                ": address already in use");
  expect_alive();
}

TEST_F(GrpcReceiverClientsTest, EndpointThatCannotBeSaysWhatIsWrong) {
  for (const char* endpoint : {"localhost", "localhost:", "localhost:otlp", "localhost:70000",
                               "no.such.host.invalid:4317", "192.0.2.1:4317"}) {
    config.endpoint = endpoint;
    auto started = GrpcReceiver::start(config, {}, stats, budget);
    ASSERT_FALSE(started.ok()) << endpoint;
    EXPECT_TRUE(started.error().message.starts_with("OTLP/gRPC: listen tcp " +
                                                    std::string(endpoint).substr(0, 9)))
        << started.error().message;
  }
}

TEST_F(GrpcReceiverClientsTest, HalfCloseWithoutAMessageIsAnError) {
  start();
  GrpcClient client(receiver->port());
  grpc::ClientContext context;
  const auto stream = client.open(context, method(Signal::traces));
  stream->WritesDone(client.tag());
  client.wait();
  grpc::Status status;
  stream->Finish(&status, client.tag());
  EXPECT_TRUE(client.wait());
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(status.error_message(), "no request message");
  expect_alive();
}

TEST_F(GrpcReceiverClientsTest, SecondMessageIsNotRead) {
  start();
  GrpcClient client(receiver->port());
  grpc::ClientContext context;
  const auto stream = client.open(context, method(Signal::traces));
  stream->Write(to_buffer(request_of("first")), client.tag());
  EXPECT_TRUE(client.wait());
  stream->Write(to_buffer(request_of("second")), client.tag());
  client.wait();  // fails where the answer came first
  grpc::ByteBuffer response;
  stream->Read(&response, client.tag());
  EXPECT_TRUE(client.wait());
  grpc::Status status;
  stream->Finish(&status, client.tag());
  EXPECT_TRUE(client.wait());
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(stored(Signal::traces), std::vector<std::string>{request_of("first")});
  EXPECT_TRUE(budget_returns_to(0));
}

TEST_F(GrpcReceiverClientsTest, CancelledCallsLeaveNothingBehind) {
  start();
  GrpcClient client(receiver->port());
  for (int i = 0; i < 200; ++i) {
    grpc::ClientContext context;
    const auto stream = client.open(context, method(Signal::traces));
    if (i % 2 == 0) {
      stream->Write(to_buffer(request_of("cancelled")), client.tag());
      client.wait();
    }
    context.TryCancel();
    grpc::Status status;
    stream->Finish(&status, client.tag());
    client.wait();
  }
  expect_alive();
  EXPECT_TRUE(budget_returns_to(0));
}

TEST_F(GrpcReceiverClientsTest, ClientsThatSendNothingDoNotKeepOthersOut) {
  start();
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::GenericClientAsyncReaderWriter>> streams;
  GrpcClient idler(receiver->port());
  for (int i = 0; i < 40; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    streams.push_back(idler.open(*contexts.back(), method(Signal::traces)));
  }
  expect_alive();
  for (std::size_t i = 0; i < streams.size(); ++i) {
    contexts[i]->TryCancel();
    grpc::Status status;
    streams[i]->Finish(&status, idler.tag());
    idler.wait();
  }
}

TEST_F(GrpcReceiverClientsTest, StopDoesNotWaitForAClientThatSendsNothing) {
  start();
  GrpcClient client(receiver->port());
  grpc::ClientContext context;
  const auto stream = client.open(context, method(Signal::traces));
  expect_alive();
  const auto before = std::chrono::steady_clock::now();
  receiver->stop(std::chrono::milliseconds(100));
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(5));
  receiver->stop(std::chrono::milliseconds(100));
  grpc::Status status;
  stream->Finish(&status, client.tag());
  client.wait();
  EXPECT_FALSE(status.ok());
}

TEST_F(GrpcReceiverClientsTest, StopUnderLoadKeepsWhatWasAcknowledged) {
  start();
  constexpr int kClients = 8;
  std::atomic<std::uint64_t> acknowledged{0};
  std::latch loaded(kClients);
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kClients; ++i) {
      threads.emplace_back([&, i] {
        GrpcClient client(receiver->port());
        for (int n = 0;; ++n) {
          const std::string text = std::to_string(i) + "/" + std::to_string(n);
          if (!client.call(method(Signal::traces), request_of(text)).status.ok()) break;
          ++acknowledged;
          if (n == 10) loaded.count_down();
        }
      });
    }
    loaded.wait();
    receiver->stop(std::chrono::seconds(5));
  }
  EXPECT_GT(acknowledged, 0U);
  EXPECT_GE(stored(Signal::traces).size(), acknowledged);
  EXPECT_EQ(budget.used(), 0U);
}

}  // namespace
}  // namespace holdfast
