// The seam between receivers and the buffer at its limits: who is refused, and who is not because
// of somebody else.
#include "agent/ingest.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "buffer/log.h"
#include "tests/support/manual_clock.h"
#include "tests/support/temp_directory.h"
#include "tests/support/wire_bytes.h"

namespace holdfast {
namespace {

using Outcome = IngestResult::Outcome;

class IngestTest : public ::testing::Test {
 protected:
  IngestTest() {
    LogOptions options;
    options.directory = directory.path() + "/logs";
    options.free_bytes_min = 0;
    options.file_bytes_max = 64 << 10;
    options.folder_bytes_max = 256 << 10;
    auto opened = Log::open(posix_filesystem(), clock, options, {{"up"}});
    if (opened) log = std::move(*opened);
    logs[index_of(Signal::logs)] = log.get();
  }

  /// A log record whose text hardly compresses.
  static std::string request(std::size_t bytes) {
    std::mt19937 random(static_cast<unsigned>(bytes));
    std::string text(bytes, ' ');
    for (char& c : text) c = static_cast<char>('0' + random() % 64);
    return reference::with_item(reference::nest(5, reference::nest(1, text)));
  }

  void accept(IngestBatch& batch, const std::string& bytes) {
    const std::size_t index = results.size();
    results.emplace_back();
    batch.accept(Signal::logs, bytes, stats,
                 [this, index](const IngestResult& result) { results[index] = result; });
  }

  TempDirectory directory;
  ManualClock clock;
  std::unique_ptr<Log> log;
  SignalLogs logs{};
  ReceiverSignalStats stats;
  std::vector<std::optional<IngestResult>> results;
};

TEST_F(IngestTest, ARequestThatTheBufferCanNeverHoldIsRefusedAtOnceAndAlone) {
  IngestBatch batch(logs);
  accept(batch, request(100));
  accept(batch, request(40'000));
  accept(batch, request(600'000));
  ASSERT_TRUE(results[2].has_value());  // before the commit
  EXPECT_EQ(results[2]->outcome, Outcome::refused);
  EXPECT_NE(results[2]->message.find("larger than the buffer can hold"), std::string::npos);
  accept(batch, request(50'000));
  batch.commit();
  for (const std::size_t i : {0U, 1U, 3U}) EXPECT_EQ(results[i]->outcome, Outcome::stored) << i;
  EXPECT_EQ(stats.accepted, 3U);
  EXPECT_EQ(stats.refused, 1U);
  std::uint64_t items = 0;
  for (Claim claim = log->reader("up").claim({}); !claim.empty();
       claim = log->reader("up").claim({})) {
    items += claim.items;
  }
  EXPECT_EQ(items, 3U);
  EXPECT_EQ(log->stats().readers[0].drops[0].items, 0U);
}

// Each refers to a dictionary of its own, so that two of them are no request.
TEST_F(IngestTest, ProfilesRequestsNeverShareARecord) {
  LogOptions options;
  options.directory = directory.path() + "/profiles";
  options.free_bytes_min = 0;
  auto opened = Log::open(posix_filesystem(), clock, options, {{"up"}});
  ASSERT_TRUE(opened.ok());
  logs[index_of(Signal::profiles)] = opened->get();
  IngestBatch batch(logs);
  for (const std::size_t bytes : {100U, 200U, 300U}) {
    accept(batch, request(bytes));
    const std::string profile = reference::nest(2, "") + reference::nest(10, request(bytes));
    batch.accept(Signal::profiles, reference::with_item(profile), stats,
                 [](const IngestResult&) {});
  }
  batch.commit();
  EXPECT_EQ(log->stats().appended_records, 1U);
  EXPECT_EQ((*opened)->stats().appended_records, 3U);
  EXPECT_EQ((*opened)->stats().appended_items, 3U);
}

TEST_F(IngestTest, WhatCompressesBelowTheLimitIsTaken) {
  IngestBatch batch(logs);
  accept(batch,
         reference::with_item(reference::nest(5, reference::nest(1, std::string(600'000, 'x')))));
  batch.commit();
  EXPECT_EQ(results[0]->outcome, Outcome::stored);
}

}  // namespace
}  // namespace holdfast
