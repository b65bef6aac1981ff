// Several endpoints of one exporter, each a server on a real socket: who gets a batch, and how
// often.
#include "exporters/failover.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "exporters/otlp_http.h"
#include "tests/support/scripted_upstream.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using Outcome = SendResult::Outcome;

const UpstreamReply kReset{.bytes = "", .then = UpstreamReply::Then::reset};

UpstreamReply status_reply(int status, std::string_view extra = "") {
  return http_answer(status, "text/plain", "no", extra);
}

class FailoverTest : public testing::Test {
 protected:
  FailoverTest() { replies_.fill(otlp_ok()); }

  void start(EndpointStrategy strategy = EndpointStrategy::failover) {
    std::vector<std::unique_ptr<Exporter>> endpoints;
    for (std::size_t i = 0; i < replies_.size(); ++i) {
      upstreams_[i] = std::make_unique<ScriptedUpstream>(
          [this, i](const UpstreamRequest&) { return replies_[i]; });
      OtlpHttpOptions http;
      http.urls[index_of(Signal::traces)] = upstreams_[i]->url();
      endpoints.push_back(make_otlp_http_exporter(http, Signal::traces));
    }
    FailoverOptions options;
    options.strategy = strategy;
    options.pause = 10s;
    options.now = [this] { return now_; };
    options.report = [this](std::size_t place, const SendResult& result) {
      reports_.emplace_back(place, result.outcome);
    };
    exporter_ = make_failover_exporter(std::move(options), std::move(endpoints));
  }

  SendResult send(std::stop_token stop = {}) {
    return exporter_->send({.coding = exporter_->form().coding, .body = "body"}, std::move(stop));
  }

  std::array<std::size_t, 3> counts() const {
    return {upstreams_[0]->request_count(), upstreams_[1]->request_count(),
            upstreams_[2]->request_count()};
  }

  using Counts = std::array<std::size_t, 3>;
  std::chrono::steady_clock::time_point now_ = std::chrono::steady_clock::now();
  std::array<UpstreamReply, 3> replies_;
  std::array<std::unique_ptr<ScriptedUpstream>, 3> upstreams_;
  std::vector<std::pair<std::size_t, Outcome>> reports_;
  std::unique_ptr<Exporter> exporter_;
};

TEST_F(FailoverTest, TheFirstGetsEverythingWhileItIsThere) {
  start();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(send().outcome, Outcome::delivered);
  EXPECT_EQ(counts(), (Counts{3, 0, 0}));
}

TEST_F(FailoverTest, WhatSaysThatAnEndpointIsAwayGoesToTheNextWithinTheDelivery) {
  for (const UpstreamReply& away :
       {status_reply(502), status_reply(503), status_reply(504), kReset}) {
    replies_ = {away, away, otlp_ok()};
    start();
    EXPECT_EQ(send().outcome, Outcome::delivered);
    EXPECT_EQ(counts(), (Counts{1, 1, 1}));
  }
}

TEST_F(FailoverTest, AnAnswerAboutTheBatchCountsWhoeverGaveIt) {
  for (const int status : {400, 401, 413, 429, 500}) {
    replies_[0] = status_reply(status);
    start();
    EXPECT_EQ(send().status, status);
    EXPECT_EQ(counts(), (Counts{1, 0, 0})) << status;
  }
}

TEST_F(FailoverTest, TheFirstIsAskedAgainAfterThePause) {
  replies_[0] = status_reply(503);
  start();
  send();
  now_ += 9s;
  send();
  EXPECT_EQ(counts(), (Counts{1, 2, 0}));
  replies_[0] = otlp_ok();
  now_ += 1s;
  send();
  send();
  EXPECT_EQ(counts(), (Counts{3, 2, 0}));
}

TEST_F(FailoverTest, ALongerRetryAfterIsHeeded) {
  replies_[0] = status_reply(503, "Retry-After: 60\r\n");
  start();
  send();
  now_ += 59s;
  send();
  EXPECT_EQ(counts(), (Counts{1, 2, 0}));
  now_ += 1s;
  send();
  EXPECT_EQ(counts(), (Counts{2, 3, 0}));
}

TEST_F(FailoverTest, WhenAllAreAwayTheLastAnswerCountsAndAllAreTriedNextTime) {
  replies_ = {status_reply(502), status_reply(503), status_reply(504)};
  start();
  const SendResult result = send();
  EXPECT_EQ(result.outcome, Outcome::retry);
  EXPECT_TRUE(result.upstream_down);
  EXPECT_EQ(result.status, 504);
  replies_[1] = otlp_ok();
  EXPECT_EQ(send().outcome, Outcome::delivered);
  EXPECT_EQ(counts(), (Counts{2, 2, 1}));
}

TEST_F(FailoverTest, RoundRobinGoesInTurnAndLeavesOutWhoIsAway) {
  start(EndpointStrategy::round_robin);
  for (int i = 0; i < 6; ++i) send();
  EXPECT_EQ(counts(), (Counts{2, 2, 2}));
  replies_[1] = status_reply(503);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(send().outcome, Outcome::delivered);
  EXPECT_EQ(upstreams_[1]->request_count(), 3U) << "asked once more, and then left alone";
}

TEST_F(FailoverTest, EachAttemptIsReported) {
  replies_[0] = status_reply(503);
  start();
  send();
  EXPECT_EQ(reports_, (std::vector<std::pair<std::size_t, Outcome>>{{0, Outcome::retry},
                                                                    {1, Outcome::delivered}}));
}

TEST_F(FailoverTest, AStopTriesNobodyElse) {
  replies_[0] = {.bytes = "", .then = UpstreamReply::Then::hang};
  start();
  std::stop_source stop;
  std::jthread stopper([&] {
    upstreams_[0]->wait_for_requests(1);
    stop.request_stop();
  });
  EXPECT_EQ(send(stop.get_token()).outcome, Outcome::retry);
  EXPECT_EQ(counts(), (Counts{1, 0, 0}));
  EXPECT_TRUE(reports_.empty());
}

}  // namespace
}  // namespace holdfast
