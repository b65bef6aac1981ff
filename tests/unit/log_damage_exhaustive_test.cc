// Every bit, every cut, every sector of a segment: the loss is exactly what was damaged, and it is
// counted, reported once and kept in quarantine.
#include <gtest/gtest.h>

#include "tests/support/damage_fixture.h"

namespace holdfast {
namespace {

constexpr int kRecords = 5;
constexpr std::size_t kLength = 100;
constexpr std::size_t kSectorBytes = 512;

class EveryBitTest : public DamageFixture, public ::testing::WithParamInterface<int> {
 protected:
  /// Which part of the file a byte is in.
  struct Place {
    bool segment_header = false;
    bool seal = false;
    bool padding = false;
    bool record_header = false;
    int record = -1;
  };
  static Place place_of(std::size_t at) {
    Place place;
    if (at < kSegmentHeaderBytes) {
      place.segment_header = true;
      return place;
    }
    place.record = static_cast<int>((at - kSegmentHeaderBytes) / padded(kLength));
    const std::size_t within = (at - kSegmentHeaderBytes) % padded(kLength);
    place.seal = place.record >= kRecords;
    place.record_header = within < kRecordHeaderBytes;
    place.padding = within >= kRecordHeaderBytes + kLength;
    return place;
  }
};

TEST_P(EveryBitTest, OfASealedSegmentCostsTheRecordThatItIsInAndItsItemsAreKnown) {
  const Disk whole = disk_with(kRecords, kLength, true);
  const std::string path = only_segment(whole);
  const std::size_t size = whole.at(path).bytes.size();
  for (std::size_t at = 0; at < size; ++at) {
    Disk disk = whole;
    disk[path].bytes[at] = static_cast<char>(disk[path].bytes[at] ^ (1 << GetParam()));
    const Outcome outcome = live_with(disk);
    const Place place = place_of(at);
    const bool harmless = place.segment_header || place.seal || place.padding;
    std::string expected = "abcde";
    if (!harmless) expected.erase(static_cast<std::size_t>(place.record), 1);
    ASSERT_EQ(outcome.letters, expected) << at << "\n" << joined(outcome.reports);
    ASSERT_EQ(outcome.recovered, items_of("abcde")) << at;
    ASSERT_EQ(outcome.lost.items, items_of("abcde") - items_of(expected)) << at;
    ASSERT_EQ(outcome.lost.records, harmless ? 0U : 1U) << at;
    ASSERT_EQ(outcome.quarantined, harmless ? 0U : 1U) << at;
    ASSERT_EQ(outcome.reports.size(), place.padding ? 0U : 1U) << at << joined(outcome.reports);
    ASSERT_EQ(outcome.corrupt_bytes, place.padding ? 0U
                                     : harmless    ? std::uint64_t{kRecordHeaderBytes}
                                                   : std::uint64_t{padded(kLength)})
        << at;
    ASSERT_EQ(outcome.torn_bytes, 0U) << at;
  }
}

TEST_P(EveryBitTest, OfASegmentThatWasOpenCostsTheRecordThatItIsIn) {
  const Disk whole = disk_with(kRecords, kLength, false);
  const std::string path = only_segment(whole);
  const std::size_t size = whole.at(path).bytes.size();
  for (std::size_t at = 0; at < size; ++at) {
    Disk disk = whole;
    disk[path].bytes[at] = static_cast<char>(disk[path].bytes[at] ^ (1 << GetParam()));
    const Outcome outcome = live_with(disk);
    const Place place = place_of(at);
    const bool harmless = place.segment_header || place.padding;
    std::string expected = "abcde";
    if (!harmless) expected.erase(static_cast<std::size_t>(place.record), 1);
    ASSERT_EQ(outcome.letters, expected) << at << "\n" << joined(outcome.reports);
    // Without a seal nothing but its header knows a record's items; its number is missed.
    const bool unknown = !harmless && place.record_header;
    ASSERT_EQ(outcome.lost.items, unknown ? 0U : items_of("abcde") - items_of(expected)) << at;
    ASSERT_EQ(outcome.lost.records, harmless ? 0U : 1U) << at;
    ASSERT_EQ(outcome.quarantined, harmless ? 0U : 1U) << at;
    ASSERT_EQ(outcome.reports.size(), place.padding ? 0U : 1U) << at << joined(outcome.reports);
    ASSERT_EQ(outcome.torn_bytes, 0U) << at;
  }
}

INSTANTIATE_TEST_SUITE_P(Flipped, EveryBitTest, ::testing::Range(0, 8));

class EverySectorTest : public DamageFixture {
 protected:
  static constexpr int kMany = 20;
  /// Records that share no byte with [from, to).
  static std::string outside(const std::string& letters, std::size_t from, std::size_t to) {
    std::string kept;
    for (const char letter : letters) {
      const std::size_t begin = kSegmentHeaderBytes + (letter - 'a') * padded(kLength);
      if (begin + kRecordHeaderBytes + kLength <= from || begin >= to) kept += letter;
    }
    return kept;
  }
  static std::string within(const std::string& letters, std::size_t from, std::size_t to) {
    std::string kept;
    for (const char letter : letters) {
      const std::size_t begin = kSegmentHeaderBytes + (letter - 'a') * padded(kLength);
      if (begin >= from && begin + padded(kLength) <= to) kept += letter;
    }
    return kept;
  }
  static std::string all() {
    std::string letters;
    for (int i = 0; i < kMany; ++i) letters += static_cast<char>('a' + i);
    return letters;
  }
};

TEST_F(EverySectorTest, ThatIsZeroedCostsTheRecordsThatItHasAPartOf) {
  for (const bool sealed : {true, false}) {
    const Disk whole = disk_with(kMany, kLength, sealed);
    const std::string path = only_segment(whole);
    const std::size_t size = whole.at(path).bytes.size();
    for (std::size_t from = 0; from < size; from += kSectorBytes) {
      Disk disk = whole;
      const std::size_t length = std::min(kSectorBytes, size - from);
      disk[path].bytes.replace(from, length, std::string(length, '\0'));
      const Outcome outcome = live_with(disk);
      const std::string expected = outside(all(), from, from + length);
      ASSERT_EQ(outcome.letters, expected) << from << joined(outcome.reports);
      const std::size_t lost = kMany - expected.size();
      const bool seal_is_there = sealed && from + length < size;
      if (seal_is_there) {
        ASSERT_EQ(outcome.lost.items, items_of(all()) - items_of(expected)) << from;
      }
      // At the end of a file without a seal it is what a crash leaves.
      const bool like_a_tear = from + length >= size;
      if (!like_a_tear) {
        ASSERT_EQ(outcome.lost.records, lost) << from;
        ASSERT_GE(outcome.quarantined, 1U) << from;
        ASSERT_EQ(outcome.torn_bytes, 0U) << from;
      }
      ASSERT_GE(outcome.reports.size(), 1U) << from;
    }
  }
}

TEST_F(EverySectorTest, ThatChangesPlacesWithAnotherCostsTheRecordsThatAreCutUp) {
  for (const bool sealed : {true, false}) {
    const Disk whole = disk_with(kMany, kLength, sealed);
    const std::string path = only_segment(whole);
    const std::size_t sectors = whole.at(path).bytes.size() / kSectorBytes;  // whole ones
    for (std::size_t a = 0; a < sectors; ++a) {
      for (std::size_t b = a + 1; b < sectors; ++b) {
        Disk disk = whole;
        std::string& bytes = disk[path].bytes;
        std::swap_ranges(bytes.begin() + static_cast<std::ptrdiff_t>(a * kSectorBytes),
                         bytes.begin() + static_cast<std::ptrdiff_t>((a + 1) * kSectorBytes),
                         bytes.begin() + static_cast<std::ptrdiff_t>(b * kSectorBytes));
        const Outcome outcome = live_with(disk);
        const auto sector = [](const std::string& letters, std::size_t index, auto pick) {
          return pick(letters, index * kSectorBytes, (index + 1) * kSectorBytes);
        };
        std::string expected = sector(sector(all(), a, outside), b, outside);
        expected += sector(all(), a, within);
        // Where the segment's header stands no record is looked for.
        for (const char letter : sector(all(), b, within)) {
          const std::size_t begin = kSegmentHeaderBytes + (letter - 'a') * padded(kLength);
          if (begin - (b - a) * kSectorBytes >= kSegmentHeaderBytes) expected += letter;
        }
        ASSERT_EQ(sorted(outcome.letters), sorted(expected))
            << a << " " << b << joined(outcome.reports);
        ASSERT_EQ(outcome.lost.records, kMany - expected.size()) << a << " " << b;
        if (sealed) {
          ASSERT_EQ(outcome.lost.items, items_of(all()) - items_of(expected)) << a << " " << b;
        }
      }
    }
  }
}

TEST_F(EverySectorTest, ThatIsCutOffTakesWhatFollowsAndNothingElse) {
  for (const bool sealed : {true, false}) {
    const Disk whole = disk_with(kRecords, kLength, sealed);
    const std::string path = only_segment(whole);
    const std::size_t size = whole.at(path).bytes.size();
    for (std::size_t cut = 0; cut < size; ++cut) {
      Disk disk = whole;
      disk[path].bytes.resize(cut);
      const Outcome outcome = live_with(disk);
      std::size_t records = 0;
      while (kSegmentHeaderBytes + (records + 1) * padded(kLength) <= cut) ++records;
      records = std::min<std::size_t>(records, kRecords);
      const std::size_t end = kSegmentHeaderBytes + records * padded(kLength);
      ASSERT_EQ(outcome.letters, std::string("abcde").substr(0, records)) << cut;
      ASSERT_EQ(outcome.lost.records, 0U) << cut;
      const bool whole_file = records == 0;  // kept as it is, unless there is nothing in it
      ASSERT_EQ(outcome.torn_bytes, whole_file || cut < end ? 0 : cut - end) << cut;
      ASSERT_EQ(outcome.quarantined, whole_file && cut > 0 && cut != kSegmentHeaderBytes ? 1U : 0U)
          << cut << joined(outcome.reports);
      ASSERT_EQ(outcome.reports.size(), cut == end || cut == 0 ? 0U : 1U) << cut;
    }
  }
}

}  // namespace
}  // namespace holdfast
