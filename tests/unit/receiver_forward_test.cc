// Both receivers in front of an upstream that is asked at once: clients that hang up, that send
// ahead, and a stop that does not wait for ever.
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <string>

#include "agent/rpc_status.h"
#include "exporters/otlp_http.h"
#include "tests/support/grpc_receiver_fixture.h"
#include "tests/support/http_receiver_fixture.h"
#include "tests/support/scripted_upstream.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;

const UpstreamReply kSilence{.bytes = "", .then = UpstreamReply::Then::hang};

/// A forwarder to an upstream that answers as the test says, silently unless it says something.
struct Upstream {
  ScriptedUpstream::Handler handler = [](const UpstreamRequest&) { return kSilence; };
  ScriptedUpstream upstream{[this](const UpstreamRequest& request) { return handler(request); }};
  ByteBudget budget{1 << 20};
  ExporterStats stats;
  Forwarder forwarder{{"otlp_http", RetryConfig{.enabled = false}, 4,
                       [this](Signal signal) {
                         OtlpHttpOptions http;
                         http.urls[index_of(signal)] = upstream.url();
                         http.timeout = 0ms;
                         return make_otlp_http_exporter(http, signal);
                       }},
                      budget,
                      stats};

  bool is_let_go() {
    return becomes_true([this] { return budget.used() == 0; });
  }
};

class HttpForwardTest : public HttpReceiverFixture {
 protected:
  HttpForwardTest() { signals_ = {}; }
  ~HttpForwardTest() override { receiver_.reset(); }
  void forward_traces() { forwarders_[index_of(Signal::traces)] = {&up_.forwarder}; }

  Upstream up_;
};

TEST_F(HttpForwardTest, WithoutALogWhatTheUpstreamTakesIsAccepted) {
  forward_traces();
  start();
  up_.handler = [](const UpstreamRequest&) { return otlp_ok(); };
  EXPECT_EQ(200, exchange(http_post(spans_request(3))).status);
  up_.handler = [](const UpstreamRequest&) { return http_answer(400, "text/plain", "no"); };
  expect_status(exchange(http_post(spans_request(2))), 400, 3, "no");
  EXPECT_EQ(3U, traces().accepted);
  EXPECT_EQ(2U, traces().refused);
  EXPECT_EQ(404, exchange(http_post("", kProtobufType, "", "/v1/logs")).status);
}

TEST_F(HttpForwardTest, BadBytesAndEmptyRequestsStayHere) {
  forward_traces();
  start();
  EXPECT_EQ(400, exchange(http_post("\x0a\x05x")).status);
  EXPECT_EQ(200, exchange(http_post("")).status);
  EXPECT_EQ(0U, up_.upstream.request_count());
}

TEST_F(HttpForwardTest, WithALogItIsStoredBeforeTheUpstreamIsAsked) {
  signals_ = {Signal::traces};
  forward_traces();
  start();
  up_.handler = [](const UpstreamRequest&) { return http_answer(403, "text/plain", "no"); };
  EXPECT_EQ(403, exchange(http_post(spans_request(3))).status);
  EXPECT_EQ(3U, traces().accepted) << "it is in the log";
  EXPECT_EQ(0U, traces().refused);
  EXPECT_EQ(1U, stored().size());
}

TEST_F(HttpForwardTest, RequestsThatWereSentAheadAreAnsweredInOrder) {
  forward_traces();
  start();
  std::promise<void> go;
  std::shared_future<void> gone_on = go.get_future().share();
  up_.handler = [&, first = true](const UpstreamRequest&) mutable {
    if (std::exchange(first, false)) gone_on.wait();
    return first ? kSilence : otlp_ok();
  };
  RawHttpClient one = client();
  one.send(http_post(spans_request(1)));
  ASSERT_TRUE(becomes_true([&] { return up_.budget.used() > 0; }));
  one.send(http_post(spans_request(2)));
  one.send(http_post("\x0a\x05x"));
  go.set_value();
  EXPECT_EQ(200, one.receive().status);
  EXPECT_EQ(200, one.receive().status);
  EXPECT_EQ(400, one.receive().status);
  EXPECT_EQ(3U, traces().accepted);
}

TEST_F(HttpForwardTest, AClientThatHangsUpEndsTheForwarding) {
  forward_traces();
  start();
  RawHttpClient closes = client();
  RawHttpClient resets = client();
  closes.send(http_post(spans_request(1)));
  resets.send(http_post(spans_request(1)));
  ASSERT_TRUE(up_.upstream.wait_for_requests(2));
  closes.close();
  resets.reset();
  EXPECT_TRUE(up_.is_let_go());
  EXPECT_TRUE(nothing_in_flight());
}

TEST_F(HttpForwardTest, AStopDoesNotWaitForASilentUpstream) {
  forward_traces();
  start();
  RawHttpClient one = client();
  one.send(http_post(spans_request(1)));
  ASSERT_TRUE(up_.upstream.wait_for_requests(1));
  receiver_->stop(50ms);
  receiver_.reset();
  EXPECT_TRUE(one.ended_by_server());
  EXPECT_TRUE(up_.is_let_go());
}

class GrpcForwardTest : public GrpcReceiverFixture {
 protected:
  GrpcForwardTest() { forwarders[index_of(Signal::traces)] = {&up_.forwarder}; }
  ~GrpcForwardTest() override { stop(0ms); }

  Upstream up_;
};

TEST_F(GrpcForwardTest, TheUpstreamsAnswerIsTheClients) {
  start({});
  GrpcClient client(receiver->port());
  up_.handler = [](const UpstreamRequest&) { return otlp_ok(); };
  EXPECT_TRUE(client.call(method(Signal::traces), spans_request(3)).status.ok());
  EXPECT_EQ(3U, stats_of(Signal::traces).accepted);
  up_.handler = [](const UpstreamRequest&) {
    return http_answer(429, "text/plain", "slower", "Retry-After: 3\r\n");
  };
  const grpc::Status status = client.call(method(Signal::traces), spans_request(3)).status;
  EXPECT_EQ(grpc::StatusCode::RESOURCE_EXHAUSTED, status.error_code());
  EXPECT_EQ("slower", status.error_message());
  EXPECT_EQ(encode_rpc_status(kRpcResourceExhausted, "slower", 3s), status.error_details());
  EXPECT_EQ(3U, stats_of(Signal::traces).refused);
  EXPECT_TRUE(budget_returns_to(0));
}

TEST_F(GrpcForwardTest, AClientThatGoesEndsTheForwarding) {
  start({});
  {
    grpc::ClientContext context;
    GrpcClient client(receiver->port());
    const auto stream = client.open(context, method(Signal::traces));
    stream->WriteLast(to_buffer(spans_request(1)), {}, client.tag());
    ASSERT_TRUE(client.wait());
    ASSERT_TRUE(up_.upstream.wait_for_requests(1));
    context.TryCancel();
    grpc::Status status;
    stream->Finish(&status, client.tag());
    client.wait();
  }
  EXPECT_TRUE(up_.is_let_go());
  EXPECT_TRUE(budget_returns_to(0));
}

TEST_F(GrpcForwardTest, AStopDoesNotWaitForASilentUpstream) {
  start({});
  auto answered = std::async(std::launch::async, [this] {
    GrpcClient client(receiver->port());
    return client.call(method(Signal::traces), spans_request(1)).status.error_code();
  });
  ASSERT_TRUE(up_.upstream.wait_for_requests(1));
  receiver->stop(50ms);
  EXPECT_NE(grpc::StatusCode::OK, answered.get());
  EXPECT_TRUE(up_.is_let_go());
}

}  // namespace
}  // namespace holdfast
