// A run that does everything a log does, cut off after every single operation on the disk, and cut
// off again inside the recovery.
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "tests/support/checked_log.h"

namespace holdfast {
namespace {

const std::vector<std::string> kReaders{"fast", "slow"};

/// Everything that a crash leaves behind: a copy is another machine in the same state.
struct World {
  explicit World(std::uint64_t seed) : fs(SimulatedDisk(seed)), log(fs, clock) {}
  World(const World& other) : clock(other.clock), fs(other.fs), log(fs, clock, other.log) {}

  ManualClock clock;
  SimulatedFileSystem fs;
  CheckedLog log;
};

using Script = std::vector<std::function<void(World&)>>;

Script script_of(const LogOptions& options) {
  const auto open = [options](World& w) { w.log.open(options, kReaders); };
  const auto append = [](std::vector<std::uint32_t> sizes) {
    return [sizes](World& w) { w.log.append(sizes); };
  };
  const auto pass = [](std::int64_t ms) {
    return [ms](World& w) {
      w.clock.advance_ms(ms);
      w.log.maintain();
    };
  };
  const auto deliver = [](std::string reader, std::uint32_t records) {
    return [reader, records](World& w) {
      w.log.claim(reader, {.records_max = records});
      w.log.acknowledge(reader);
    };
  };
  Script script{open, append({300}), append({10, 2000, 0, 700}), append({3000}), pass(1'000)};
  script.push_back(deliver("fast", 2));
  script.push_back(append({4000, 100}));  // fills the first file
  script.push_back(append({9000}));       // is larger than a file
  script.push_back([](World& w) {
    w.log.claim("slow", {.records_max = 3});
    w.log.rewind("slow");
    w.log.claim("slow", {.records_max = 1});
    w.log.quarantine("slow");
  });
  script.push_back(pass(1'000));
  for (int i = 0; i < 9; ++i) script.push_back(append({2500, 2500}));  // over the folder's limit
  script.push_back([](World& w) {
    w.log.claim("fast", {.records_max = 5});
    w.log.append({7000});
    w.log.append({7000});
    w.log.rewind("fast");
  });
  script.push_back(deliver("fast", 100));
  script.push_back(pass(30'000));  // past the age for writing
  script.push_back(deliver("slow", 100));
  script.push_back(deliver("fast", 100));
  script.push_back(pass(1'000));
  script.push_back(append({50, 60}));
  script.push_back([](World& w) { w.log.close(); });
  script.push_back(open);
  script.push_back(append({500}));
  script.push_back(deliver("fast", 1));
  script.push_back(pass(20 * 3600 * 1'000));  // past the age for reading
  script.push_back(append({600}));
  script.push_back(pass(2'000));
  return script;
}

/// Runs the script from step `next`; the step it came to when the machine stopped.
std::size_t run(World& world, const Script& script, std::size_t next) {
  for (; next < script.size() && world.log.ok() && !world.fs.stopped(); ++next) script[next](world);
  return next;
}

class LogCrashTest : public ::testing::Test {
 protected:
  LogCrashTest() { options = CheckedLog::small_options(); }

  void crash(World& world, const std::optional<CrashPolicy>& policy) {
    if (policy) {
      world.log.lose_power(*policy);
    } else {
      world.log.kill();
    }
    ++crashes;
  }

  /// Goes on as if nothing had happened, and delivers everything.
  void finish(World& world, const Script& script, std::size_t next) {
    world.log.open(options, kReaders);
    run(world, script, next);
    if (!world.log.is_open()) world.log.open(options, kReaders);
    world.log.append({100, 200});
    world.log.drain();
    world.log.close();
    world.log.open(options, kReaders);
    world.log.drain();
    world.log.close();
  }

  /// Crashes after operation `first` of the script and, if asked, `second` of the recovery.
  /// False: there are not so many.
  bool crash_once(const Script& script, std::uint64_t first,
                  const std::optional<CrashPolicy>& policy, std::uint64_t seed) {
    World world(seed);
    world.fs.stop_after(first);
    const std::size_t next = run(world, script, 0);
    if (!world.fs.stopped()) return false;
    crash(world, policy);
    for (std::uint64_t second = 1;; second += second_step) {
      World again(world);
      again.fs.stop_after(second);
      again.log.open(options, kReaders);
      if (!again.fs.stopped()) break;
      crash(again, policy);
      finish(again, script, next);
      report(again, first, second, seed);
    }
    finish(world, script, next);
    report(world, first, 0, seed);
    return true;
  }

  void report(const World& world, std::uint64_t first, std::uint64_t second, std::uint64_t seed) {
    if (world.log.ok()) return;
    ++failures;
    if (failures > 2) return;
    ADD_FAILURE() << world.log.failure() << " (crash after operation " << first << ", then "
                  << second << " of the recovery; seed " << seed << ")\n"
                  << world.log.story();
  }

  void crash_everywhere(const std::optional<CrashPolicy>& policy, std::uint64_t seed) {
    const Script script = script_of(options);
    std::uint64_t operations = 0;
    while (failures <= 2 && crash_once(script, operations + 1, policy, seed)) ++operations;
  }

  /// Each seed picks a way of losing power: HOLDFAST_SEED=SEED replays one.
  void lose_power_everywhere(std::uint64_t first, std::uint64_t count) {
    if (const char* const only = std::getenv("HOLDFAST_SEED"); only != nullptr) {
      first = std::strtoull(only, nullptr, 10);
      count = 1;
    }
    for (std::uint64_t seed = first; seed < first + count && failures == 0; ++seed) {
      std::mt19937_64 random(seed);
      crash_everywhere(CrashPolicy::random(random), seed);
    }
  }

  LogOptions options;
  std::uint64_t second_step = 1;
  int crashes = 0;
  int failures = 0;
};

TEST_F(LogCrashTest, KilledAfterEveryOperationNothingIsLost) { crash_everywhere(std::nullopt, 1); }

TEST_F(LogCrashTest, PowerLostAfterEveryOperationNothingAcknowledgedIsLost) {
  second_step = 3;
  lose_power_everywhere(1, 4);
}

TEST_F(LogCrashTest, PowerLostWithWeakerDurabilityOnlyTheDocumentedIsLost) {
  second_step = 3;
  options.durability = Durability::interval;
  lose_power_everywhere(101, 1);
  options.durability = Durability::none;
  lose_power_everywhere(201, 1);
}

TEST_F(LogCrashTest, LongRunOfPowerLossesLosesNothingAcknowledged) {
  lose_power_everywhere(1, 60);
  options.overflow = Overflow::reject;
  lose_power_everywhere(301, 20);
}

}  // namespace
}  // namespace holdfast
