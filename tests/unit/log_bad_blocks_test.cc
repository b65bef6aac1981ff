// Blocks that the disk cannot read: what lies in them is lost and counted, and nothing else.
#include <gtest/gtest.h>

#include <cerrno>

#include "buffer/bad_blocks.h"
#include "tests/support/damage_fixture.h"

namespace holdfast {
namespace {

class BadBlocksTest : public DamageFixture {
 protected:
  static constexpr int kMany = 14;
  static constexpr std::size_t kLong = 3000;

  static std::string all() {
    std::string letters;
    for (int i = 0; i < kMany; ++i) letters += static_cast<char>('a' + i);
    return letters;
  }
  /// Records without a byte in this block.
  static std::string outside(std::size_t block) {
    std::string kept;
    for (const char letter : all()) {
      const std::size_t begin = kSegmentHeaderBytes + (letter - 'a') * padded(kLong);
      const std::size_t end = begin + kRecordHeaderBytes + kLong;
      if (end <= block * kDiskBlockBytes || begin >= (block + 1) * kDiskBlockBytes) kept += letter;
    }
    return kept;
  }
  static std::uint64_t blocks_of(const Disk& disk) {
    return (disk.at(only_segment(disk)).bytes.size() - 1) / kDiskBlockBytes + 1;
  }
  std::string quarantine() const { return std::string(kFolder) + "/quarantine"; }
  std::string quarantined() {
    std::string bytes;
    for (const std::string& name : fs.names_in(quarantine())) {
      bytes += fs.node(quarantine() + "/" + name).bytes;
    }
    return bytes;
  }
};

TEST_F(BadBlocksTest, CostAStartTheRecordsThatHaveAPartInThem) {
  for (const bool sealed : {true, false}) {
    const Disk whole = disk_with(kMany, kLong, sealed);
    const std::string path = only_segment(whole);
    for (std::uint64_t block = 0; block < blocks_of(whole); ++block) {
      Disk disk = whole;
      disk[path].bad_blocks.insert(block);
      const Outcome outcome = live_with(disk);
      const std::string expected = outside(block);
      EXPECT_EQ(outcome.letters, expected) << block << joined(outcome.reports);
      // Without a seal nobody knows how many records the end of a file held.
      const bool end_is_lost = !sealed && block + 2 >= blocks_of(whole);
      EXPECT_GE(outcome.lost.records, 1U) << block;
      if (!end_is_lost) {
        EXPECT_EQ(outcome.lost.records, kMany - expected.size()) << block;
      }
      const bool seal_is_there = sealed && block + 1 < blocks_of(whole);
      if (seal_is_there) {
        EXPECT_EQ(outcome.lost.items, items_of(all()) - items_of(expected)) << block;
      }
      EXPECT_GE(outcome.quarantined, 1U) << block;
      EXPECT_EQ(outcome.torn_bytes, 0U) << block;
      EXPECT_NE(joined(outcome.reports).find("the disk cannot read 1 blocks"), std::string::npos)
          << joined(outcome.reports);
    }
  }
}

TEST_F(BadBlocksTest, CostAReaderWhatLiesInThemAlsoWhereTheSegmentIsStillOpen) {
  for (const bool sealed : {true, false}) {
    for (std::uint64_t block = 0; block < 10; ++block) {
      fs.set_disk({});
      reports.clear();
      options.file_bytes_max = sealed ? 44'000 : 8U << 20;
      open();
      append_letters(kMany, kLong);
      if (sealed) append(std::string(8000, '!'), 0);
      fs.node(only_segment(fs.disk())).bad_blocks.insert(block);
      std::string letters = read_all();
      if (sealed) letters.pop_back();
      const std::string expected = outside(block);
      EXPECT_EQ(letters, expected) << block << joined(reports);
      const ReaderStats reader = log->stats().readers.at(0);
      EXPECT_EQ(corrupt(reader).items, items_of(all()) - items_of(expected)) << block;
      EXPECT_EQ(corrupt(reader).records, kMany - expected.size()) << block;
      EXPECT_EQ(reader.pending_items, 0U);
      EXPECT_EQ(reader.pending_records, 0U);
      EXPECT_GE(log->stats().quarantine_entries, 1U);
      clock.advance_ms(2000);
      log->maintain();
      EXPECT_EQ(log->stats().segments, 0U);  // retired all the same
    }
  }
}

TEST_F(BadBlocksTest, ThatCanBeReadAgainAfterAWhileCostNothing) {
  disk_with(kMany, kLong, true);
  open();
  MemoryFileSystem::Node& segment = fs.node(only_segment(fs.disk()));
  segment.bad_blocks.insert(5);
  std::string letters;
  while (true) {
    const Claim claim = log->reader("up").claim({});
    if (claim.empty()) break;
    for (const Record& record : claim.records) letters += record.stored.substr(0, 1);
  }
  EXPECT_EQ(letters, "abcdef");  // what comes before is not held up
  segment.bad_blocks.clear();
  letters += read_all();
  EXPECT_EQ(letters, all());
  EXPECT_EQ(corrupt(log->stats().readers.at(0)).bytes, 0U);
  EXPECT_EQ(log->stats().quarantine_entries, 0U);
}

TEST_F(BadBlocksTest, AreToldOnceAndWhatCanBeReadAroundThemIsKept) {
  disk_with(3, 20'000, true);
  open({"one", "two"});
  fs.node(only_segment(fs.disk())).bad_blocks.insert(6);  // within the second record
  for (const char* reader : {"one", "two"}) {
    EXPECT_EQ(read_all(reader), "ac");
    log->reader(reader).rewind();
  }
  for (const ReaderStats& reader : log->stats().readers) {
    EXPECT_EQ(corrupt(reader).items, 2U);
    EXPECT_EQ(corrupt(reader).records, 1U);
    EXPECT_EQ(reader.pending_items, 0U);
  }
  EXPECT_EQ(log->stats().quarantine_entries, 1U);
  EXPECT_EQ(log->stats().corrupt_bytes, padded(20'000));
  int told = 0;
  for (const std::string& line : reports) told += line.find("stepped over") != std::string::npos;
  EXPECT_EQ(told, 1) << joined(reports);
  const std::string kept = quarantined();
  EXPECT_NE(kept.find("1 blocks of 4096 from 24576 to 28672"), std::string::npos) << kept;
  EXPECT_EQ(std::count(kept.begin(), kept.end(), 'b') >= 20'000 - 4096, true);
  EXPECT_NE(kept.find("\"items\":2"), std::string::npos);
}

TEST_F(BadBlocksTest, AllOverASegmentCostItAloneAndItIsKeptWhole) {
  options.file_bytes_max = 44'000;
  fs.set_disk({});
  open();
  append_letters(kMany, kLong);
  ASSERT_EQ(append(std::string(8000, '!'), 0), AppendOutcome::stored);
  const std::string path = only_segment(fs.disk());
  for (std::uint64_t block = 0; block < 11; ++block) fs.node(path).bad_blocks.insert(block);
  EXPECT_EQ(read_all(), "!");
  EXPECT_EQ(corrupt(log->stats().readers.at(0)).items, items_of(all()));
  EXPECT_EQ(log->stats().readers.at(0).pending_items, 0U);
  const std::string name = path.substr(path.rfind('/') + 1);
  EXPECT_TRUE(fs.exists(quarantine() + "/" + name)) << joined(reports);
  EXPECT_EQ(log->stats().quarantine_bytes, 45'056U);
}

TEST_F(BadBlocksTest, ASegmentThatCanNoLongerBeOpenedGoesToQuarantineWhole) {
  disk_with(3, kLong, true);
  open({"one", "two"});
  const std::string path = only_segment(fs.disk());
  fs.node(path).open_errno = EIO;
  EXPECT_EQ(read_all("one"), "");
  EXPECT_EQ(append("next", 1), AppendOutcome::stored);
  EXPECT_EQ(read_all("one"), "n");
  EXPECT_EQ(read_all("two"), "n");
  for (const ReaderStats& reader : log->stats().readers) {
    EXPECT_EQ(corrupt(reader).items, 7U);
    EXPECT_EQ(corrupt(reader).records, 3U);
    EXPECT_EQ(reader.pending_items, 0U);
  }
  EXPECT_EQ(log->stats().quarantine_entries, 1U);
  EXPECT_TRUE(fs.exists(quarantine() + "/" + path.substr(path.rfind('/') + 1)));
  clock.advance_ms(2000);
  log->maintain();
  EXPECT_EQ(log->stats().segments, 0U);
  EXPECT_EQ(log->stats().quarantine_entries, 1U);
}

TEST_F(BadBlocksTest, ASegmentThatAStartCannotOpenIsCountedInQuarantine) {
  Disk disk = disk_with(3, kLong, true);
  disk[only_segment(disk)].open_errno = EIO;
  const Outcome outcome = live_with(disk);
  EXPECT_EQ(outcome.letters, "");
  EXPECT_EQ(outcome.quarantined, 1U);
  EXPECT_EQ(outcome.reports.size(), 1U) << joined(outcome.reports);
}

TEST_F(BadBlocksTest, OnlyWhatTheMediumDeniesCountsAsDamage) {
  for (const int code : {EIO, EUCLEAN, EBADMSG, ENODATA, EILSEQ})
    EXPECT_TRUE(is_medium_error(code));
  for (const int code : {0, EMFILE, ENOMEM, EACCES, ENOENT, EINTR}) {
    EXPECT_FALSE(is_medium_error(code));
  }
}

}  // namespace
}  // namespace holdfast
