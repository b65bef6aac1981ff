// A real HTTP receiver in front of real logs in a directory of the test's own.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/http_receiver.h"
#include "agent/request_boundaries.h"
#include "buffer/clock.h"
#include "buffer/deflate.h"
#include "buffer/filesystem.h"
#include "buffer/log.h"
#include "proto/status.pb.h"
#include "proto/trace_service.pb.h"
#include "tests/support/raw_http_client.h"
#include "tests/support/temp_directory.h"

namespace holdfast {

inline constexpr std::string_view kProtobufType = "application/x-protobuf";
inline constexpr std::string_view kJsonType = "application/json";

/// A request of `spans` spans, told apart by `name`.
inline std::string spans_request(int spans, const std::string& name = "span") {
  opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest request;
  auto* scope = request.add_resource_spans()->add_scope_spans();
  for (int i = 0; i < spans; ++i) {
    auto* span = scope->add_spans();
    span->set_trace_id(std::string(16, static_cast<char>('a' + i % 26)));
    span->set_span_id(std::string(8, static_cast<char>('A' + i % 26)));
    span->set_name(name + std::to_string(i));
  }
  return request.SerializeAsString();
}

inline std::string http_post(std::string_view body, std::string_view content_type = kProtobufType,
                             std::string_view more_headers = "",
                             std::string_view target = "/v1/traces") {
  std::string request = "POST " + std::string(target) + " HTTP/1.1\r\nHost: agent\r\n";
  if (!content_type.empty()) request += "Content-Type: " + std::string(content_type) + "\r\n";
  request += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  return request.append(more_headers).append("\r\n").append(body);
}

inline std::string coded(std::string_view coding) {
  return "Content-Encoding: " + std::string(coding) + "\r\n";
}

class HttpReceiverFixture : public testing::Test {
 protected:
  HttpReceiverFixture() { config_.endpoint = "127.0.0.1:0"; }

  void start() {
    SignalLogs logs{};
    for (const Signal signal : signals_) {
      LogOptions options = log_options_;
      options.directory = directory_.path() + "/" + std::string(name_of(signal));
      options.stream_tag = static_cast<std::uint8_t>(signal);
      auto opened = Log::open(posix_filesystem(), system_clock(), options, {{"up"}});
      ASSERT_TRUE(opened.ok()) << opened.error().message;
      logs_[index_of(signal)] = std::move(*opened);
      logs[index_of(signal)] = logs_[index_of(signal)].get();
    }
    auto started = HttpReceiver::start(config_, logs, stats_, *budget_, forwarders_);
    ASSERT_TRUE(started.ok()) << started.error().message;
    receiver_ = std::move(*started);
  }

  RawHttpClient client() { return RawHttpClient(receiver_->port()); }

  RawResponse exchange(std::string_view request) { return client().exchange(request); }

  ReceiverSignalStats& traces() { return stats_.signals[index_of(Signal::traces)]; }

  /// Given back a little after the answer has left.
  bool nothing_in_flight() {
    return becomes_true([this] { return budget_->used() == 0; });
  }

  /// The requests as they were stored, in order.
  std::vector<std::string> stored(Signal signal = Signal::traces) {
    std::vector<std::string> requests;
    LogReader& reader = logs_[index_of(signal)]->reader("up");
    for (;;) {
      const Claim claim = reader.claim({});
      if (claim.empty()) return requests;
      for (const Record& record : claim.records) {
        std::string raw;
        EXPECT_TRUE(inflate_fragment(record.stored, record.raw_length, raw).ok());
        const auto boundaries = request_boundaries(record);
        EXPECT_TRUE(boundaries.ok());
        if (!boundaries.ok()) continue;
        for (const RequestBoundary& one : *boundaries) {
          requests.push_back(raw.substr(one.offset, one.length));
        }
      }
    }
  }

  static void expect_status(const RawResponse& response, int http_status, int code,
                            const std::string& message) {
    EXPECT_EQ(http_status, response.status) << message;
    EXPECT_EQ(kProtobufType, response.header("Content-Type"));
    google::rpc::Status status;
    EXPECT_TRUE(status.ParseFromString(response.body)) << message;
    EXPECT_EQ(code, status.code()) << message;
    EXPECT_EQ(message, status.message());
  }

  TempDirectory directory_;
  LogOptions log_options_{LogLimits{.free_bytes_min = 0}};
  std::vector<Signal> signals_{kSignals.begin(), kSignals.end()};
  std::array<std::unique_ptr<Log>, kSignalCount> logs_;
  SignalForwarders forwarders_;
  HttpReceiverConfig config_;
  ReceiverStats stats_;
  std::unique_ptr<ByteBudget> budget_ = std::make_unique<ByteBudget>(64U << 20);
  std::unique_ptr<HttpReceiver> receiver_;
};

}  // namespace holdfast
