// One bad request among many: it alone goes to quarantine, and few posts find it.
#include <set>

#include "tests/support/drain_fixture.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;

class BisectionTest : public DrainTest {
 protected:
  /// Every request but these was delivered once.
  void expect_all_but(std::size_t count, const std::set<std::size_t>& bad) {
    std::vector<std::string> wanted;
    for (std::size_t i = 0; i < count; ++i) {
      if (!bad.contains(i)) wanted.push_back(request_number(i));
    }
    EXPECT_EQ(delivered_, wanted);
    EXPECT_EQ(stats_.sent, count - bad.size());
    EXPECT_EQ(stats_.quarantined + stats_.dropped, bad.size());
    ASSERT_EQ(reader_->quarantined().size(), bad.size());
    std::size_t at = 0;
    for (const std::size_t number : bad) {
      EXPECT_EQ(reader_->quarantined()[at++].bytes, request_number(number));
    }
  }
};

TEST_F(BisectionTest, BadRequestIsFoundInLogarithmicallyManyPosts) {
  append(4'096);
  run([](const Requests& requests) {
    return contains(requests, 1'234) ? http_answer(400, "text/plain", "no such span") : otlp_ok();
  });
  ASSERT_TRUE(wait_until_drained());
  stop();
  expect_all_but(4'096, {1'234});
  EXPECT_LE(stats_.attempts, 2U * 12 + 1);
  const WatchedReader::Quarantined bad = reader_->quarantined().at(0);
  EXPECT_EQ(bad.entry.status, 400);
  EXPECT_EQ(bad.entry.reason, "rejected");
  EXPECT_EQ(bad.message, "no such span");
  EXPECT_EQ(bad.entry.seq, 1'234U + 1);  // one request a record; the first has number 1
  EXPECT_EQ(log_->stats().quarantine_entries, 1U);
}

TEST_F(BisectionTest, PoisonInABodyOf8192CostsItselfAloneWhereverItStands) {
  constexpr std::size_t kRequests = 8'192;
  constexpr std::uint64_t kPostsMax = 2 * 13 + 1;  // 2 * log2(n), and the first one
  const std::vector<std::set<std::size_t>> poisons{{0}, {kRequests - 1}, {4'095}, {17, 6'000}};
  std::uint64_t posts_before = 0;
  std::set<std::size_t> bad;
  std::size_t largest = 0;
  start_upstream([&](const Requests& requests) {
    largest = std::max(largest, requests.size());
    for (const std::size_t number : bad) {
      if (contains(requests, number)) return http_answer(400, "", "");
    }
    return otlp_ok();
  });
  for (const std::set<std::size_t>& poison : poisons) {
    bad.clear();
    for (const std::size_t number : poison) bad.insert(appended_ + number);
    largest = 0;
    append(kRequests, 256);
    start_drain();
    ASSERT_TRUE(wait_until_drained());
    drain_.reset();
    EXPECT_EQ(largest, kRequests) << "they were merged into one body";
    EXPECT_LE(stats_.attempts - posts_before, poison.size() * kPostsMax);
    posts_before = stats_.attempts;
  }
  stop();
  std::set<std::size_t> all_bad;
  for (std::size_t round = 0; round < poisons.size(); ++round) {
    for (const std::size_t number : poisons[round]) all_bad.insert(round * kRequests + number);
  }
  expect_all_but(poisons.size() * kRequests, all_bad);
}

TEST_F(BisectionTest, BadRequestsInSharedRecordsAreToldApart) {
  append(1'000, 128);
  const std::set<std::size_t> bad{0, 127, 128, 500, 501, 999};
  run([&](const Requests& requests) {
    for (const std::size_t number : bad) {
      if (contains(requests, number)) return http_answer(422, "", "");
    }
    return otlp_ok();
  });
  ASSERT_TRUE(wait_until_drained());
  stop();
  expect_all_but(1'000, bad);
  EXPECT_EQ(reader_->quarantined().at(1).entry.request_index, 127U);
  EXPECT_EQ(reader_->quarantined().at(2).entry.request_index, 0U);
}

TEST_F(BisectionTest, AllBadGoToQuarantineOneByOne) {
  append(100, 10);
  run([](const Requests&) { return http_answer(400, "", ""); });
  ASSERT_TRUE(wait_until_drained());
  stop();
  EXPECT_EQ(stats_.quarantined, 100U);
  EXPECT_EQ(stats_.sent, 0U);
  EXPECT_EQ(stats_.attempts, 199U);
}

TEST_F(BisectionTest, TooLargeIsSplitAndAloneItGoesToQuarantine) {
  append(300, 20);
  run([](const Requests& requests) {
    const bool too_large = requests.size() > 40 || contains(requests, 77);
    return too_large ? http_answer(413, "", "") : otlp_ok();
  });
  ASSERT_TRUE(wait_until_drained());
  stop();
  expect_all_but(300, {77});
  EXPECT_EQ(reader_->quarantined().at(0).entry.status, 413);
}

TEST_F(BisectionTest, FailureOnTheWayRepeatsThatPartAlone) {
  append(256);
  int posts = 0;
  run([&](const Requests& requests) {
    if (++posts % 2 == 0) return http_answer(503, "", "");
    return contains(requests, 200) ? http_answer(400, "", "") : otlp_ok();
  });
  ASSERT_TRUE(wait_until_drained());
  stop();
  expect_all_but(256, {200});
}

TEST_F(BisectionTest, StopInTheMiddleAcknowledgesNothing) {
  append(256);
  run([&](const Requests& requests) {
    if (requests.size() < 128) return UpstreamReply{.then = UpstreamReply::Then::hang};
    return contains(requests, 200) ? http_answer(400, "", "") : otlp_ok();
  });
  ASSERT_TRUE(upstream_->wait_for_requests(4));  // all, first half, second half, third quarter
  drain_.reset();
  upstream_.reset();
  EXPECT_EQ(reader_->acknowledged(), 0U);
  delivered_.clear();
  run([&](const Requests&) { return otlp_ok(); });
  ASSERT_TRUE(wait_until_drained());
  stop();
  expect_delivered_in_order(256);
}

TEST_F(BisectionTest, RequestThatBreaksTheUpstreamIsFoundOnceOthersPass) {
  append(8);
  run([](const Requests& requests) {
    return contains(requests, 0) ? http_answer(500, "", "oops") : otlp_ok();
  });
  ASSERT_TRUE(wait_until_drained());
  stop();
  expect_all_but(8, {0});
}

TEST_F(BisectionTest, LoneRequestThatBreaksTheUpstreamIsFoundByWhatComesBehindIt) {
  append(1);
  run([](const Requests& requests) {
    return contains(requests, 0) ? http_answer(500, "", "oops") : otlp_ok();
  });
  ASSERT_TRUE(upstream_->wait_for_requests(10));
  EXPECT_TRUE(reader_->quarantined().empty()) << "nothing shows yet that it is bad";
  append(4);
  ASSERT_TRUE(wait_until_drained());
  stop();
  expect_all_but(5, {0});
  EXPECT_EQ(reader_->quarantined().at(0).entry.status, 500);
}

TEST_F(BisectionTest, RequestThatFillsABatchAndBreaksTheUpstreamBlocksNothing) {
  options_.batch.items_max = options_.batch.items_target = 1;
  append(4);
  run([](const Requests& requests) {
    return contains(requests, 1) ? http_answer(500, "", "oops") : otlp_ok();
  });
  ASSERT_TRUE(wait_until_drained());
  stop();
  expect_all_but(4, {1});
}

TEST_F(BisectionTest, LoneRequestGoesThroughWhenTheUpstreamIsWellAgain) {
  append(1);
  int posts = 0;
  run([&](const Requests&) { return ++posts < 100 ? http_answer(500, "", "") : otlp_ok(); });
  ASSERT_TRUE(wait_until_drained());
  stop();
  expect_all_but(1, {});
  EXPECT_EQ(stats_.attempts, 100U);
}

TEST_F(BisectionTest, UpstreamThatFailsOnEverythingLosesNothing) {
  append(8);
  int posts = 0;
  run([&](const Requests&) { return ++posts < 200 ? http_answer(500, "", "") : otlp_ok(); });
  ASSERT_TRUE(wait_until_drained());
  stop();
  std::sort(delivered_.begin(), delivered_.end());
  expect_delivered_in_order(8);
  EXPECT_EQ(stats_.quarantined, 0U);
}

TEST_F(BisectionTest, QuarantineThatCannotBeWrittenCountsAsDropped) {
  append(10);
  reader_->quarantine_fails = true;
  run([](const Requests& requests) {
    return contains(requests, 3) ? http_answer(400, "", "") : otlp_ok();
  });
  ASSERT_TRUE(wait_until_drained());
  stop();
  EXPECT_EQ(stats_.dropped, 1U);
  EXPECT_EQ(stats_.quarantined, 0U);
  EXPECT_EQ(stats_.sent, 9U);
}

TEST_F(BisectionTest, RecordThatDoesNotInflateIsSetAsideAndTheRestDelivered) {
  coding_ = ContentCoding::identity;
  append(5);
  NewRecord broken;
  broken.stored = "\xFF\xFF this is no deflate";
  broken.raw_length = kRequestBytes;
  broken.item_count = 1;
  ASSERT_EQ(log_->append({&broken, 1}), AppendOutcome::stored);
  ++appended_;
  run([](const Requests&) { return otlp_ok(); });
  ASSERT_TRUE(wait_until_drained());
  stop();
  expect_delivered_in_order(5);
  ASSERT_EQ(reader_->quarantined().size(), 1U);
  EXPECT_EQ(reader_->quarantined()[0].bytes, broken.stored);
  EXPECT_EQ(reader_->quarantined()[0].entry.reason, "corrupt");
}

TEST_F(BisectionTest, UpstreamThatRefusesEverythingDoesNotFloodQuarantine) {
  options_.retry.max_interval = std::chrono::hours(1);
  options_.batch.raw_bytes_max = 64U << 20;
  for (int i = 0; i < 40; ++i) {
    append_record(std::string(256U << 10, static_cast<char>('a' + i % 26)), "", 1);
    ++appended_;
  }
  run([](const Requests&) { return http_answer(400, "", ""); });
  ASSERT_TRUE(reader_->wait_for(
      [](std::uint64_t, std::size_t quarantined) { return quarantined == 17; }));  // 4 MiB and one
  while (static_cast<UpstreamState>(stats_.state.load()) != UpstreamState::holding) {
    std::this_thread::yield();
  }
  const std::uint64_t attempts = stats_.attempts;
  stop();
  EXPECT_EQ(stats_.attempts, attempts);
  EXPECT_EQ(reader_->quarantined().size(), 17U);
  EXPECT_EQ(reader_->acknowledged(), 0U);
}

}  // namespace
}  // namespace holdfast
