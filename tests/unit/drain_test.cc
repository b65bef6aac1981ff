// From the log to an upstream that answers well, late, wrongly or not at all.
#include <atomic>
#include <chrono>
#include <latch>
#include <thread>

#include "tests/support/drain_fixture.h"

namespace holdfast {
namespace {

using SteadyClock = std::chrono::steady_clock;
using Then = UpstreamReply::Then;
using std::chrono::milliseconds;

UpstreamState state_of(const ExporterSignalStats& stats) {
  return static_cast<UpstreamState>(stats.state.load());
}

TEST_F(DrainTest, BacklogArrivesWholeAndInOrder) {
  append(1'000);
  append(3'000, 64);
  append(100, 1, Codec::identity);
  run([](const Requests&) { return otlp_ok(); });
  ASSERT_TRUE(wait_until_drained());
  stop();
  expect_delivered_in_order(4'100);
  EXPECT_EQ(stats_.sent, 4'100U);
  EXPECT_EQ(stats_.attempts, 1U);  // it fits in one batch
  EXPECT_EQ(stats_.send_failed, 0U);
  EXPECT_EQ(state_of(stats_), UpstreamState::ok);
  EXPECT_EQ(log_->stats().readers.at(0).pending_items, 0U);
}

TEST_F(DrainTest, WhatComesLaterIsForwardedToo) {
  run([](const Requests&) { return otlp_ok(); });
  for (int round = 0; round < 5; ++round) {
    append(10, 3);
    ASSERT_TRUE(wait_until_drained());
  }
  stop();
  expect_delivered_in_order(50);
}

TEST_F(DrainTest, FullBatchDoesNotWaitForMore) {
  options_.batch.timeout = std::chrono::hours(1);
  options_.batch.items_target = options_.batch.items_max = 100;
  append(200);
  run([](const Requests&) { return otlp_ok(); });
  ASSERT_TRUE(wait_until_drained());
  EXPECT_EQ(stats_.attempts, 2U);
}

TEST_F(DrainTest, SmallBatchWaitsForMoreAndGoesWhenItIsFull) {
  options_.batch.timeout = std::chrono::hours(1);
  options_.batch.items_target = options_.batch.items_max = 100;
  append(60);
  run([](const Requests&) { return otlp_ok(); });
  append(40);
  ASSERT_TRUE(wait_until_drained());
  EXPECT_EQ(stats_.attempts, 1U);
}

TEST_F(DrainTest, NoBodyIsLargerThanTheBatchAllows) {
  options_.batch.items_target = options_.batch.items_max = 50;
  append(500, 64);  // a record holds more than a batch may
  std::atomic<std::size_t> largest{0};
  run([&](const Requests& requests) {
    largest = std::max(largest.load(), requests.size());
    return otlp_ok();
  });
  ASSERT_TRUE(wait_until_drained());
  stop();
  EXPECT_EQ(largest, 50U);
  expect_delivered_in_order(500);
}

TEST_F(DrainTest, RequestsThatDoNotJoinGoOneByOneAndWaitForNobody) {
  options_.signal = Signal::profiles;
  options_.batch.timeout = std::chrono::hours(1);
  append(5);
  append(7, 7);  // as an import of another version could have stored them
  append(1, 1, Codec::identity);
  std::atomic<std::size_t> largest{0};
  run([&](const Requests& requests) {
    largest = std::max(largest.load(), requests.size());
    return otlp_ok();
  });
  ASSERT_TRUE(wait_until_drained());
  stop();
  EXPECT_EQ(largest, 1U);
  EXPECT_EQ(stats_.attempts, 13U);
  expect_delivered_in_order(13);
}

TEST_F(DrainTest, ARefusedRequestAmongThoseThatDoNotJoinStandsAloneAtOnce) {
  options_.signal = Signal::profiles;
  append(10);
  run([](const Requests& requests) {
    return contains(requests, 4) ? http_answer(413, "", "") : otlp_ok();
  });
  ASSERT_TRUE(wait_until_drained());
  stop();
  ASSERT_EQ(reader_->quarantined().size(), 1U);
  EXPECT_EQ(reader_->quarantined()[0].bytes, request_number(4));
  EXPECT_EQ(stats_.attempts, 10U);
  EXPECT_EQ(delivered_.size(), 9U);
}

class DrainCodingTest : public DrainTest, public testing::WithParamInterface<ContentCoding> {};

TEST_P(DrainCodingTest, UpstreamGetsItsCoding) {
  coding_ = GetParam();
  options_.batch.items_target = options_.batch.items_max = 100;
  append(100, 30);
  append(100, 1, Codec::identity);
  append(101, 101);
  run([](const Requests& requests) {
    return requests.size() > 20 ? http_answer(413, "", "") : otlp_ok();
  });
  ASSERT_TRUE(wait_until_drained());
  stop();
  expect_delivered_in_order(301);
}

INSTANTIATE_TEST_SUITE_P(Codings, DrainCodingTest,
                         testing::Values(ContentCoding::identity, ContentCoding::gzip,
                                         ContentCoding::zlib, ContentCoding::zstd,
                                         ContentCoding::snappy, ContentCoding::snappy_framed,
                                         ContentCoding::lz4));

TEST_F(DrainTest, BusyUpstreamGetsTheSameBatchAgain) {
  append(10);
  int posts = 0;
  run([&](const Requests&) { return ++posts < 6 ? http_answer(503, "", "") : otlp_ok(); });
  ASSERT_TRUE(wait_until_drained());
  stop();
  expect_delivered_in_order(10);
  EXPECT_EQ(stats_.retries, 5U);
  EXPECT_EQ(stats_.send_failed, 50U);
  EXPECT_EQ(stats_.last_error.text(), "");
  EXPECT_EQ(state_of(stats_), UpstreamState::ok);
}

TEST_F(DrainTest, RetryAfterIsKeptToAndAStopEndsTheWait) {
  append(10);
  run([](const Requests&) { return http_answer(503, "", "later", "Retry-After: 1800\r\n"); });
  ASSERT_TRUE(upstream_->wait_for_requests(1));
  while (!breaker_.open()) std::this_thread::yield();
  const auto wait_s = (stats_.retry_at_unix_ns - system_clock().unix_ns()) / kNsPerSecond;
  EXPECT_GT(wait_s, 1'700);
  EXPECT_LE(wait_s, 1'800);
  EXPECT_EQ(state_of(stats_), UpstreamState::retrying);
  EXPECT_EQ(stats_.last_error.text(), "HTTP 503: later");
  const auto asked = std::chrono::steady_clock::now();
  stop();
  EXPECT_LT(std::chrono::steady_clock::now() - asked, std::chrono::seconds(2));
  EXPECT_EQ(reader_->acknowledged(), 0U);
}

TEST_F(DrainTest, RefusedCredentialsHoldUntilTheyAreMended) {
  append(10);
  int posts = 0;
  std::atomic<bool> held{false};
  run([&](const Requests&) {
    if (++posts == 3) held = state_of(stats_) == UpstreamState::holding;
    return posts < 4 ? http_answer(401, "", "") : otlp_ok();
  });
  ASSERT_TRUE(wait_until_drained());
  stop();
  EXPECT_TRUE(held);
  expect_delivered_in_order(10);
  EXPECT_FALSE(breaker_.open());
  EXPECT_EQ(stats_.quarantined, 0U);
}

TEST_F(DrainTest, UpstreamThatAnswersWrongIsARetryNeverALoss) {
  append(10);
  const std::vector<UpstreamReply> answers{
      http_answer(200, "text/html", "<html>Welcome to our hotel</html>"),
      {.bytes = "", .then = Then::reset},
      {.bytes = "", .then = Then::close},
      http_answer(302, "", "", "Location: http://127.0.0.1:1/html\r\n"),
      {.bytes = "HTTP/1.1 200 OK\r\nContent-Ty<html>", .then = Then::close},
      {.bytes = "garbage\r\n\r\n", .then = Then::close},
      http_answer(404, "text/plain", "404 page not found"),
      http_answer(405, "", ""),
      http_answer(500, "", ""),
  };
  std::size_t posts = 0;
  run([&](const Requests&) { return posts < answers.size() ? answers[posts++] : otlp_ok(); });
  ASSERT_TRUE(wait_until_drained());
  stop();
  expect_delivered_in_order(10);
  EXPECT_EQ(stats_.sent, 10U);
  EXPECT_EQ(posts, answers.size());
  // libcurl itself repeats the post that meets a kept connection's reset.
  EXPECT_GE(stats_.retries, answers.size() - 1);
  EXPECT_EQ(stats_.quarantined, 0U);
}

TEST_F(DrainTest, WrongPathOfOneSignalDoesNotStopTheOthers) {
  append(10);
  options_.retry.max_interval = std::chrono::hours(1);
  run([](const Requests&) { return http_answer(404, "", ""); });
  ASSERT_TRUE(upstream_->wait_for_requests(1));
  while (stats_.retry_at_unix_ns == 0) std::this_thread::yield();
  EXPECT_TRUE(breaker_.acquire(std::stop_token()));
  EXPECT_FALSE(breaker_.open());
}

TEST_F(DrainTest, SilentUpstreamDoesNotHinderAStopAndNothingIsAcknowledged) {
  append(10);
  run([](const Requests&) { return UpstreamReply{.then = Then::hang}; });
  ASSERT_TRUE(upstream_->wait_for_requests(1));
  const auto asked = std::chrono::steady_clock::now();
  drain_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - asked, std::chrono::seconds(2));
  EXPECT_EQ(reader_->acknowledged(), 0U);
  delivered_.clear();
  run([](const Requests&) { return otlp_ok(); });
  ASSERT_TRUE(wait_until_drained());
  stop();
  expect_delivered_in_order(10);
}

TEST_F(DrainTest, PartialSuccessIsCountedAndNotSentAgain) {
  append(10);
  run([](const Requests&) {
    return http_answer(200, "application/x-protobuf",
                       std::string("\x0A\x07\x08\x04\x12\x03why", 9));
  });
  ASSERT_TRUE(wait_until_drained());
  stop();
  EXPECT_EQ(stats_.sent, 10U);
  EXPECT_EQ(stats_.partial_rejected, 4U);
  EXPECT_EQ(stats_.attempts, 1U);
}

TEST_F(DrainTest, BatchThatNeverGetsThroughIsTriedInParts) {
  append(64, 8);
  run([](const Requests& requests) {  // a line that breaks under more than ten
    return requests.size() > 10 ? UpstreamReply{.then = Then::reset} : otlp_ok();
  });
  ASSERT_TRUE(wait_until_drained());
  stop();
  expect_delivered_in_order(64);
}

TEST_F(DrainTest, StoppedDrainEndsAtOnceWithoutWork) {
  run([](const Requests&) { return otlp_ok(); });
  drain_->request_stop();
  stop();
  EXPECT_EQ(stats_.attempts, 0U);
}

TEST_F(DrainTest, FinishWaitsForTheRequestThatIsUnderWay) {
  std::latch arrived(1);
  std::latch answer(1);
  append(3);
  run([&](const Requests&) {
    arrived.count_down();
    answer.wait();
    return otlp_ok();
  });
  arrived.wait();
  drain_->finish();
  EXPECT_FALSE(drain_->wait_ended(SteadyClock::now()));
  answer.count_down();
  EXPECT_TRUE(drain_->wait_ended(SteadyClock::now() + std::chrono::seconds(20)));
  stop();
  expect_delivered_in_order(3);
  EXPECT_EQ(log_->stats().readers.at(0).pending_items, 0U) << "it would be sent again";
}

TEST_F(DrainTest, FinishWaitsForNoUpstreamThatIsAway) {
  options_.retry.initial_interval = options_.retry.max_interval = std::chrono::hours(1);
  append(3);
  run([](const Requests&) { return http_answer(503, "", ""); });
  while (state_of(stats_) != UpstreamState::retrying) std::this_thread::yield();
  drain_->finish();
  EXPECT_TRUE(drain_->wait_ended(SteadyClock::now() + std::chrono::seconds(20)));
  EXPECT_EQ(log_->stats().readers.at(0).pending_items, 3U);
}

TEST_F(DrainTest, FinishSendsTheRestOfABatchOfWhichSomeIsDelivered) {
  append(4);
  std::atomic<int> calls{0};
  run([&](const Requests& requests) {
    ++calls;
    if (requests.size() == 4) return http_answer(413, "", "");
    if (calls == 3) return http_answer(503, "", "");  // in the middle: the rest is waited for
    if (calls == 2) drain_->finish();
    return otlp_ok();
  });
  ASSERT_TRUE(drain_->wait_ended(SteadyClock::now() + std::chrono::seconds(20)));
  stop();
  expect_delivered_in_order(4);
  EXPECT_EQ(log_->stats().readers.at(0).pending_items, 0U);
}

}  // namespace
}  // namespace holdfast
