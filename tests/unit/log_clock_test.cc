// How old a segment is after a restart, whatever the wall clock did meanwhile.
#include <gtest/gtest.h>

#include "tests/support/log_fixture.h"

namespace holdfast {
namespace {

constexpr std::int64_t kHourMs = 3600 * 1000;
constexpr std::int64_t kYearMs = 365 * 24 * kHourMs;

class LogClockTest : public LogFixture {
 protected:
  /// The agent stops, the clocks do what they do, and it starts again.
  void restart_after(std::int64_t hours, std::int64_t wall_jump_ms) {
    append("a");
    log->close();
    clock.advance_ms(hours * kHourMs);
    clock.jump_ms(wall_jump_ms);
    open();
    log->maintain();
  }
  std::uint64_t expired() { return drops(DropReason::expired).items; }
};

TEST_F(LogClockTest, AWallClockThatJumpsAYearWithinOneBootExpiresNothing) {
  for (const std::int64_t jump : {kYearMs, -kYearMs}) {
    open();
    restart_after(1, jump);
    EXPECT_EQ(expired(), 0U);
    EXPECT_EQ(claim_all().size(), 1U);
    log->reader("up").acknowledge();
  }
}

TEST_F(LogClockTest, WithinOneBootAFileExpiresAtItsTrueAgeWhateverTheWallClockSays) {
  for (const std::int64_t jump : {kYearMs, -kYearMs}) {
    open();
    restart_after(17, jump);
    EXPECT_EQ(expired(), 0U);
    clock.advance_ms(kHourMs);
    log->maintain();
    EXPECT_EQ(expired(), 1U);
  }
}

TEST_F(LogClockTest, AfterAnotherBootTheWallClockTells) {
  open();
  append("a");
  log->close();
  clock.boot(2);
  clock.jump_ms(17 * kHourMs);
  open();
  log->maintain();
  EXPECT_EQ(expired(), 0U);
  log->close();
  clock.boot(3);
  clock.jump_ms(kHourMs);
  open();
  log->maintain();
  EXPECT_EQ(expired(), 1U);
}

TEST_F(LogClockTest, AMachineThatNamesNoBootGoesByTheWallClock) {
  clock.boot(0);
  open();
  restart_after(1, kYearMs);
  EXPECT_EQ(expired(), 1U);
}

TEST_F(LogClockTest, AfterAnotherBootADateBefore2020OrInTheFutureCountsFromNow) {
  for (const std::int64_t jump : {-40 * kYearMs, 10 * kYearMs}) {
    clock.jump_ms(jump);
    open();
    append("a");
    log->close();
    clock.jump_ms(-jump);
    clock.boot(clock.boot_id() + 1);
    open();
    log->maintain();
    EXPECT_EQ(expired(), 0U);
    clock.advance_ms(18 * kHourMs);
    log->maintain();
    EXPECT_EQ(expired(), 1U);
  }
}

TEST_F(LogClockTest, ABoottimeBeforeTheFilesOwnIsNotBelieved) {
  open();
  append("a");
  log->close();
  clock.boot(1);  // the same name, but the clock has begun again
  open();
  log->maintain();
  EXPECT_EQ(expired(), 0U);
  clock.advance_ms(18 * kHourMs);
  log->maintain();
  EXPECT_EQ(expired(), 1U);
}

TEST(SystemClockTest, KnowsItsBoot) {
  const Clock& clock = system_clock();
  EXPECT_NE(clock.boot_id(), 0U);
  EXPECT_EQ(clock.boot_id(), system_clock().boot_id());
  EXPECT_GE(clock.boottime_ns(), clock.steady_ns());  // time asleep included
}

}  // namespace
}  // namespace holdfast
