#include "agent/grpc_receiver.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "agent/content_coding.h"
#include "proto/error_details.pb.h"
#include "proto/status.pb.h"
#include "tests/support/coded_bodies.h"
#include "tests/support/grpc_receiver_fixture.h"
#include "tests/support/payloads.h"
#include "tests/support/wire_bytes.h"

namespace holdfast {
namespace {

using reference::attribute;
using reference::nest;
using reference::with_item;

const std::string kSuccess("\x0A\x00", 2);

class GrpcReceiverTest : public GrpcReceiverFixture {
 protected:
  static std::string request_of(std::size_t bytes) {
    return with_item(attribute(9, "payload", std::string(bytes, 'p')));
  }
  static std::string encoded(ContentCoding coding, std::string_view raw) {
    Result<std::string> body = encode_content(coding, raw);
    EXPECT_TRUE(body.ok());
    return *body;
  }
  static void expect_retry_info(const grpc::Status& status) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
    google::rpc::Status details;
    ASSERT_TRUE(details.ParseFromString(status.error_details()));
    EXPECT_EQ(details.code(), 14);
    EXPECT_EQ(details.message(), status.error_message());
    ASSERT_EQ(details.details_size(), 1);
    google::rpc::RetryInfo retry;
    ASSERT_TRUE(details.details(0).UnpackTo(&retry));
    EXPECT_EQ(retry.retry_delay().seconds(), 1);
  }
};

TEST_F(GrpcReceiverTest, WhatTheSdksSentIsStoredByteForByte) {
  start();
  GrpcClient client(receiver->port());
  std::array<std::vector<std::string>, kSignalCount> sent;
  for (const reference::Payload& payload : reference::real_payloads()) {
    const GrpcReply reply = client.call(method(payload.signal), payload.bytes);
    ASSERT_TRUE(reply.status.ok()) << payload.name << reply.status.error_message();
    EXPECT_EQ(reply.message, kSuccess);
    sent[index_of(payload.signal)].push_back(payload.bytes);
  }
  for (const Signal signal : kSignals) {
    ASSERT_FALSE(sent[index_of(signal)].empty());
    EXPECT_EQ(stored(signal), sent[index_of(signal)]);
    EXPECT_EQ(stats_of(signal).requests, sent[index_of(signal)].size());
    EXPECT_GT(stats_of(signal).accepted, 0U);
    EXPECT_EQ(stats_of(signal).wire_bytes, stats_of(signal).raw_bytes);
  }
}

TEST_F(GrpcReceiverTest, GzipAndDeflateAreStoredPlain) {
  start();
  GrpcClient client(receiver->port());
  const std::string request = request_of(100'000);
  for (const auto compression : {GRPC_COMPRESS_GZIP, GRPC_COMPRESS_DEFLATE}) {
    const GrpcReply reply = client.call(method(Signal::traces), request, compression);
    ASSERT_TRUE(reply.status.ok()) << reply.status.error_message();
  }
  EXPECT_EQ(stored(Signal::traces), (std::vector<std::string>{request, request}));
  EXPECT_EQ(stats_of(Signal::traces).raw_bytes, 2 * request.size());
  EXPECT_LT(stats_of(Signal::traces).wire_bytes, request.size() / 10);
}

TEST_F(GrpcReceiverTest, RequestThatOnlyLooksLikeZlibIsTakenAsItIs) {
  start();
  GrpcClient client(receiver->port());
  const std::string request = "\x78\x9C\x01" + request_of(10);  // unknown field 15, a varint
  EXPECT_TRUE(client.call(method(Signal::traces), request).status.ok());
  EXPECT_EQ(stored(Signal::traces), std::vector<std::string>{request});
}

TEST_F(GrpcReceiverTest, RequestWithoutItemsIsASuccessAndLeavesNothing) {
  start();
  GrpcClient client(receiver->port());
  for (const std::string& request : {std::string(), nest(1, ""), nest(1, nest(2, ""))}) {
    const GrpcReply reply = client.call(method(Signal::logs), request);
    EXPECT_TRUE(reply.status.ok());
    EXPECT_EQ(reply.message, kSuccess);
  }
  EXPECT_TRUE(stored(Signal::logs).empty());
}

TEST_F(GrpcReceiverTest, BadBytesAreAnInvalidArgumentWithTheCollectorsWords) {
  start();
  GrpcClient client(receiver->port());
  const std::pair<std::string, std::string> cases[] = {
      {"\x0A\x05", "unexpected EOF"},
      {"\x0B", "proto: wrong wireType = 3 for field ResourceSpans"},
      {with_item(nest(1, "short")), "unmarshal: invalid TraceID length"},
  };
  for (const auto& [request, text] : cases) {
    const GrpcReply reply = client.call(method(Signal::traces), request);
    EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(reply.status.error_message(), text);
    EXPECT_EQ(reply.status.error_details(), "");
  }
  EXPECT_EQ(stats_of(Signal::traces).failed, 3U);
  EXPECT_TRUE(client.call(method(Signal::traces), request_of(1)).status.ok());
}

TEST_F(GrpcReceiverTest, UnknownMethodsAreUnimplementedWithGrpcGosWords) {
  start({Signal::traces});
  GrpcClient client(receiver->port());
  const std::pair<std::string, std::string> cases[] = {
      {"/grpc.health.v1.Health/Check", "unknown service grpc.health.v1.Health"},
      {"/opentelemetry.proto.collector.trace.v1.TraceService/Import",
       "unknown method Import for service opentelemetry.proto.collector.trace.v1.TraceService"},
      {std::string(method(Signal::logs)),
       "unknown service opentelemetry.proto.collector.logs.v1.LogsService"},
      {"/nothing", "malformed method name: \"/nothing\""},
  };
  for (const auto& [path, text] : cases) {
    const GrpcReply reply = client.call(path, request_of(1));
    EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::UNIMPLEMENTED) << path;
    EXPECT_EQ(reply.status.error_message(), text);
  }
  EXPECT_TRUE(client.call(method(Signal::traces), request_of(1)).status.ok());
}

TEST_F(GrpcReceiverTest, ZstdAndSnappyAreInflatedAsTheCollectorDoes) {
  start();
  GrpcClient client(receiver->port());
  std::string damaged = encoded(ContentCoding::zstd, request_of(1000));
  damaged.resize(damaged.size() - 4);
  for (const std::string& body :
       {encoded(ContentCoding::zstd, request_of(100)), snappy_framed(request_of(100))}) {
    const GrpcReply reply = client.call(method(Signal::traces), body);
    EXPECT_TRUE(reply.status.ok()) << reply.status.error_message();
  }
  EXPECT_EQ(stored(Signal::traces), (std::vector<std::string>{request_of(100), request_of(100)}));
  const GrpcReply reply = client.call(method(Signal::traces), damaged);
  EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::INTERNAL);
}

TEST_F(GrpcReceiverTest, DamagedGzipIsAnErrorThatIsNotRetried) {
  start();
  GrpcClient client(receiver->port());
  std::string body = encoded(ContentCoding::gzip, request_of(1000));
  body.resize(body.size() - 4);
  const GrpcReply reply = client.call(method(Signal::traces), body);
  EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(stats_of(Signal::traces).failed, 1U);
}

TEST_F(GrpcReceiverTest, MessageLimitHoldsBeforeAndAfterInflation) {
  config.recv_message_bytes_max = 100'000;
  start();
  GrpcClient client(receiver->port());
  std::string fits = request_of(99'000);
  fits += nest(15, std::string(100'000 - fits.size() - 3, 'x'));
  ASSERT_EQ(fits.size(), 100'000U);
  const std::string above = fits + std::string("\x78\x00", 2);
  EXPECT_TRUE(client.call(method(Signal::traces), fits).status.ok());
  EXPECT_TRUE(client.call(method(Signal::traces), fits, GRPC_COMPRESS_GZIP).status.ok());
  EXPECT_EQ(client.call(method(Signal::traces), above).status.error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  const grpc::Status inflated =
      client.call(method(Signal::traces), above, GRPC_COMPRESS_GZIP).status;
  EXPECT_EQ(inflated.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(inflated.error_message(),
            "grpc: received message after decompression larger than max 100000");
  EXPECT_EQ(stored(Signal::traces).size(), 2U);
  EXPECT_TRUE(budget_returns_to(0));
}

TEST_F(GrpcReceiverTest, BombEndsAtTheLimit) {
  start();
  GrpcClient client(receiver->port());
  const std::string bomb = encoded(ContentCoding::gzip, std::string(64U << 20, '\0'));
  ASSERT_LT(bomb.size(), config.recv_message_bytes_max);
  EXPECT_EQ(client.call(method(Signal::traces), bomb).status.error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(client.call(method(Signal::traces), request_of(1)).status.ok());
}

TEST_F(GrpcReceiverTest, OverTheBudgetTheClientShallComeAgain) {
  start();
  GrpcClient client(receiver->port());
  ASSERT_TRUE(budget.try_acquire(budget.limit()));
  expect_retry_info(client.call(method(Signal::traces), request_of(1)).status);
  EXPECT_EQ(stats_of(Signal::traces).refused, 1U);
  EXPECT_EQ(budget.used(), budget.limit());
  budget.release(budget.limit());
  EXPECT_TRUE(client.call(method(Signal::traces), request_of(1)).status.ok());
  EXPECT_TRUE(budget_returns_to(0));
}

TEST_F(GrpcReceiverTest, FullBufferIsUnavailableWithRetryInfo) {
  log_options.overflow = Overflow::reject;
  log_options.free_bytes_min = UINT64_MAX / 2;  // no disk has that
  start();
  GrpcClient client(receiver->port());
  expect_retry_info(client.call(method(Signal::logs), with_item("")).status);
  EXPECT_EQ(stats_of(Signal::logs).refused, 1U);
  EXPECT_TRUE(budget_returns_to(0));
}

TEST_F(GrpcReceiverTest, TextThatIsNotUtf8IsTakenAndCounted) {
  start();
  GrpcClient client(receiver->port());
  const std::string request = with_item(nest(5, "\xFF"));
  EXPECT_TRUE(client.call(method(Signal::traces), request).status.ok());
  EXPECT_EQ(stats_of(Signal::traces).invalid_utf8, 1U);
  EXPECT_EQ(stored(Signal::traces), std::vector<std::string>{request});
}

}  // namespace
}  // namespace holdfast
