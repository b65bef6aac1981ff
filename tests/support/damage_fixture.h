// Logs on a disk in memory that tests damage byte by byte, and all that must be true afterwards
// whatever was done to it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "buffer/log.h"
#include "buffer/segment_format.h"
#include "tests/support/manual_clock.h"
#include "tests/support/memory_filesystem.h"

namespace holdfast {

class DamageFixture : public ::testing::Test {
 protected:
  using Disk = std::map<std::string, MemoryFileSystem::Node>;
  static constexpr const char* kFolder = "/buffer/traces";

  /// What became of the records of a damaged disk.
  struct Outcome {
    std::string letters;  // of the records that were read, in order
    std::uint64_t recovered = 0;
    DropCounts lost;  // items and records counted as corrupt
    std::uint64_t quarantined = 0;
    std::uint64_t corrupt_bytes = 0;
    std::uint64_t torn_bytes = 0;
    std::vector<std::string> reports;
  };

  DamageFixture() {
    options.directory = kFolder;
    options.free_bytes_min = 0;
    options.folder_bytes_max = 2U << 20;  // keeps the reserve small, which each start makes
    options.read_retry_pause = std::chrono::milliseconds(0);
    options.report = [this](std::string_view message, std::string_view detail) {
      reports.push_back(std::string(message) + " | " + std::string(detail));
    };
  }

  void open(const std::vector<std::string>& readers = {"up"}) {
    log.reset();
    auto opened = Log::open(fs, clock, options, readers_named(readers));
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    log = std::move(*opened);
  }

  AppendOutcome append(std::string_view bytes, std::uint32_t items) {
    NewRecord record;
    record.stored = bytes;
    record.raw_length = static_cast<std::uint32_t>(bytes.size());
    record.item_count = items;
    record.codec = Codec::identity;
    return log->append({&record, 1});
  }

  /// Record i is `length` times a letter and has 2^i items, so that a sum of items names records.
  void append_letters(int count, std::size_t length) {
    for (int i = 0; i < count; ++i) {
      ASSERT_EQ(append(std::string(length, static_cast<char>('a' + i)), 1U << i),
                AppendOutcome::stored);
    }
  }

  /// One segment of such records. Sealed: the log was closed; else the process was killed.
  Disk disk_with(int count, std::size_t length, bool sealed) {
    fs.set_disk({});
    open();
    append_letters(count, length);
    if (sealed) log->close();
    log.reset();
    return fs.disk();
  }

  static std::string only_segment(const Disk& disk) {
    for (const auto& [path, node] : disk) {
      if (path.ends_with(".seg") || path.ends_with(".wip")) return path;
    }
    return "";
  }

  /// Reads on until nothing comes any more; a read that fails is tried again a few times.
  std::string read_all(std::string_view reader = "up") {
    std::string letters;
    for (int empty = 0; empty < 6;) {
      const Claim claim = log->reader(reader).claim({.records_max = 3});
      empty = claim.empty() ? empty + 1 : 0;
      for (const Record& record : claim.records) letters += record.stored.substr(0, 1);
      if (!claim.empty()) log->reader(reader).acknowledge();
    }
    log->reader(reader).acknowledge();
    return letters;
  }

  static const DropCounts& corrupt(const ReaderStats& reader) {
    return reader.drops[static_cast<std::size_t>(DropReason::corrupt)];
  }

  /// Opens the disk, reads all there is, and goes on living with it: the books are right, the next
  /// append and the next start work, and nothing comes twice or is pending for good.
  Outcome live_with(const Disk& disk) {
    fs.set_disk(disk);
    reports.clear();
    open();
    Outcome outcome;
    outcome.recovered = log->stats().readers.at(0).recovered_items;
    outcome.letters = read_all();
    const LogStats stats = log->stats();
    outcome.lost = corrupt(stats.readers.at(0));
    outcome.quarantined = stats.quarantine_entries;
    outcome.corrupt_bytes = stats.corrupt_bytes;
    outcome.torn_bytes = stats.torn_tail_bytes;
    outcome.reports = reports;
    EXPECT_EQ(stats.readers.at(0).pending_items, 0U);
    EXPECT_EQ(stats.readers.at(0).pending_records, 0U);
    EXPECT_EQ(append("next", 1), AppendOutcome::stored);
    EXPECT_EQ(read_all(), "n");
    clock.advance_ms(2000);
    log->maintain();
    EXPECT_EQ(log->stats().segments, 0U);
    const std::uint64_t used = log->stats().next_seq;
    open();
    EXPECT_EQ(read_all(), "");
    EXPECT_GE(log->stats().next_seq, used);
    EXPECT_EQ(log->stats().quarantine_entries, outcome.quarantined);
    EXPECT_EQ(append("later", 1), AppendOutcome::stored);
    EXPECT_EQ(read_all(), "l");
    log.reset();
    return outcome;
  }

  static std::uint64_t items_of(std::string_view letters) {
    std::uint64_t items = 0;
    for (const char letter : letters) items += std::uint64_t{1} << (letter - 'a');
    return items;
  }
  static std::string sorted(std::string letters) {
    std::sort(letters.begin(), letters.end());
    return letters;
  }
  static std::size_t padded(std::size_t length) {
    return kRecordHeaderBytes + (length + 7) / 8 * 8;
  }
  static std::string joined(const std::vector<std::string>& lines) {
    std::string all;
    for (const std::string& line : lines) all += line + "\n";
    return all;
  }

  MemoryFileSystem fs;
  ManualClock clock;
  LogOptions options;
  std::vector<std::string> reports;
  std::unique_ptr<Log> log;
};

}  // namespace holdfast
