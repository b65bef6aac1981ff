// Every operation of the file system failing with every error, once and for a while: what
// was acknowledged is there afterwards, what was refused is not, and the log heals by itself.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "tests/support/faulty_log_fixture.h"

namespace holdfast {
namespace {

using Operation = FaultyFileSystem::Operation;
using Strings = std::vector<std::string>;

constexpr int kCodes[] = {ENOSPC, EDQUOT, EIO, EROFS, EFBIG, EACCES, ENFILE, EMFILE, EINTR, ENOMEM};
constexpr int kForAWhile = 1000;

class LogFaultTableTest : public FaultyLogFixture, public ::testing::WithParamInterface<Operation> {
 protected:
  LogFaultTableTest() {
    options.file_bytes_max = 4096;
    options.folder_bytes_max = 4 << 20;
  }

  /// Runs `scenario` in a new directory for every error, once and for a while; some of them twice.
  template <typename Scenario>
  void for_each_error(const Scenario& scenario) {
    for (const int code : kCodes) {
      for (const int times : {1, 2, kForAWhile}) {
        if (times == 2 && code != EIO && code != ENOSPC) continue;
        SCOPED_TRACE(std::string(strerrorname_np(code)) + " " + std::to_string(times));
        code_ = code;
        times_ = times;
        acknowledged.clear();
        delivered.clear();
        scenario();
        fs.heal();
        log.reset();
        std::filesystem::remove_all(options.directory);
        if (HasFailure()) return;
      }
    }
  }

  void fail() { fs.fail(GetParam(), code_, times_); }

  /// Several segments' worth, so that sealing and rolling meet the fault as well.
  void append_some(char name, int count) {
    for (int i = 0; i < count; ++i) {
      std::string text = name + std::to_string(i);
      text.resize(900, '.');
      if (append(text) == AppendOutcome::stored) acknowledged.push_back(text);
    }
  }

  void upkeep() {
    clock.advance_ms(2000);
    log->maintain();
  }

  /// All that can be claimed now; pauses after a failed read are not waited for here.
  void deliver() {
    for (std::string& text : claim_all()) delivered.push_back(std::move(text));
    log->reader("up").acknowledge();
  }

  void deliver_all() {
    const auto far = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (reader_stats().pending_records > 0 &&
           log->reader("up").wait_readable(std::stop_token(), far)) {
      deliver();
    }
  }

  int code_ = 0;
  int times_ = 0;
  Strings acknowledged;
  Strings delivered;
};

TEST_P(LogFaultTableTest, WhileItWritesReadsAndDeletes) {
  for_each_error([this] {
    open_faulty();
    upkeep();  // the reserve is there
    append_some('a', 6);
    fail();
    append_some('b', 6);
    upkeep();
    deliver();
    append_some('c', 6);
    upkeep();
    const bool reads_fail = GetParam() == Operation::open || GetParam() == Operation::pread;
    if (!reads_fail) deliver();  // the pause after a second failure is a real one
    upkeep();
    fs.heal();
    upkeep();
    const std::size_t before = acknowledged.size();
    append_some('d', 6);
    EXPECT_EQ(acknowledged.size(), before + 6);  // it takes again
    deliver_all();
    EXPECT_EQ(delivered, acknowledged);
    EXPECT_EQ(drops(DropReason::corrupt).items, 0U);
    EXPECT_EQ(drops(DropReason::folder_full).items, 0U);
    upkeep();
    upkeep();
    EXPECT_TRUE(files(".seg").empty());  // what could not be deleted is gone by now
    EXPECT_TRUE(files(".wip").empty());
    EXPECT_EQ(log->stats().allocated_bytes, log->stats().quarantine_bytes);
    EXPECT_FALSE(log->stats().disk_nearly_full);
  });
}

TEST_P(LogFaultTableTest, BetweenAWriteAndAKill) {
  for_each_error([this] {
    open_faulty();
    append_some('a', 3);
    deliver();
    append_some('b', 6);
    fail();
    append_some('c', 6);
    fs.heal();
    append_some('d', 2);
    crash();
    open_faulty();
    deliver_all();
    // A kill may repeat what was in flight and bring what was refused, but every acknowledged
    // record is there, in its order.
    Strings found;
    for (const std::string& text : delivered) {
      const bool is_new = std::find(found.begin(), found.end(), text) == found.end();
      const bool counts =
          std::find(acknowledged.begin(), acknowledged.end(), text) != acknowledged.end();
      if (is_new && counts) found.push_back(text);
    }
    EXPECT_EQ(found, acknowledged);
    EXPECT_EQ(drops(DropReason::corrupt).items, 0U);
  });
}

TEST_P(LogFaultTableTest, WhileItStarts) {
  for_each_error([this] {
    if (GetParam() == Operation::pread || GetParam() == Operation::open) {
      // A segment that a start cannot read goes to quarantine: log_fault_test has it. Here only a
      // log without segments starts.
      open_faulty();
      fail();
    } else {
      open_faulty();
      append_some('a', 6);
      crash();
      fail();
    }
    open_faulty();
    fs.heal();
    append_some('b', 6);
    upkeep();
    deliver_all();
    EXPECT_EQ(delivered, acknowledged);
  });
}

std::string name_of(const ::testing::TestParamInfo<Operation>& info) {
  static constexpr const char* kNames[] = {"Open",   "Read",   "Write",        "Sync",
                                           "Rename", "Unlink", "SyncDirectory"};
  return kNames[static_cast<std::size_t>(info.param)];
}

INSTANTIATE_TEST_SUITE_P(Operations, LogFaultTableTest,
                         ::testing::Values(Operation::open, Operation::pread, Operation::pwritev,
                                           Operation::fdatasync, Operation::rename,
                                           Operation::unlink, Operation::sync_directory),
                         name_of);

}  // namespace
}  // namespace holdfast
