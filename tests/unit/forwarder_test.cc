// Requests that go to an upstream at once: what their clients are told, and when.
#include "agent/forwarder.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "agent/rpc_status.h"
#include "exporters/otlp_http.h"
#include "tests/support/raw_http_client.h"
#include "tests/support/scripted_upstream.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using Outcome = SendResult::Outcome;

class ForwarderTest : public testing::Test {
 protected:
  ForwarderTest() {
    retry_.initial_interval = 1ms;
    retry_.max_interval = 2ms;
  }

  void start(ScriptedUpstream& upstream, unsigned consumers = 10) {
    OtlpHttpOptions http;
    http.urls[index_of(Signal::traces)] = upstream.url();
    http.compression = compression_;
    forwarder_ = std::make_unique<Forwarder>(
        ForwarderOptions{"otlp_http", retry_, consumers,
                         [http](Signal signal) { return make_otlp_http_exporter(http, signal); }},
        budget_, stats_);
  }

  ForwardRequest request() {
    return {.signal = Signal::traces,
            .body = std::make_shared<const std::string>("a request"),
            .items = 3,
            .deadline = std::nullopt,
            .gone = gone_.get_token()};
  }

  std::future<ForwardAnswer> ask(ForwardRequest request) {
    auto promise = std::make_shared<std::promise<ForwardAnswer>>();
    forwarder_->forward(std::move(request),
                        [promise](ForwardAnswer answer) { promise->set_value(std::move(answer)); });
    return promise->get_future();
  }
  std::future<ForwardAnswer> ask() { return ask(request()); }

  static ForwardAnswer answer_of(std::future<ForwardAnswer> future) {
    if (future.wait_for(10s) != std::future_status::ready) {
      ADD_FAILURE() << "no answer";
      return {.code = -1};
    }
    return future.get();
  }

  ExporterSignalStats& traces() { return stats_.signals[index_of(Signal::traces)]; }

  RetryConfig retry_;
  ContentCoding compression_ = ContentCoding::identity;
  ByteBudget budget_{1 << 20};
  ExporterStats stats_;
  std::stop_source gone_;
  std::unique_ptr<Forwarder> forwarder_;
};

UpstreamReply error_reply(int status, std::string_view extra = "") {
  return http_answer(status, "application/x-protobuf", encode_rpc_status(0, "not so"), extra);
}

TEST_F(ForwarderTest, WhatTheUpstreamTakesIsASuccess) {
  ScriptedUpstream upstream([](const UpstreamRequest&) { return otlp_ok(); });
  start(upstream);
  const ForwardAnswer answer = answer_of(ask());
  EXPECT_EQ(kRpcOk, answer.code);
  EXPECT_EQ("a request", upstream.requests().at(0).body);
  EXPECT_EQ(3U, traces().sent);
  EXPECT_EQ(1U, traces().attempts);
  EXPECT_EQ(0U, budget_.used());
}

TEST_F(ForwarderTest, TheBodyGoesInTheUpstreamsCoding) {
  compression_ = ContentCoding::zstd;
  ScriptedUpstream upstream([](const UpstreamRequest&) { return otlp_ok(); });
  start(upstream);
  EXPECT_EQ(kRpcOk, answer_of(ask()).code);
  EXPECT_EQ("zstd", upstream.requests().at(0).header("Content-Encoding"));
  EXPECT_TRUE(upstream.requests().at(0).body.starts_with("\x28\xb5\x2f\xfd"));
}

TEST_F(ForwarderTest, APartialSuccessIsPassedOn) {
  ScriptedUpstream upstream([](const UpstreamRequest&) {
    return http_answer(200, "application/x-protobuf", encode_export_response(2, "too old"));
  });
  start(upstream);
  const ForwardAnswer answer = answer_of(ask());
  EXPECT_EQ(kRpcOk, answer.code);
  EXPECT_EQ(2U, answer.rejected_items);
  EXPECT_EQ("too old", answer.message);
  EXPECT_EQ(2U, traces().partial_rejected);
}

TEST_F(ForwarderTest, EachHttpStatusBecomesTheCodeThatTheCollectorGivesIt) {
  retry_.enabled = false;
  const std::vector<std::pair<int, int>> codes{
      {400, kRpcInvalidArgument},   {401, kRpcUnauthenticated}, {403, kRpcPermissionDenied},
      {404, kRpcUnimplemented},     {413, kRpcUnknown},         {422, kRpcUnknown},
      {429, kRpcResourceExhausted}, {500, kRpcUnknown},         {501, kRpcUnknown},
      {502, kRpcUnavailable},       {503, kRpcUnavailable},     {504, kRpcUnavailable}};
  int status = 0;
  ScriptedUpstream upstream([&](const UpstreamRequest&) { return error_reply(status); });
  start(upstream, 1);
  for (const auto& [http, code] : codes) {
    status = http;
    const ForwardAnswer answer = answer_of(ask());
    EXPECT_EQ(code, answer.code) << http;
    EXPECT_EQ("not so", answer.message) << http;
    EXPECT_FALSE(answer.retry_after) << http;
  }
  EXPECT_EQ(3 * codes.size(), traces().send_failed);
  EXPECT_EQ(codes.size(), traces().attempts);
}

TEST(ForwardAnswerTest, GrpcCodesStayAsTheyAreAndSomeAreTriedAgain) {
  const auto result = [](Outcome outcome, std::string_view code, int status) {
    return SendResult{.outcome = outcome, .status = status, .rpc_code = code, .message = "m"};
  };
  const SendResult aborted = result(Outcome::retry, "ABORTED", 503);
  EXPECT_EQ(kRpcAborted, forward_answer(aborted).code);
  EXPECT_TRUE(is_worth_repeating(aborted));
  const SendResult internal = result(Outcome::retry, "INTERNAL", 500);
  EXPECT_EQ(kRpcInternal, forward_answer(internal).code);
  EXPECT_FALSE(is_worth_repeating(internal));
  const SendResult no_quota = result(Outcome::hold, "RESOURCE_EXHAUSTED", 429);
  EXPECT_EQ(kRpcResourceExhausted, forward_answer(no_quota).code);
  EXPECT_FALSE(is_worth_repeating(no_quota));
  EXPECT_EQ(kRpcFailedPrecondition,
            forward_answer(result(Outcome::hold, "FAILED_PRECONDITION", 409)).code);
}

TEST(ForwardAnswerTest, NoAnswerAndALoginPageAreUnavailable) {
  EXPECT_EQ(kRpcUnavailable, forward_answer({.message = "connection refused"}).code);
  EXPECT_TRUE(is_worth_repeating({.message = "connection refused"}));
  EXPECT_EQ(kRpcUnavailable, forward_answer({.status = 200}).code);
}

TEST(ForwardAnswerTest, TheWaitIsInWholeSecondsAndNeverShorter) {
  EXPECT_EQ(2s, forward_answer({.retry_after = 1001ms, .status = 503}).retry_after);
}

TEST_F(ForwarderTest, WhatIsRefusedForNowIsTriedAgainInsideTheRequest) {
  int asked = 0;
  ScriptedUpstream upstream(
      [&](const UpstreamRequest&) { return ++asked < 3 ? error_reply(503) : otlp_ok(); });
  start(upstream);
  EXPECT_EQ(kRpcOk, answer_of(ask()).code);
  EXPECT_EQ(3U, traces().attempts);
  EXPECT_EQ(2U, traces().retries);
  EXPECT_EQ(6U, traces().send_failed);
  EXPECT_EQ(3U, traces().sent);
  EXPECT_EQ("", traces().last_error.text());
}

TEST_F(ForwarderTest, ATryThatTheClientWouldNotLiveToSeeIsNotWaitedFor) {
  retry_.initial_interval = retry_.max_interval = 1h;
  ScriptedUpstream upstream(
      [](const UpstreamRequest&) { return error_reply(503, "Retry-After: 7\r\n"); });
  start(upstream);
  ForwardRequest hurried = request();
  hurried.deadline = std::chrono::steady_clock::now() + 10min;
  const ForwardAnswer answer = answer_of(ask(hurried));
  EXPECT_EQ(kRpcUnavailable, answer.code);
  EXPECT_EQ("not so", answer.message);
  EXPECT_EQ(7s, answer.retry_after);
}

TEST_F(ForwarderTest, AfterMaxElapsedTimeTheLastAnswerCounts) {
  retry_.initial_interval = retry_.max_interval = 1h;
  retry_.max_elapsed_time = 10min;
  ScriptedUpstream upstream([](const UpstreamRequest&) { return error_reply(429); });
  start(upstream);
  EXPECT_EQ(kRpcResourceExhausted, answer_of(ask()).code);
  EXPECT_EQ(1U, traces().attempts);
}

TEST_F(ForwarderTest, AClientThatGoesTakesItsRequestAlong) {
  ScriptedUpstream upstream([](const UpstreamRequest&) {
    return UpstreamReply{.bytes = "", .then = UpstreamReply::Then::hang};
  });
  start(upstream);
  auto answer = ask();
  ASSERT_TRUE(upstream.wait_for_requests(1));
  gone_.request_stop();
  EXPECT_EQ(kRpcCancelled, answer_of(std::move(answer)).code);
  EXPECT_EQ(0U, traces().send_failed) << "the upstream has said nothing";
  EXPECT_EQ(0U, budget_.used());
}

TEST_F(ForwarderTest, AClientThatGoesWhileItsNextTryIsWaitedForIsForgottenAtOnce) {
  retry_.initial_interval = retry_.max_interval = 1h;
  retry_.max_elapsed_time = 0ms;
  ScriptedUpstream upstream([](const UpstreamRequest&) { return error_reply(503); });
  start(upstream);
  auto answer = ask();
  ASSERT_TRUE(becomes_true([&] { return traces().send_failed == 3U; }));
  EXPECT_EQ(1U, traces().in_flight);
  gone_.request_stop();
  EXPECT_EQ(kRpcCancelled, answer_of(std::move(answer)).code);
  EXPECT_EQ(0U, traces().in_flight);
}

TEST_F(ForwarderTest, RequestsThatWaitForTheirNextTryHoldNoThread) {
  retry_.initial_interval = retry_.max_interval = 1h;
  retry_.max_elapsed_time = 0ms;
  ScriptedUpstream upstream([](const UpstreamRequest& request) {
    return request.body == "bad" ? error_reply(503) : otlp_ok();
  });
  start(upstream, 1);
  ForwardRequest bad = request();
  bad.body = std::make_shared<const std::string>("bad");
  auto waiting = ask(bad);
  ASSERT_TRUE(becomes_true([&] { return traces().send_failed == 3U; }));
  EXPECT_EQ(kRpcOk, answer_of(ask()).code);
  forwarder_->finish();
  EXPECT_EQ(kRpcUnavailable, answer_of(std::move(waiting)).code);
}

TEST_F(ForwarderTest, AtTheEndOneTryIsAllThereIs) {
  retry_.initial_interval = retry_.max_interval = 1h;
  ScriptedUpstream upstream([](const UpstreamRequest&) { return error_reply(503); });
  start(upstream);
  forwarder_->finish();
  EXPECT_EQ(kRpcUnavailable, answer_of(ask()).code);
  EXPECT_EQ(1U, traces().attempts);
}

TEST_F(ForwarderTest, ItsEndAnswersWhatIsUnderWay) {
  ScriptedUpstream upstream([](const UpstreamRequest&) {
    return UpstreamReply{.bytes = "", .then = UpstreamReply::Then::hang};
  });
  start(upstream, 1);
  auto first = ask();
  auto second = ask();
  ASSERT_TRUE(upstream.wait_for_requests(1));
  forwarder_.reset();
  EXPECT_EQ(kRpcUnavailable, answer_of(std::move(first)).code);
  EXPECT_EQ(kRpcUnavailable, answer_of(std::move(second)).code);
}

TEST_F(ForwarderTest, NoMoreThreadsThanConsumersAreMade) {
  ScriptedUpstream upstream([](const UpstreamRequest& request) {
    return request.body == "slow" ? UpstreamReply{.bytes = "", .then = UpstreamReply::Then::hang}
                                  : otlp_ok();
  });
  start(upstream, 2);
  ForwardRequest slow = request();
  slow.body = std::make_shared<const std::string>("slow");
  auto first = ask(slow);
  auto second = ask(slow);
  auto third = ask();
  ASSERT_TRUE(upstream.wait_for_requests(2));
  EXPECT_EQ(std::future_status::timeout, third.wait_for(0s));
  EXPECT_EQ(2U, traces().attempts);
  gone_.request_stop();
  EXPECT_EQ(kRpcCancelled, answer_of(std::move(first)).code);
  EXPECT_EQ(kRpcCancelled, answer_of(std::move(second)).code);
  EXPECT_EQ(kRpcCancelled, answer_of(std::move(third)).code);
  EXPECT_EQ(2U, traces().attempts);
}

TEST_F(ForwarderTest, BytesBeyondTheBudgetAreRefusedForNow) {
  ScriptedUpstream upstream([](const UpstreamRequest&) { return otlp_ok(); });
  start(upstream);
  ASSERT_TRUE(budget_.try_acquire(budget_.limit()));
  const ForwardAnswer answer = answer_of(ask());
  EXPECT_EQ(kRpcUnavailable, answer.code);
  EXPECT_EQ(1s, answer.retry_after);
  EXPECT_EQ(0U, upstream.request_count());
  budget_.release(budget_.limit());
}

TEST_F(ForwarderTest, OfSeveralUpstreamsTheFirstErrorIsTheAnswer) {
  retry_.enabled = false;
  ScriptedUpstream good([](const UpstreamRequest&) { return otlp_ok(); });
  ScriptedUpstream bad([](const UpstreamRequest&) { return error_reply(403); });
  start(good);
  auto taker = std::move(forwarder_);
  start(bad);
  std::promise<ForwardAnswer> promise;
  auto told = promise.get_future();
  forward_to_all({taker.get(), forwarder_.get()}, request(),
                 [&promise](ForwardAnswer answer) { promise.set_value(std::move(answer)); });
  EXPECT_EQ(kRpcPermissionDenied, answer_of(std::move(told)).code);
  EXPECT_EQ(1U, good.request_count());
}

}  // namespace
}  // namespace holdfast
