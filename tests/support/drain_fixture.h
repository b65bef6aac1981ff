// A drain with everything real around it: a log in a directory, libcurl, an upstream on sockets
// that decodes what it gets.
#pragma once

#include <gtest/gtest.h>
#include <zlib.h>

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "agent/content_coding.h"
#include "agent/drain.h"
#include "agent/request_boundaries.h"
#include "buffer/deflate.h"
#include "buffer/log.h"
#include "exporters/otlp_http.h"
#include "tests/support/scripted_upstream.h"

namespace holdfast {

/// The log's reader; besides, it tells when items are acknowledged.
class WatchedReader : public LogReader {
 public:
  explicit WatchedReader(LogReader& real) : real_(real) {}

  const std::string& name() const override { return real_.name(); }
  Claim claim(const ClaimLimits& limits) override {
    Claim claim = real_.claim(limits);
    claimed_ += claim.items;
    return claim;
  }
  void acknowledge() override {
    real_.acknowledge();
    std::lock_guard lock(mutex_);
    acknowledged_ += std::exchange(claimed_, 0);
    changed_.notify_all();
  }
  void rewind() override {
    claimed_ = 0;
    real_.rewind();
  }
  bool wait_readable(std::stop_token stop,
                     std::chrono::steady_clock::time_point deadline) override {
    return real_.wait_readable(stop, deadline);
  }
  Status quarantine(const QuarantineEntry& entry) override {
    {
      std::lock_guard lock(mutex_);
      quarantined_.push_back({entry, std::string(entry.message), std::string(entry.bytes)});
      changed_.notify_all();
    }
    if (quarantine_fails) return Error{5, "no room"};
    return real_.quarantine(entry);
  }

  struct Quarantined {
    QuarantineEntry entry;
    std::string message;
    std::string bytes;
  };
  std::vector<Quarantined> quarantined() const {
    std::lock_guard lock(mutex_);
    return quarantined_;
  }
  std::uint64_t acknowledged() const {
    std::lock_guard lock(mutex_);
    return acknowledged_;
  }
  bool wait_for(
      const std::function<bool(std::uint64_t acknowledged, std::size_t quarantined)>& is) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(30),
                             [&] { return is(acknowledged_, quarantined_.size()); });
  }
  bool quarantine_fails = false;

 private:
  LogReader& real_;
  std::uint64_t claimed_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t acknowledged_ = 0;
  std::vector<Quarantined> quarantined_;
};

/// Fixed length, so that a body can be cut into its requests again.
inline constexpr std::size_t kRequestBytes = 64;
inline std::string request_number(std::size_t number) {
  std::string text = "request " + std::to_string(number) + " ";
  text.resize(kRequestBytes, static_cast<char>('a' + number % 26));
  return text;
}

class DrainTest : public testing::Test {
 protected:
  using Requests = std::vector<std::string>;
  /// What the upstream says to these requests.
  using Judge = std::function<UpstreamReply(const Requests&)>;

  DrainTest() {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    directory_ = testing::TempDir() + "drain_" + test->name() + "_" + std::to_string(::getpid());
    std::filesystem::remove_all(directory_);
    LogOptions log_options;
    log_options.directory = directory_;
    log_options.durability = Durability::none;
    log_options.free_bytes_min = 0;
    auto opened = Log::open(posix_filesystem(), system_clock(), log_options, {{"up"}});
    if (!opened) throw std::runtime_error(opened.error().message);
    log_ = std::move(*opened);
    reader_ = std::make_unique<WatchedReader>(log_->reader("up"));
    options_.exporter = "up";
    options_.batch.timeout = std::chrono::milliseconds(1);
    options_.retry.initial_interval = std::chrono::milliseconds(1);
    options_.retry.max_interval = std::chrono::milliseconds(2);
  }
  ~DrainTest() override {
    drain_.reset();
    upstream_.reset();
    if (log_ != nullptr) log_->close();
    log_.reset();
    std::filesystem::remove_all(directory_);
  }

  /// `count` requests of one item each, `per_record` of them sharing a record.
  void append(std::size_t count, std::size_t per_record = 1,
              Codec codec = Codec::deflate_fragment) {
    for (std::size_t done = 0; done < count;) {
      std::string raw;
      std::string extension;
      std::uint32_t requests = 0;
      for (; requests < per_record && done < count; ++requests, ++done) {
        raw += request_number(appended_++);
        append_boundary(kRequestBytes, 1, extension);
      }
      append_record(raw, requests == 1 ? "" : extension, requests, codec);
    }
  }

  void append_record(const std::string& raw, const std::string& extension, std::uint32_t requests,
                     Codec codec = Codec::deflate_fragment) {
    std::string stored = raw;
    if (codec == Codec::deflate_fragment) {
      stored.clear();
      ASSERT_TRUE(deflater_.fragment(raw, stored).ok());
    }
    NewRecord record;
    record.stored = stored;
    record.extension = extension;
    record.raw_length = static_cast<std::uint32_t>(raw.size());
    record.raw_crc32 = crc32_gzip(0, raw);
    record.item_count = record.request_count = requests;
    record.codec = codec;
    ASSERT_EQ(log_->append({&record, 1}), AppendOutcome::stored);
  }

  void start_upstream(Judge judge) {
    upstream_ = std::make_unique<ScriptedUpstream>([this, judge](const UpstreamRequest& request) {
      const Requests requests = decode(request);
      UpstreamReply reply = judge(requests);
      if (reply.bytes.starts_with("HTTP/1.1 200") &&
          reply.bytes.find("html") == std::string::npos) {
        delivered_.insert(delivered_.end(), requests.begin(), requests.end());
      }
      return reply;
    });
  }

  void start_drain() {
    OtlpHttpOptions http;
    http.urls.fill(upstream_->url());
    http.compression = coding_;
    http.timeout = http_timeout_;
    drain_ = std::make_unique<Drain>(
        options_, *reader_, make_otlp_http_exporter(http, Signal::traces), breaker_, stats_);
  }

  void run(Judge judge) {
    start_upstream(std::move(judge));
    start_drain();
  }

  bool wait_until_drained() {
    return reader_->wait_for(
        [this](std::uint64_t acknowledged, std::size_t) { return acknowledged >= appended_; });
  }

  /// Stops both, so that what they wrote can be read.
  void stop() {
    drain_.reset();
    upstream_.reset();
  }

  Requests decode(const UpstreamRequest& request) {
    std::string raw;
    EXPECT_EQ(decode_content(request.header("Content-Encoding"), request.body, 1U << 30, raw),
              DecodeError::none);
    if (coding_ == ContentCoding::gzip) expect_one_gzip_member(request.body, raw);
    EXPECT_EQ(raw.size() % kRequestBytes, 0U);
    Requests requests;
    for (std::size_t at = 0; at < raw.size(); at += kRequestBytes) {
      requests.push_back(raw.substr(at, kRequestBytes));
    }
    return requests;
  }

  /// As a receiver sees it that stops after the first member.
  static void expect_one_gzip_member(const std::string& body, const std::string& raw) {
    std::string out(raw.size() + 1, '\0');
    z_stream stream{};
    ASSERT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
    stream.avail_in = static_cast<uInt>(body.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
    EXPECT_EQ(stream.avail_in, 0U);
    EXPECT_EQ(std::string_view(out).substr(0, stream.total_out), raw);
    inflateEnd(&stream);
  }

  void expect_delivered_in_order(std::size_t count) {
    ASSERT_EQ(delivered_.size(), count);
    for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(delivered_[i], request_number(i));
  }

  static bool contains(const Requests& requests, std::size_t number) {
    return std::find(requests.begin(), requests.end(), request_number(number)) != requests.end();
  }

  std::string directory_;
  std::unique_ptr<Log> log_;
  std::unique_ptr<WatchedReader> reader_;
  Deflater deflater_;
  DrainOptions options_;
  ContentCoding coding_ = ContentCoding::gzip;
  std::chrono::milliseconds http_timeout_{20'000};
  Breaker breaker_;
  ExporterSignalStats stats_;
  std::unique_ptr<ScriptedUpstream> upstream_;
  std::unique_ptr<Drain> drain_;
  std::size_t appended_ = 0;
  Requests delivered_;  // the upstream's; read it after stop()
};

}  // namespace holdfast
