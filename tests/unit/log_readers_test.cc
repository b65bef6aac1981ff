// Readers that skip sources, and readers that come and go: who gets what, and what is held for
// whom.
#include <gtest/gtest.h>

#include <numeric>

#include "tests/support/log_fixture.h"

namespace holdfast {
namespace {

constexpr std::uint16_t kEdge = 11;
constexpr std::uint16_t kCloud = 22;

const ReaderSpec kOfEdge{"edge", {kCloud}};
const ReaderSpec kOfCloud{"cloud", {kEdge}};
const ReaderSpec kOfAll{"all", {}};

class LogReadersTest : public LogFixture {
 protected:
  void append_from(std::uint16_t source, std::string_view bytes, std::uint32_t items = 1) {
    NewRecord record = record_of(bytes, items);
    record.source = source;
    ASSERT_EQ(log->append({&record, 1}), AppendOutcome::stored);
  }

  std::vector<std::string> take(std::string_view reader) {
    std::vector<std::string> out = claim_all(reader);
    log->reader(reader).acknowledge();
    return out;
  }

  ReaderStats stats_of(std::string_view name) {
    for (const ReaderStats& reader : log->stats().readers) {
      if (reader.name == name) return reader;
    }
    return {};
  }

  void expect_pending(std::string_view reader, std::uint64_t items, std::uint64_t records) {
    const ReaderStats stats = stats_of(reader);
    EXPECT_EQ(stats.pending_items, items) << reader;
    EXPECT_EQ(stats.pending_records, records) << reader;
  }

  void set_readers(const std::vector<ReaderSpec>& readers) {
    const Status set = log->set_readers(readers);
    ASSERT_TRUE(set.ok()) << set.error().message;
  }

  /// Seals the open segment, and lets upkeep do what it wants to.
  void pass_time() {
    clock.advance_ms(options.write_age_max.count() + 2'000);
    log->maintain();
    clock.advance_ms(2'000);
    log->maintain();
  }

  static bool is_readable(LogReader& reader) {
    return reader.wait_readable({}, std::chrono::steady_clock::now());
  }

  using Texts = std::vector<std::string>;
};

TEST_F(LogReadersTest, EachReaderGetsWhatItDoesNotSkipAndTheCountsSaySo) {
  open_with({kOfEdge, kOfCloud, kOfAll});
  append_from(kEdge, "e1", 3);
  append_from(kCloud, "c1", 5);
  append_from(kEdge, "e2", 7);
  append_from(0, "from nowhere", 11);
  expect_pending("edge", 21, 3);
  expect_pending("cloud", 16, 2);
  expect_pending("all", 26, 4);
  EXPECT_EQ(take("edge"), Texts({"e1", "e2", "from nowhere"}));
  EXPECT_EQ(take("cloud"), Texts({"c1", "from nowhere"}));
  EXPECT_EQ(take("all"), Texts({"e1", "c1", "e2", "from nowhere"}));
  for (const char* const reader : {"edge", "cloud", "all"}) expect_pending(reader, 0, 0);
  pass_time();
  EXPECT_EQ(log->stats().segments, 0U);
}

TEST_F(LogReadersTest, RecordTellsItsSource) {
  open_with({kOfAll});
  append_from(kEdge, "e");
  append_from(0, "none");
  const Claim claim = log->reader("all").claim({});
  ASSERT_EQ(claim.records.size(), 2U);
  EXPECT_EQ(claim.records[0].source, kEdge);
  EXPECT_EQ(claim.records[1].source, 0);
}

TEST_F(LogReadersTest, WhatIsSkippedWakesNobodyAndHoldsNothing) {
  open_with({kOfEdge, kOfCloud});
  append_from(kCloud, "c1");
  EXPECT_FALSE(is_readable(log->reader("edge")));
  EXPECT_TRUE(is_readable(log->reader("cloud")));
  EXPECT_EQ(take("cloud"), Texts({"c1"}));
  pass_time();
  EXPECT_EQ(log->stats().segments, 0U);
  EXPECT_EQ(stats_of("edge").next_seq, 2U);
}

TEST_F(LogReadersTest, ReaderThatHasNotReadHoldsItsOwnSegmentsOnly) {
  open_with({kOfEdge, kOfCloud});
  append_from(kEdge, "e1");
  pass_time();
  append_from(kCloud, "c1");
  pass_time();
  append_from(kCloud, "c2");
  append_from(kEdge, "e2");
  pass_time();
  ASSERT_EQ(log->stats().segments, 3U);
  EXPECT_EQ(take("cloud"), Texts({"c1", "c2"}));
  pass_time();
  EXPECT_EQ(log->stats().segments, 2U);  // the second one has gone from between the others
  EXPECT_EQ(files(".seg").size(), 2U);
  expect_pending("edge", 2, 2);
  EXPECT_EQ(take("edge"), Texts({"e1", "e2"}));
  pass_time();
  EXPECT_EQ(log->stats().segments, 0U);
}

TEST_F(LogReadersTest, CountsAreRightAfterAStart) {
  for (const bool sealed : {true, false}) {
    SCOPED_TRACE(sealed ? "sealed" : "killed");
    open_with({kOfEdge, kOfCloud});
    append_from(kEdge, "e1", 3);
    append_from(kCloud, "c1", 5);
    append_from(kEdge, "e2", 7);
    EXPECT_EQ(log->reader("edge").claim({.records_max = 1}).items, 3U);
    log->reader("edge").acknowledge();
    if (sealed) log->close();
    open_with({kOfEdge, kOfCloud});
    expect_pending("edge", 7, 1);
    expect_pending("cloud", 5, 1);
    EXPECT_EQ(stats_of("edge").recovered_items, 7U);
    EXPECT_EQ(take("edge"), Texts({"e2"}));
    EXPECT_EQ(take("cloud"), Texts({"c1"}));
    expect_pending("edge", 0, 0);
    expect_pending("cloud", 0, 0);
    EXPECT_EQ(stats_of("edge").drops[2].records, 0U);
    pass_time();
    EXPECT_EQ(log->stats().segments, 0U);
  }
}

TEST_F(LogReadersTest, DropsAreCountedForThoseWhoWantedTheRecords) {
  options.folder_bytes_max = 256 << 10;
  options.file_bytes_max = 32 << 10;
  open_with({kOfEdge, kOfCloud});
  const std::string large(10'000, 'x');
  append_from(kEdge, "e1", 3);
  append_from(kCloud, "c1", 5);
  EXPECT_EQ(log->reader("edge").claim({}).items, 3U);
  log->reader("edge").acknowledge();
  std::uint64_t appended = 5;
  for (int i = 0; i < 60; ++i, ++appended) append_from(kCloud, large);
  const ReaderStats edge = stats_of("edge");
  const ReaderStats cloud = stats_of("cloud");
  EXPECT_EQ(edge.drops[0].items + edge.drops[0].records + edge.drops[0].bytes, 0U);
  EXPECT_GT(cloud.drops[0].items, 5U);
  EXPECT_EQ(cloud.drops[0].items + cloud.pending_items, appended);
  EXPECT_GT(cloud.drops[0].bytes, (cloud.drops[0].records - 1) * large.size());
  EXPECT_LT(cloud.drops[0].bytes, cloud.drops[0].records * (large.size() + 200));
}

TEST_F(LogReadersTest, DamageOfASkippedRecordIsNotItsLoss) {
  open_with({kOfEdge, kOfCloud});
  append_from(kCloud, "a record whose bytes go bad", 5);
  append_from(kEdge, "e1", 3);
  log->close();
  const std::string file = path(files(".seg").at(0));
  std::string bytes = read_file(file);
  bytes[bytes.find("bytes go bad")] ^= 1;
  write_file(file, bytes);
  open_with({kOfEdge, kOfCloud});
  EXPECT_EQ(take("edge"), Texts({"e1"}));
  EXPECT_EQ(take("cloud"), Texts());
  EXPECT_EQ(stats_of("edge").drops[2].records, 0U);
  EXPECT_EQ(stats_of("cloud").drops[2].items, 5U);
  EXPECT_EQ(log->stats().quarantine_entries, 1U);
  expect_pending("edge", 0, 0);
  expect_pending("cloud", 0, 0);
}

// ---- changed routes ---------------------------------------------------------------------------

TEST_F(LogReadersTest, ChangedRoutesCountForWhatComesAfterThem) {
  for (const bool restart : {false, true}) {
    SCOPED_TRACE(restart ? "by a restart" : "while it runs");
    open_with({kOfEdge, kOfCloud});
    append_from(kEdge, "e1");
    append_from(kCloud, "c1");
    EXPECT_EQ(take("cloud"), Texts({"c1"}));  // edge has not come to it yet
    const std::vector<ReaderSpec> crossed{{"edge", {kEdge}}, {"cloud", {kCloud}}};
    if (restart) {
      crash();
      open_with(crossed);
    } else {
      set_readers(crossed);
    }
    append_from(kEdge, "e2");
    append_from(kCloud, "c2");
    expect_pending("edge", 2, 2);
    expect_pending("cloud", 1, 1);
    open_with(crossed);  // and they hold after a start
    expect_pending("edge", 2, 2);
    EXPECT_EQ(take("edge"), Texts({"e1", "c2"}));
    EXPECT_EQ(take("cloud"), Texts({"e2"}));
    expect_pending("edge", 0, 0);
    pass_time();
    EXPECT_EQ(log->stats().segments, 0U);
    log->close();
    for (const char* const file : {"cursor-edge", "cursor-cloud"}) {
      std::filesystem::remove(path(file));
    }
  }
}

TEST_F(LogReadersTest, TooManyChangesBeforeAReaderThatIsBehindAreRefused) {
  open_with({kOfEdge, kOfAll});
  Status set;
  int changes = 0;
  for (; set.ok() && changes < 1'000; ++changes) {
    append_from(kEdge, "e");
    append_from(kCloud, "c");
    set = log->set_readers({{"edge", {changes % 2 == 0 ? kEdge : kCloud}}, kOfAll});
  }
  EXPECT_EQ(set.error().code, EBUSY);
  EXPECT_GT(changes, 20);
  expect_pending("edge", static_cast<std::uint64_t>(changes), static_cast<std::uint64_t>(changes));
  EXPECT_EQ(take("edge").size(), static_cast<std::size_t>(changes));
  set_readers({kOfEdge, kOfAll});
}

// ---- readers that come and go -----------------------------------------------------------------

TEST_F(LogReadersTest, AddedReaderStartsAtTheOldestRecordOrTheNewest) {
  for (const bool restart : {false, true}) {
    SCOPED_TRACE(restart ? "by a restart" : "while it runs");
    open_with({kOfAll});
    append_from(kEdge, "old", 3);
    const std::vector<ReaderSpec> more{kOfAll, {"oldest", {}}, {"newest", {}, true}};
    restart ? open_with(more) : set_readers(more);
    expect_pending("oldest", 3, 1);
    EXPECT_EQ(stats_of("oldest").recovered_items, 3U);
    expect_pending("newest", 0, 0);
    append_from(kEdge, "new", 5);
    expect_pending("newest", 5, 1);
    // A kill does not make it new again.
    crash();
    open_with(more);
    expect_pending("newest", 5, 1);
    EXPECT_EQ(take("oldest"), Texts({"old", "new"}));
    EXPECT_EQ(take("newest"), Texts({"new"}));
    EXPECT_EQ(take("all"), Texts({"old", "new"}));
    for (const char* const reader : {"oldest", "newest"}) {
      expect_pending(reader, 0, 0);
      EXPECT_EQ(stats_of(reader).drops[2].records, 0U);
      std::filesystem::remove(path(std::string("cursor-") + reader));
    }
    pass_time();
    EXPECT_EQ(log->stats().segments, 0U);
  }
}

TEST_F(LogReadersTest, NewestReaderGoesOnInTheOpenSegment) {
  open_with({kOfAll});
  append_from(kEdge, "old", 3);
  set_readers({kOfAll, {"newest", {kCloud}, true}});
  append_from(kCloud, "c", 5);
  append_from(kEdge, "new", 7);
  EXPECT_EQ(take("newest"), Texts({"new"}));
  pass_time();
  EXPECT_EQ(stats_of("newest").drops[2].records, 0U);
  expect_pending("newest", 0, 0);
}

TEST_F(LogReadersTest, RetiredReaderHoldsNoSegmentAndGoesOnWhereItWas) {
  for (const bool restart : {false, true}) {
    SCOPED_TRACE(restart ? "by a restart" : "while it runs");
    const auto set = [&](const std::vector<ReaderSpec>& readers) {
      restart ? open_with(readers) : set_readers(readers);
    };
    open({"fast", "slow"});
    append_from(0, "1");
    append_from(0, "2");
    EXPECT_EQ(log->reader("slow").claim({.records_max = 1}).items, 1U);
    log->reader("slow").acknowledge();
    pass_time();
    EXPECT_EQ(take("fast"), Texts({"1", "2"}));
    pass_time();
    ASSERT_EQ(log->stats().segments, 1U);  // for the slow one

    set({{"fast"}});
    append_from(0, "3");
    set({{"fast"}, {"slow"}});  // before upkeep came to delete anything
    EXPECT_EQ(log->reader("slow").claim({}).items, 2U);
    log->reader("slow").rewind();

    set({{"fast"}});
    EXPECT_EQ(take("fast"), Texts({"3"}));
    pass_time();
    EXPECT_EQ(log->stats().segments, 0U);
    append_from(0, "4");
    set({{"fast"}, {"slow", {}, true}});
    EXPECT_EQ(take("slow"), Texts({"4"}));  // it is not new
    expect_pending("slow", 0, 0);
    EXPECT_EQ(take("fast"), Texts({"4"}));
    log->close();
    log.reset();
    std::filesystem::remove_all(options.directory);
  }
}

TEST_F(LogReadersTest, NamesThatCannotBeAreRefusedAndNothingChanges) {
  open_with({kOfEdge});
  EXPECT_EQ(log->set_readers({{"a"}, {"a"}}).error().code, EINVAL);
  EXPECT_EQ(log->set_readers({{""}}).error().code, EINVAL);
  std::vector<std::uint16_t> many(300);
  std::iota(many.begin(), many.end(), std::uint16_t{1});
  EXPECT_EQ(log->set_readers({{"a", many}}).error().code, EINVAL);
  ASSERT_EQ(log->stats().readers.size(), 1U);
  EXPECT_EQ(log->stats().readers[0].name, "edge");
}

TEST_F(LogReadersTest, ManyReadersThatComeAndGoTakeNoMoreOfTheFolder) {
  open_with({kOfAll});
  set_readers({kOfAll, kOfEdge});
  const std::uint64_t room = log->record_bytes_max();
  for (int i = 0; i < 20; ++i) {
    set_readers({kOfAll});
    set_readers({kOfAll, kOfEdge});
  }
  EXPECT_EQ(log->record_bytes_max(), room);
}

}  // namespace
}  // namespace holdfast
