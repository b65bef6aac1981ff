// While an upstream is down one drain probes and the others wait; how long the backoff is.
#include "agent/breaker.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "agent/backoff.h"

namespace holdfast {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

TEST(Breaker, ClosedLetsAllPass) {
  Breaker breaker;
  EXPECT_TRUE(breaker.acquire({}));
  EXPECT_TRUE(breaker.acquire({}));
  EXPECT_FALSE(breaker.open());
}

TEST(Breaker, OpenWaitsForItsTime) {
  Breaker breaker;
  const auto retry_at = Clock::now() + milliseconds(30);
  breaker.failed(retry_at);
  EXPECT_TRUE(breaker.open());
  EXPECT_TRUE(breaker.acquire({}));
  EXPECT_GE(Clock::now(), retry_at);
}

TEST(Breaker, StopEndsTheWait) {
  Breaker breaker;
  breaker.failed(Clock::now() + std::chrono::hours(1));
  std::stop_source stop;
  std::jthread waiting([&] { EXPECT_FALSE(breaker.acquire(stop.get_token())); });
  stop.request_stop();
}

TEST(Breaker, OneProbesAtATimeAndItsSuccessFreesAll) {
  Breaker breaker;
  breaker.failed(Clock::now());
  std::mutex mutex;
  std::condition_variable changed;
  std::atomic<int> probing{0};
  std::atomic<int> probes{0};
  int passed = 0;
  std::vector<std::jthread> drains;
  for (int i = 0; i < 8; ++i) {
    drains.emplace_back([&] {
      ASSERT_TRUE(breaker.acquire({}));
      while (breaker.open()) {  // a probe: the first ones fail
        EXPECT_EQ(++probing, 1);
        const bool fails = ++probes < 5;
        --probing;
        if (!fails) {
          breaker.succeeded();
          break;
        }
        breaker.failed(Clock::now() + milliseconds(1));
        ASSERT_TRUE(breaker.acquire({}));
      }
      std::lock_guard lock(mutex);
      ++passed;
      changed.notify_all();
    });
  }
  std::unique_lock lock(mutex);
  EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(10), [&] { return passed == 8; }));
  EXPECT_EQ(probes, 5);
}

TEST(Breaker, AbandonedProbeIsTakenUpByAnother) {
  Breaker breaker;
  breaker.failed(Clock::now());
  std::jthread first([&] {
    EXPECT_TRUE(breaker.acquire({}));
    breaker.abandoned();
  });
  first.join();
  EXPECT_TRUE(breaker.acquire({}));
  EXPECT_TRUE(breaker.open());
}

TEST(Breaker, CountsProbesThatFailedNotWhatWasUnderWayBefore) {
  Breaker breaker;
  breaker.failed(Clock::now());
  breaker.failed(Clock::now());  // sent before it opened
  EXPECT_EQ(breaker.failures(), 1U);
  EXPECT_TRUE(breaker.acquire({}));
  breaker.failed(Clock::now());
  EXPECT_EQ(breaker.failures(), 2U);
  EXPECT_TRUE(breaker.acquire({}));
  breaker.succeeded();
  EXPECT_EQ(breaker.failures(), 0U);
  EXPECT_FALSE(breaker.open());
}

TEST(Backoff, GrowsWithJitterUpToTheLongest) {
  Backoff backoff({}, 7);
  for (int round = 0; round < 100; ++round) {
    EXPECT_GE(backoff.wait(1), milliseconds(2'500));
    EXPECT_LE(backoff.wait(1), milliseconds(7'500));
    EXPECT_GE(backoff.wait(3), milliseconds(5'625));
    EXPECT_LE(backoff.wait(4'000'000'000), milliseconds(30'000));
    EXPECT_GE(backoff.wait(4'000'000'000), milliseconds(15'000));
  }
}

TEST(Backoff, WithoutJitterItIsExact) {
  Backoff backoff({.randomization_factor = 0}, 7);
  EXPECT_EQ(backoff.wait(1), milliseconds(5'000));
  EXPECT_EQ(backoff.wait(2), milliseconds(7'500));
  EXPECT_EQ(backoff.wait(9), milliseconds(30'000));
}

TEST(Backoff, DisabledRetryStillWaitsTheLongest) {
  Backoff backoff({.enabled = false}, 7);
  EXPECT_EQ(backoff.wait(1), milliseconds(30'000));
}

}  // namespace
}  // namespace holdfast
