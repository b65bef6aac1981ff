// The HTTP receiver under many, slow, hostile and vanishing clients.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <latch>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "agent/content_coding.h"
#include "tests/support/http_receiver_fixture.h"

namespace holdfast {
namespace {

using HttpReceiverLoadTest = HttpReceiverFixture;
using std::chrono::milliseconds;

const std::string kChunkedHead =
    "POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-protobuf\r\n"
    "Transfer-Encoding: chunked\r\n";

void expect_busy(const RawResponse& response) {
  EXPECT_EQ(503, response.status);
  EXPECT_EQ("1", response.header("Retry-After"));
  EXPECT_EQ(kProtobufType, response.header("Content-Type"));
  google::rpc::Status status;
  EXPECT_TRUE(status.ParseFromString(response.body));
  EXPECT_EQ(14, status.code());
  EXPECT_EQ(1, status.details_size());
}

TEST_F(HttpReceiverLoadTest, SixtyFourConnectionsAtOnceLoseNothing) {
  constexpr int kClients = 64;
  constexpr int kRequests = 20;
  start();
  std::vector<std::thread> threads;
  std::multiset<std::string> sent;
  std::mutex mutex;
  std::atomic<int> acknowledged{0};
  for (int c = 0; c < kClients; ++c) {
    threads.emplace_back([&, c] {
      RawHttpClient one = client();
      for (int r = 0; r < kRequests; ++r) {
        const int spans = r % 5 == 0 ? 700 : 1 + r % 3;
        const std::string body =
            spans_request(spans, std::to_string(c) + "-" + std::to_string(r) + "-");
        if (one.exchange(http_post(body)).status != 200) continue;
        ++acknowledged;
        std::lock_guard lock(mutex);
        sent.insert(body);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(kClients * kRequests, acknowledged);
  const std::vector<std::string> kept = stored();
  EXPECT_TRUE(sent == std::multiset<std::string>(kept.begin(), kept.end()));
  EXPECT_EQ(static_cast<std::uint64_t>(kClients * kRequests), traces().requests);
  EXPECT_TRUE(nothing_in_flight());
}

TEST_F(HttpReceiverLoadTest, RequestsThatArriveTogetherShareACommit) {
  constexpr int kClients = 64;
  start();
  std::vector<RawHttpClient> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.push_back(client());
    ASSERT_EQ(200, clients.back().exchange(http_post("")).status);  // connected, nothing stored
  }
  const std::string request = http_post(spans_request(1));
  for (int round = 0; round < 20; ++round) {
    for (RawHttpClient& one : clients) one.send(request);
    for (RawHttpClient& one : clients) EXPECT_EQ(200, one.receive().status);
  }
  const LogStats stats = logs_[index_of(Signal::traces)]->stats();
  EXPECT_EQ(20U * kClients, stats.appended_items);
  EXPECT_LT(stats.commits, 20U * kClients / 2);
}

TEST_F(HttpReceiverLoadTest, PipelinedRequestsAreAnsweredInOrder) {
  start();
  RawHttpClient one = client();
  std::string requests;
  for (int i = 0; i < 30; ++i) {
    requests += i % 3 == 0 ? http_post("{}", kJsonType) : http_post(spans_request(i));
  }
  one.send(requests);
  for (int i = 0; i < 30; ++i) {
    EXPECT_EQ(i % 3 == 0 ? kJsonType : kProtobufType, one.receive().header("Content-Type"));
  }
  EXPECT_EQ(20U, stored().size());
}

TEST_F(HttpReceiverLoadTest, ChunkedBodiesByteByByteInEveryCoding) {
  start();
  RawHttpClient one = client();
  const std::string raw = spans_request(20);
  const std::vector<std::pair<std::string, ContentCoding>> codings{
      {"gzip", ContentCoding::gzip},
      {"zstd", ContentCoding::zstd},
      {"deflate", ContentCoding::zlib},
      {"snappy", ContentCoding::snappy},
      {"lz4", ContentCoding::lz4}};
  for (const auto& [name, coding] : codings) {
    one.send(kChunkedHead + coded(name) + "\r\n");
    const std::string body = *encode_content(coding, raw);
    for (const char byte : body) {
      one.send("1\r\n" + std::string(1, byte) + "\r\n");
    }
    EXPECT_EQ(200, one.exchange("0\r\n\r\n").status) << name;
  }
  EXPECT_EQ(std::vector<std::string>(codings.size(), raw), stored());
}

TEST_F(HttpReceiverLoadTest, SlowClientsAreLetGoAndDoNotHinderOthers) {
  config_.read_header_timeout = milliseconds(100);
  config_.read_timeout = milliseconds(100);
  start();
  const std::string request = http_post(spans_request(5));
  std::vector<RawHttpClient> slow;
  for (int i = 0; i < 200; ++i) {
    slow.push_back(client());
    slow.back().send(request.substr(0, static_cast<std::size_t>(1 + i % 150)));
  }
  EXPECT_EQ(200, exchange(request).status);
  for (RawHttpClient& one : slow) {
    const RawResponse response = one.receive();
    EXPECT_TRUE(response.status == 408 || response.status == 503) << response.status;
    EXPECT_TRUE(one.ended_by_server());
  }
  EXPECT_EQ(200, exchange(request).status);
  EXPECT_EQ(2U, stored().size());
  EXPECT_TRUE(nothing_in_flight());
}

TEST_F(HttpReceiverLoadTest, HugeHeadersAreRefused) {
  start();
  const std::string huge = "X-Large: " + std::string(100'000, 'h') + "\r\n";
  EXPECT_EQ(431, exchange(http_post(spans_request(1), kProtobufType, huge)).status);
  EXPECT_TRUE(stored().empty());
}

class HttpReceiverBudgetTest : public HttpReceiverFixture {
 protected:
  HttpReceiverBudgetTest() : body_(spans_request(1'500)) {}

  /// A client that has sent half of its body, which is in the budget as a whole.
  RawHttpClient half_sent() {
    RawHttpClient one = client();
    const std::string request = http_post(body_);
    one.send(request.substr(0, request.size() / 2));
    EXPECT_TRUE(becomes_true([this] { return budget_->used() >= body_.size(); }));
    return one;
  }
  std::string second_half() const {
    const std::string request = http_post(body_);
    return request.substr(request.size() / 2);
  }

  void start_with_budget(std::size_t bytes) {
    budget_ = std::make_unique<ByteBudget>(bytes);
    start();
  }

  const std::string body_;
};

TEST_F(HttpReceiverBudgetTest, OverTheBudgetClientsAreToldToComeAgainAndThenServed) {
  start_with_budget(body_.size() * 3 / 2);
  RawHttpClient uploading = half_sent();
  expect_busy(exchange(http_post(body_)));
  char size[20];
  std::snprintf(size, sizeof size, "%zx\r\n", body_.size());
  expect_busy(exchange(kChunkedHead + "\r\n" + size + body_ + "\r\n0\r\n\r\n"));
  EXPECT_EQ(200, exchange(http_post(spans_request(3))).status);  // small ones still pass
  EXPECT_EQ(200, uploading.exchange(second_half()).status);
  EXPECT_EQ(200, exchange(http_post(body_)).status);
  EXPECT_EQ(3U, stored().size());
  EXPECT_EQ(2U, traces().refused);
}

TEST_F(HttpReceiverBudgetTest, InflatedBytesAreInTheBudgetToo) {
  start_with_budget(body_.size() * 3 / 2);
  const std::string small = *encode_content(ContentCoding::gzip, body_);
  ASSERT_LT(small.size(), body_.size() / 4);
  const std::string request = http_post(small, kProtobufType, coded("gzip"));
  RawHttpClient uploading = half_sent();
  RawHttpClient refused = client();
  expect_busy(refused.exchange(request));
  EXPECT_EQ(200, uploading.exchange(second_half()).status);
  EXPECT_EQ(200, refused.exchange(request).status);  // its connection stayed
  EXPECT_EQ(2U, stored().size());
}

TEST_F(HttpReceiverBudgetTest, ARequestLargerThanTheBudgetPassesAlone) {
  start_with_budget(100);
  RawHttpClient one = client();
  const std::string small = *encode_content(ContentCoding::zstd, body_);
  EXPECT_EQ(200, one.exchange(http_post(body_)).status);
  EXPECT_EQ(200, one.exchange(http_post(small, kProtobufType, coded("zstd"))).status);
  EXPECT_EQ((std::vector<std::string>{body_, body_}), stored());
}

TEST_F(HttpReceiverLoadTest, ClientsThatVanishLeaveNothingBehind) {
  start();
  const std::string request = http_post(spans_request(200));
  for (std::size_t length = 0; length <= request.size(); length += 97) {
    RawHttpClient one = client();
    one.send(request.substr(0, length));
    one.reset();
  }
  RawHttpClient whole = client();
  whole.send(request);
  whole.reset();
  EXPECT_EQ(200, exchange(request).status);
  receiver_->stop(milliseconds(5'000));
  EXPECT_TRUE(nothing_in_flight());
  for (const std::string& kept : stored()) EXPECT_EQ(spans_request(200), kept);
}

TEST_F(HttpReceiverLoadTest, StopUnderLoadAnswersEverythingThatItHasStored) {
  constexpr int kClients = 32;
  start();
  std::latch warm(kClients);
  std::vector<std::thread> threads;
  std::multiset<std::string> acknowledged;
  std::mutex mutex;
  for (int c = 0; c < kClients; ++c) {
    threads.emplace_back([&, c] {
      RawHttpClient one = client();
      for (int r = 0;; ++r) {
        if (r == 5) warm.count_down();
        const std::string body = spans_request(1 + r % 400, std::to_string(c * 100'000 + r) + "-");
        const RawResponse response = one.exchange(http_post(body));
        if (response.status == 200) {
          std::lock_guard lock(mutex);
          acknowledged.insert(body);
        }
        if (response.status != 200 || response.header("Connection") == "close") break;
      }
    });
  }
  warm.wait();
  receiver_->stop(milliseconds(10'000));
  for (std::thread& thread : threads) thread.join();
  const std::vector<std::string> kept = stored();
  EXPECT_LE(5U * kClients, kept.size());
  EXPECT_TRUE(acknowledged == std::multiset<std::string>(kept.begin(), kept.end()));
  EXPECT_TRUE(nothing_in_flight());
  EXPECT_FALSE(client().connected());
}

}  // namespace
}  // namespace holdfast
