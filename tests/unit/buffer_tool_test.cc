// The offline tools on directories that a test has made: times, names, what is damaged, and what a
// failing disk leaves.
#include "agent/buffer_tool.h"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "agent/buffer_tool_files.h"
#include "agent/buffer_tool_purge.h"
#include "agent/buffer_tool_records.h"
#include "agent/buffer_tool_repair.h"
#include "agent/buffer_tool_segment.h"
#include "buffer/deflate.h"
#include "tests/support/faulty_filesystem.h"
#include "tests/support/log_fixture.h"

namespace holdfast {
namespace {

class BufferToolTest : public LogFixture {
 protected:
  /// Records whose bytes are these, in one sealed segment.
  void store(const std::vector<std::string>& texts) {
    open();
    for (const std::string& text : texts) {
      NewRecord record = record_of(text);
      record.raw_crc32 = crc32_gzip(0, text);
      ASSERT_EQ(log->append({&record, 1}), AppendOutcome::stored);
    }
    log->close();
    log.reset();
  }

  std::vector<std::string> stored(RecordFilter filter = {}) {
    std::vector<std::string> texts;
    ProgressBar progress(context, "read", 0);
    read_requests(directory.path(), filter, context, progress, [&](const StoredRequest& request) {
      texts.emplace_back(request.raw);
      return true;
    });
    return texts;
  }

  void overwrite(const std::string& file, std::uint64_t offset, const std::string& bytes) {
    std::fstream stream(path(file), std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(static_cast<std::streamoff>(offset));
    stream << bytes;
  }

  std::ostringstream out;
  std::ostringstream err;
  std::stop_source stop;
  ToolContext context{out, err, stop.get_token()};
};

constexpr std::uint64_t kRecordBytes = 72;  // of a record of up to 8 bytes

TEST(ToolTimes, Rfc3339AndDurationsAreReadAndNothingElse) {
  constexpr std::int64_t kNow = 1'800'000'000 * kNsPerSecond;
  const auto when = [](std::string_view text) {
    std::int64_t ns = -1;
    return parse_when(text, kNow, ns) ? ns : -1;
  };
  EXPECT_EQ(when("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(when("2026-11-21T13:00:00Z"), 1'795'266'000 * kNsPerSecond);
  EXPECT_EQ(when("2026-11-21 15:30:00.25+02:30"), 1'795'266'000 * kNsPerSecond + 250'000'000);
  EXPECT_EQ(when("2026-11-21t11:00:00-02:00"), 1'795'266'000 * kNsPerSecond);
  EXPECT_EQ(when("2016-12-31T23:59:60Z"), 1'483'228'800 * kNsPerSecond);
  EXPECT_EQ(when("90s"), kNow - 90 * kNsPerSecond);
  EXPECT_EQ(when("1h30m"), kNow - 5'400 * kNsPerSecond);
  for (const char* text :
       {"", "yesterday", "2026-11-21", "2026-11-21T13:00:00", "2026-11-31T13:00:00Z",
        "2026-13-01T00:00:00Z", "2026-11-21T25:00:00Z", "2026-11-21T13:00:00.Z",
        "2026-11-21T13:00:00Zx", "-1h", "2026-11-21T13:00:00+0200", "1000000h"}) {
    EXPECT_EQ(when(text), -1) << text;
  }
}

TEST(ToolTimes, CountsReadAsEnglish) {
  EXPECT_EQ(counted(0, "item"), "0 items");
  EXPECT_EQ(counted(1, "entry"), "1 entry");
  EXPECT_EQ(counted(2, "entry"), "2 entries");
}

TEST_F(BufferToolTest, ReadOnlyFileSystemChangesNothing) {
  store({"one"});
  FileSystem& fs = read_only_filesystem();
  const std::string file = path(files(".seg").at(0));
  EXPECT_EQ(fs.unlink(file).error().code, EROFS);
  EXPECT_EQ(fs.rename(file, file + "x").error().code, EROFS);
  EXPECT_EQ(fs.make_directories(file + "d", 0700).error().code, EROFS);
  EXPECT_EQ(fs.open(file + "x", FileSystem::Mode::create_new).error().code, EROFS);
  auto opened = fs.open(file, FileSystem::Mode::read_write);
  ASSERT_TRUE(opened.ok());
  std::string byte = "x";
  const std::array<iovec, 1> one{iovec{byte.data(), 1}};
  EXPECT_EQ((*opened)->pwritev(one, 0).error().code, EBADF);
  EXPECT_EQ(stored(), std::vector<std::string>{"one"});
}

TEST_F(BufferToolTest, SegmentThatIsSealedOrGoneMeanwhileIsNoDamage) {
  store({"one"});
  const std::string sealed = files(".seg").at(0);
  const std::string open_name = sealed.substr(0, sealed.size() - 4) + ".wip";
  EXPECT_TRUE(open_segment(read_only_filesystem(), options.directory, open_name).ok());
  std::filesystem::remove(path(sealed));
  EXPECT_EQ(open_segment(read_only_filesystem(), options.directory, open_name).error().code,
            ENOENT);
}

TEST_F(BufferToolTest, NamesOfCursorsComeBackAsTheyWereWritten) {
  open({"otlp_http/backup 1%", "plain"});
  ASSERT_EQ(append("x"), AppendOutcome::stored);
  for (const char* name : {"otlp_http/backup 1%", "plain"}) {
    ASSERT_FALSE(log->reader(name).claim({}).empty());
    log->reader(name).acknowledge();
  }
  log->close();
  // What the log has set aside is nobody's.
  std::filesystem::copy(path("cursor-plain"), path("cursor-plain~1800000000000"));
  const auto cursors = read_cursors(options.directory);
  ASSERT_EQ(cursors.size(), 2U);
  EXPECT_EQ(cursors[0].exporter, "otlp_http/backup 1%");
  EXPECT_EQ(cursors[1].exporter, "plain");
  EXPECT_EQ(cursors[0].next_seq, 2U);
}

TEST_F(BufferToolTest, VerifyFindsWhatDoesNotInflateToItsChecksum) {
  store({"one", "two"});
  EXPECT_EQ(verify_buffer(directory.path(), context), kToolOk);
  open();
  NewRecord wrong = record_of("three");
  wrong.raw_crc32 = 1;
  ASSERT_EQ(log->append({&wrong, 1}), AppendOutcome::stored);
  log->close();
  out.str("");
  EXPECT_EQ(verify_buffer(directory.path(), context), kToolDamage);
  EXPECT_NE(out.str().find("2 of 2 segments readable, 2 records with 2 items whole, 1 damaged"),
            std::string::npos)
      << out.str();
}

TEST_F(BufferToolTest, RepairTakesOutTheDamageAndKeepsTheNumbers) {
  store({"one", "two", "three", "four"});
  const std::string file = files(".seg").at(0);
  overwrite(file, kSegmentHeaderBytes + kRecordBytes + kRecordHeaderBytes, "2");
  ASSERT_EQ(repair_buffer(posix_filesystem(), directory.path(), false, context), kToolOk)
      << err.str();
  EXPECT_EQ(stored(), (std::vector<std::string>{"one", "three", "four"}));
  RecordFilter from_three;
  from_three.from_seq = 3;
  EXPECT_EQ(stored(from_three), (std::vector<std::string>{"three", "four"}));
  const auto scan = scan_segment(read_only_filesystem(), options.directory, file);
  ASSERT_TRUE(scan.ok());
  EXPECT_TRUE(scan->sealed);
  EXPECT_FALSE(scan->damaged);
  EXPECT_EQ(scan->next_seq, 5U);
  open();
  EXPECT_EQ(log->stats().next_seq, 5U);
  EXPECT_EQ(claim_all(), (std::vector<std::string>{"one", "three", "four"}));
  log->reader("up").acknowledge();
  EXPECT_EQ(log->stats().readers.at(0).drops[static_cast<int>(DropReason::corrupt)].items, 0U);
  EXPECT_EQ(log->stats().quarantine_entries, 1U);
}

TEST_F(BufferToolTest, RepairWritesADamagedSegmentHeaderAnew) {
  store({"one", "two"});
  const std::string file = files(".seg").at(0);
  overwrite(file, 0, std::string(kSegmentHeaderBytes, 'X'));
  EXPECT_EQ(verify_buffer(directory.path(), context), kToolDamage);
  ASSERT_EQ(repair_buffer(posix_filesystem(), directory.path(), false, context), kToolOk);
  EXPECT_EQ(stored(), (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(verify_buffer(directory.path(), context), kToolOk);
  open();
  EXPECT_EQ(log->stats().quarantine_entries, 1U);
  EXPECT_EQ(claim_all(), (std::vector<std::string>{"one", "two"}));
}

TEST_F(BufferToolTest, RepairThatFailsAnywhereLosesNothingAndSucceedsTheNextTime) {
  using Operation = FaultyFileSystem::Operation;
  for (const Operation operation : {Operation::pwritev, Operation::fdatasync, Operation::rename,
                                    Operation::sync_directory, Operation::unlink}) {
    int failures = 0;
    for (int passed = 0; failures == passed; ++passed) {
      SCOPED_TRACE(std::to_string(static_cast<int>(operation)) + " " + std::to_string(passed));
      std::filesystem::remove_all(options.directory);
      store({"one", "two", "three"});
      const std::string file = files(".seg").at(0);
      overwrite(file, kSegmentHeaderBytes + kRecordBytes + kRecordHeaderBytes, "2");
      std::filesystem::rename(path(file), path(file.substr(0, file.size() - 4) + ".wip"));
      FaultyFileSystem fs;
      fs.fail(operation, EIO, 1, passed);
      err.str("");
      failures += repair_buffer(fs, directory.path(), false, context) == kToolDamage ? 1 : 0;
      EXPECT_EQ(stored(), (std::vector<std::string>{"one", "three"}));
      fs.heal();
      EXPECT_EQ(repair_buffer(fs, directory.path(), false, context), kToolOk) << err.str();
      EXPECT_EQ(stored(), (std::vector<std::string>{"one", "three"}));
      EXPECT_EQ(verify_buffer(directory.path(), context), kToolOk);
    }
    EXPECT_GE(failures, 1) << static_cast<int>(operation);
  }
}

TEST_F(BufferToolTest, RepairLeavesFilesOfANewerVersionAndCopiesAlone) {
  store({"one"});
  const std::string file = files(".seg").at(0);
  std::filesystem::copy(path(file), path(file.substr(0, file.size() - 4) + ".wip"));
  std::string newer(kSegmentHeaderBytes, '\0');
  newer.replace(0, 9, "HOLDFAST\x02");
  std::ofstream(path("00000000000000000100-1800000000000.seg"), std::ios::binary) << newer;
  EXPECT_EQ(repair_buffer(posix_filesystem(), directory.path(), false, context), kToolDamage);
  EXPECT_NE(err.str().find("one of the two is a copy"), std::string::npos) << err.str();
  EXPECT_NE(err.str().find("unknown format version"), std::string::npos) << err.str();
  EXPECT_EQ(files(".seg").size(), 2U);
  EXPECT_EQ(files(".wip").size(), 1U);
}

TEST_F(BufferToolTest, PurgeLeavesADamagedSegmentThatIsToKeepSomeOfItsRecords) {
  store({"one", "two"});
  overwrite(files(".seg").at(0), kSegmentHeaderBytes + kRecordHeaderBytes, "1");
  PurgeOptions purge;
  purge.before_unix_ns = clock.unix_ns() + kNsPerSecond;
  purge.yes = true;
  EXPECT_EQ(purge_buffer(posix_filesystem(), directory.path(), purge, context), kToolDamage);
  EXPECT_NE(err.str().find("repair first"), std::string::npos);
  EXPECT_EQ(stored(), std::vector<std::string>{"two"});
  purge.before_unix_ns = INT64_MAX;
  EXPECT_EQ(purge_buffer(posix_filesystem(), directory.path(), purge, context), kToolOk);
  EXPECT_TRUE(files(".seg").empty());
}

TEST_F(BufferToolTest, WhatAnExporterSkipsIsNotOwedByItAndRepairKeepsItsSource) {
  const auto reopen = [this] { open_with({{"edge", {2}}, {"cloud", {1}}}); };
  reopen();
  const std::vector<std::pair<std::uint16_t, std::string>> sent{
      {1, "e1"}, {2, "c1"}, {1, "bad"}, {1, "e2"}, {0, "all"}};
  for (const auto& [source, text] : sent) {
    NewRecord record = record_of(text);
    record.raw_crc32 = crc32_gzip(0, text);
    record.source = source;
    ASSERT_EQ(log->append({&record, 1}), AppendOutcome::stored);
  }
  log->close();
  log.reset();
  overwrite(files(".seg").at(0), kSegmentHeaderBytes + 2 * kRecordBytes + kRecordHeaderBytes, "B");
  ASSERT_EQ(repair_buffer(posix_filesystem(), directory.path(), false, context), kToolOk);

  RecordFilter owed;
  owed.pending_exporter = "edge";
  EXPECT_EQ(stored(owed), (std::vector<std::string>{"e1", "e2", "all"}));
  owed.pending_exporter = "cloud";
  EXPECT_EQ(stored(owed), (std::vector<std::string>{"c1", "all"}));
  reopen();
  EXPECT_EQ(claim_all("edge"), (std::vector<std::string>{"e1", "e2", "all"}));
  EXPECT_EQ(log->stats().readers.at(1).pending_items, 2U);
  log->close();
  log.reset();
  PurgeOptions purge;
  purge.yes = true;
  ASSERT_EQ(purge_buffer(posix_filesystem(), directory.path(), purge, context), kToolOk);
  EXPECT_NE(out.str().find("4 of them not delivered (2 by cloud, 3 by edge)"), std::string::npos)
      << out.str();
}

TEST_F(BufferToolTest, NumbersGoOnAfterEverythingIsPurged) {
  open();
  ASSERT_EQ(append("one"), AppendOutcome::stored);
  ASSERT_FALSE(log->reader("up").claim({}).empty());
  log->reader("up").acknowledge();
  ASSERT_EQ(append("two"), AppendOutcome::stored);
  log->close();
  log.reset();
  PurgeOptions purge;
  purge.yes = true;
  ASSERT_EQ(purge_buffer(posix_filesystem(), directory.path(), purge, context), kToolOk);
  open();
  EXPECT_EQ(log->stats().next_seq, 3U);
  ASSERT_EQ(append("three"), AppendOutcome::stored);
  EXPECT_EQ(claim_all(), std::vector<std::string>{"three"});
}

TEST_F(BufferToolTest, StopEndsReadingBetweenTwoRecords) {
  store({"one", "two"});
  stop.request_stop();
  EXPECT_TRUE(stored().empty());
  EXPECT_EQ(verify_buffer(directory.path(), context), kToolInterrupted);
  EXPECT_EQ(repair_buffer(posix_filesystem(), directory.path(), false, context), kToolInterrupted);
}

}  // namespace
}  // namespace holdfast
