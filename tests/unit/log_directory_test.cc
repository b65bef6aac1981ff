// Directories that others have had their hands in: copies, names that lie, other versions, cursors
// from elsewhere.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>

#include "buffer/deflate.h"
#include "buffer/little_endian.h"
#include "tests/support/damage_fixture.h"

namespace holdfast {
namespace {

class LogDirectoryTest : public DamageFixture {
 protected:
  static std::string path(const std::string& file) { return std::string(kFolder) + "/" + file; }
  static std::string quarantined(const std::string& file) { return path("quarantine/" + file); }
  static std::string name(std::uint64_t first_seq, std::uint64_t ms, const char* ending = ".seg") {
    return segment_stem(first_seq, static_cast<std::int64_t>(ms) * kNsPerMs) + ending;
  }
  /// With `letters`, the first of which has this number.
  Disk segment_from(std::uint64_t first_seq, int count) {
    fs.set_disk({});
    open();
    for (std::uint64_t i = 1; i < first_seq; ++i) append("x", 0);
    if (first_seq > 1) {
      read_all();
      clock.advance_ms(2000);
      log->maintain();
    }
    append_letters(count, 100);
    log->close();
    log.reset();
    Disk disk = fs.disk();
    disk.erase(path("cursor-up"));
    return disk;
  }
};

TEST_F(LogDirectoryTest, ACopyOfASegmentGoesToQuarantineAndNothingComesTwice) {
  Disk disk = disk_with(3, 100, true);
  const std::string original = only_segment(disk);
  disk[path(name(1, 1'900'000'000'000))] = disk[original];
  const Outcome outcome = live_with(disk);
  EXPECT_EQ(outcome.letters, "abc");
  EXPECT_EQ(outcome.recovered, 7U);
  EXPECT_EQ(outcome.quarantined, 1U);
  EXPECT_EQ(outcome.reports.size(), 1U) << joined(outcome.reports);
  EXPECT_TRUE(fs.exists(quarantined(name(1, 1'900'000'000'000))));
}

TEST_F(LogDirectoryTest, OfTwoSegmentsWithTheSameNumbersTheOneWithMoreRecordsStays) {
  for (const int shorter : {2, 3}) {
    Disk disk = segment_from(1, 5);
    Disk other = segment_from(static_cast<std::uint64_t>(shorter), 2);  // within the first
    const std::string path_of_other = only_segment(other);
    disk[path(name(static_cast<std::uint64_t>(shorter), 1'700'000'000'000))] =
        other.at(path_of_other);
    const Outcome outcome = live_with(disk);
    EXPECT_EQ(outcome.letters, "abcde");
    EXPECT_EQ(outcome.quarantined, 1U);
    EXPECT_EQ(outcome.reports.size(), 1U) << joined(outcome.reports);
  }
}

TEST_F(LogDirectoryTest, AnOpenSegmentDoesNotWriteOverASealedOneOfItsName) {
  Disk disk = disk_with(3, 100, false);
  const std::string open_path = only_segment(disk);
  ASSERT_TRUE(open_path.ends_with(".wip"));
  const std::string sealed_path = open_path.substr(0, open_path.size() - 4) + ".seg";
  disk[sealed_path] = disk[open_path];
  disk[sealed_path].bytes.resize(kSegmentHeaderBytes + padded(100));  // the first record alone
  const Outcome outcome = live_with(disk);
  EXPECT_EQ(outcome.letters, "abc");
  EXPECT_EQ(outcome.quarantined, 1U);
  const std::string name = sealed_path.substr(sealed_path.rfind('/') + 1);
  EXPECT_EQ(fs.node(quarantined(name)).bytes.size(), kSegmentHeaderBytes + padded(100));
}

TEST_F(LogDirectoryTest, ANameThatLiesAboutNumbersIsNotBelieved) {
  const Disk whole = segment_from(4, 3);
  const std::string honest = only_segment(whole);
  for (const std::uint64_t lie : {1U, 3U, 5U, 1000U}) {
    Disk disk;
    disk[path(name(lie, 1'800'000'000'000))] = whole.at(honest);
    fs.set_disk(disk);
    open();
    // No new segment may get the name that is taken.
    EXPECT_EQ(log->stats().next_seq, std::max<std::uint64_t>(7, lie + 1)) << lie;
    EXPECT_EQ(log->stats().readers.at(0).recovered_items, 7U) << lie;
    const Claim claim = log->reader("up").claim({});
    ASSERT_EQ(claim.records.size(), 3U) << lie;
    EXPECT_EQ(claim.records[0].seq, 4U) << lie;
    const Outcome outcome = live_with(disk);
    EXPECT_EQ(outcome.letters, "abc") << lie;
    EXPECT_EQ(outcome.lost.records, 0U) << lie;
    EXPECT_EQ(outcome.reports.size(), 1U) << lie << joined(outcome.reports);
  }
}

TEST_F(LogDirectoryTest, NumbersOfADamagedFileAreNotUsedAgain) {
  Disk disk;
  disk[path(name(100, 1'800'000'000'000))].bytes = std::string(1000, '?');
  fs.set_disk(disk);
  open();
  EXPECT_GE(log->stats().next_seq, 100U + 1000 / kRecordHeaderBytes);
  EXPECT_EQ(log->stats().quarantine_entries, 1U);
  open();  // it is in quarantine now
  EXPECT_GE(log->stats().next_seq, 100U + 1000 / kRecordHeaderBytes);
}

TEST_F(LogDirectoryTest, ANumberThatCanBeNoneOfOursDoesNotEndTheLog) {
  Disk disk = disk_with(2, 100, true);
  disk[path(name(UINT64_MAX, 1))].bytes = "?";
  disk[path("quarantine/18446744073709551615-000000-.rec")].bytes = "?";
  const Outcome outcome = live_with(disk);
  EXPECT_EQ(outcome.letters, "ab");
  EXPECT_LT(log == nullptr ? 0U : log->stats().next_seq, kSeqTakenUpMax);
}

TEST_F(LogDirectoryTest, AFileOfZerosHeldNothingAndGoes) {
  Disk disk = disk_with(2, 100, true);
  disk[path(name(50, 1'800'000'000'000, ".wip"))].bytes = std::string(5000, '\0');
  disk[path(name(60, 1'800'000'000'000, ".wip"))].bytes = "";
  const Outcome outcome = live_with(disk);
  EXPECT_EQ(outcome.letters, "ab");
  EXPECT_EQ(outcome.quarantined, 0U);
  EXPECT_TRUE(outcome.reports.empty()) << joined(outcome.reports);
}

TEST_F(LogDirectoryTest, ASegmentOfANewerVersionIsLeftAloneByteForByte) {
  Disk disk = segment_from(1, 2);
  Disk newer = segment_from(10, 2);
  const std::string foreign = only_segment(newer);
  std::string& bytes = newer[foreign].bytes;
  store_le<std::uint16_t>(bytes.data() + 8, 2);
  store_le<std::uint32_t>(bytes.data() + 60, crc32c(0, std::string_view(bytes).substr(0, 60)));
  disk[foreign] = newer[foreign];
  fs.set_disk(disk);
  open();
  EXPECT_EQ(log->stats().segments_unknown_version, 1U);
  EXPECT_EQ(read_all(), "ab");
  EXPECT_GE(log->stats().next_seq, 10U + bytes.size());
  EXPECT_EQ(reports.size(), 1U) << joined(reports);
  EXPECT_EQ(append("new", 1), AppendOutcome::stored);
  EXPECT_EQ(read_all(), "n");
  clock.advance_ms(2000);
  log->maintain();
  open();
  EXPECT_EQ(log->stats().segments_unknown_version, 1U);
  EXPECT_EQ(fs.node(foreign).bytes, bytes);
}

TEST_F(LogDirectoryTest, ADamagedVersionIsNotANewerOne) {
  const Disk whole = disk_with(3, 100, true);
  for (const int version : {0, 2, 3, 257, 65'535}) {
    Disk disk = whole;
    store_le<std::uint16_t>(disk[only_segment(disk)].bytes.data() + 8,
                            static_cast<std::uint16_t>(version));
    const Outcome outcome = live_with(disk);
    EXPECT_EQ(outcome.letters, "abc") << version;
    EXPECT_EQ(outcome.reports.size(), 1U) << joined(outcome.reports);
  }
}

TEST_F(LogDirectoryTest, AHeaderIsSalvagedWithoutItsNonceAndWithoutItsFirstRecords) {
  for (const bool sealed : {true, false}) {
    const Disk whole = disk_with(6, 100, sealed);
    for (std::size_t zeroed = 1; zeroed <= 5 * padded(100); zeroed += 7) {
      Disk disk = whole;
      disk[only_segment(disk)].bytes.replace(0, zeroed, std::string(zeroed, '\xee'));
      const Outcome outcome = live_with(disk);
      std::size_t lost = 0;
      while (kSegmentHeaderBytes + lost * padded(100) < zeroed) ++lost;
      ASSERT_EQ(outcome.letters, std::string("abcdef").substr(lost)) << zeroed;
      ASSERT_EQ(outcome.lost.records, lost) << zeroed << joined(outcome.reports);
      if (sealed) {
        ASSERT_EQ(outcome.lost.items, (1U << lost) - 1) << zeroed;
      }
      ASSERT_EQ(outcome.quarantined, lost > 0 ? 1U : 0U) << zeroed;
    }
  }
}

TEST_F(LogDirectoryTest, ANonceIsTakenFromWhatMostRecordsSay) {
  // The header is gone, and the first record's own header is damaged: run backwards its checksum
  // gives another nonce, under which its payload holds as well.
  Disk disk = disk_with(4, 100, true);
  std::string& bytes = disk[only_segment(disk)].bytes;
  bytes.replace(0, 64, std::string(64, '\0'));
  bytes[kSegmentHeaderBytes + 32] ^= 1;
  const Outcome outcome = live_with(disk);
  EXPECT_EQ(outcome.letters, "bcd");
  EXPECT_EQ(outcome.lost.records, 1U);
}

TEST_F(LogDirectoryTest, AFileThatIsMadeToLookLikeManyRecordsDoesNotHoldAStartUp) {
  options.folder_bytes_max = 64U << 20;
  std::string bytes(4U << 20, '\0');
  for (std::size_t at = 64; at + 64 <= bytes.size(); at += 64) {
    RecordHeader header;
    header.stored_length = static_cast<std::uint32_t>(bytes.size() - at - 64);
    header.seq = 1;
    const auto encoded = encode_record_header(header, 7);
    bytes.replace(at, 64, encoded.data(), 64);
  }
  Disk disk;
  disk[path(name(1, 1'800'000'000'000))].bytes = bytes;
  const Outcome outcome = live_with(disk);  // 65,536 of them with 2 MiB each would take minutes
  EXPECT_EQ(outcome.letters, "");
  EXPECT_EQ(outcome.quarantined, 1U);
}

TEST_F(LogDirectoryTest, ACursorTornAtAnyByteOrWithAnyBitFlippedCostsARepeatAtMost) {
  fs.set_disk({});
  open();
  append_letters(4, 100);
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(log->reader("up").claim({.records_max = 1}).records.size(), 1U);
    log->reader("up").acknowledge();
  }
  log.reset();
  const Disk whole = fs.disk();
  const std::string cursor = path("cursor-up");
  const std::string bytes = whole.at(cursor).bytes;
  ASSERT_EQ(bytes.size(), 1024U);
  const auto check = [&](const std::string& damaged, const std::string& what) {
    Disk disk = whole;
    disk[cursor].bytes = damaged;
    const Outcome outcome = live_with(disk);
    ASSERT_TRUE(std::string("abcd").ends_with(outcome.letters)) << what;
    ASSERT_GE(outcome.letters.size(), 2U) << what;
    ASSERT_EQ(outcome.recovered, items_of(outcome.letters)) << what;
    ASSERT_EQ(outcome.reports.size(), outcome.letters == "abcd" ? 1U : 0U) << what;
  };
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    check(bytes.substr(0, cut), "cut at " + std::to_string(cut));
  }
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    if (bit / 8 % 512 >= 40) continue;  // unused bytes
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    check(damaged, "bit " + std::to_string(bit));
  }
}

std::string cursor_bytes(std::uint16_t version, std::uint64_t next_seq,
                         std::uint64_t generation = 1) {
  std::string bytes(1024, '\0');
  store_le<std::uint32_t>(bytes.data(), 0x55434648);
  store_le<std::uint16_t>(bytes.data() + 4, version);
  store_le<std::uint64_t>(bytes.data() + 8, generation);
  store_le<std::uint64_t>(bytes.data() + 16, next_seq);
  store_le<std::uint32_t>(bytes.data() + 36, crc32c(0, std::string_view(bytes).substr(0, 36)));
  return bytes;
}

TEST_F(LogDirectoryTest, ACursorFromTheFutureMovesNumbersOnAndTakesNothingNewForDelivered) {
  Disk disk = disk_with(3, 100, true);
  disk[path("cursor-up")].bytes = cursor_bytes(1, 1000);
  fs.set_disk(disk);
  open();
  EXPECT_EQ(read_all(), "");  // below a cursor is delivered
  EXPECT_EQ(append("new", 1), AppendOutcome::stored);
  const Claim claim = log->reader("up").claim({});
  ASSERT_EQ(claim.records.size(), 1U);
  EXPECT_EQ(claim.records[0].seq, 1000U);
  EXPECT_EQ(log->stats().readers.at(0).pending_items, 1U);
}

TEST_F(LogDirectoryTest, ACursorGoesOnAfterTheHighestOfItsGenerations) {
  Disk disk = disk_with(3, 100, true);
  std::string bytes = cursor_bytes(1, 3, UINT64_MAX);
  std::swap_ranges(bytes.begin(), bytes.begin() + 512, bytes.begin() + 512);  // an odd one's slot
  disk[path("cursor-up")].bytes = bytes;
  fs.set_disk(disk);
  open();
  EXPECT_EQ(read_all(), "c");
  open();
  EXPECT_EQ(read_all(), "");
}

TEST_F(LogDirectoryTest, ACursorOfAnotherVersionOrBeyondAllNumbersIsADamagedOne) {
  for (const std::string& bytes :
       {cursor_bytes(2, 3), cursor_bytes(1, kSeqTakenUpMax + 1), cursor_bytes(1, UINT64_MAX)}) {
    Disk disk = disk_with(3, 100, true);
    disk[path("cursor-up")].bytes = bytes;
    const Outcome outcome = live_with(disk);
    EXPECT_EQ(outcome.letters, "abc");
    EXPECT_EQ(outcome.reports.size(), 1U) << joined(outcome.reports);
  }
}

}  // namespace
}  // namespace holdfast
