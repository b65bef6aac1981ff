// A gRPC receiver in front of real logs in a directory of their own.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "agent/grpc_receiver.h"
#include "agent/request_boundaries.h"
#include "buffer/clock.h"
#include "buffer/deflate.h"
#include "tests/support/grpc_client.h"
#include "tests/support/temp_directory.h"

namespace holdfast {

class GrpcReceiverFixture : public ::testing::Test {
 protected:
  GrpcReceiverFixture() {
    config.endpoint = "localhost:0";
    stats.transport = "grpc";
  }
  ~GrpcReceiverFixture() override { stop(); }

  void start(std::vector<Signal> signals = {kSignals.begin(), kSignals.end()}) {
    SignalLogs targets{};
    for (const Signal signal : signals) {
      LogOptions options = log_options;
      options.directory = directory.path() + "/" + std::string(name_of(signal));
      auto opened = Log::open(posix_filesystem(), system_clock(), options, {{"up"}});
      ASSERT_TRUE(opened.ok()) << opened.error().message;
      logs[index_of(signal)] = std::move(*opened);
      targets[index_of(signal)] = logs[index_of(signal)].get();
    }
    auto started = GrpcReceiver::start(config, targets, stats, budget, forwarders);
    ASSERT_TRUE(started.ok()) << started.error().message;
    receiver = std::move(*started);
    ASSERT_EQ(receiver->port() == 0, config.endpoint.starts_with("unix:"));
  }

  void stop(std::chrono::milliseconds grace = std::chrono::seconds(5)) {
    if (receiver != nullptr) receiver->stop(grace);
    receiver.reset();
  }

  static std::string_view method(Signal signal) { return traits(signal).grpc_method; }

  /// What is stored, request by request.
  std::vector<std::string> stored(Signal signal) {
    std::vector<std::string> requests;
    LogReader& reader = logs[index_of(signal)]->reader("up");
    reader.rewind();
    for (Claim claim = reader.claim({}); !claim.empty(); claim = reader.claim({})) {
      for (const Record& record : claim.records) {
        std::string raw;
        EXPECT_TRUE(inflate_fragment(record.stored, record.raw_length, raw).ok());
        const auto boundaries = request_boundaries(record);
        EXPECT_TRUE(boundaries.ok());
        for (const RequestBoundary& request : *boundaries) {
          requests.push_back(raw.substr(request.offset, request.length));
        }
      }
    }
    return requests;
  }

  ReceiverSignalStats& stats_of(Signal signal) { return stats.signals[index_of(signal)]; }

  /// A call gives its bytes back just after its answer has left.
  bool budget_returns_to(std::size_t bytes) {
    const auto deadline = std::chrono::steady_clock::now() + GrpcClient::kPatience;
    while (budget.used() != bytes) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }

  TempDirectory directory;
  LogOptions log_options;
  SignalForwarders forwarders;
  GrpcReceiverConfig config;
  ReceiverStats stats;
  ByteBudget budget{64U << 20};
  std::array<std::unique_ptr<Log>, kSignalCount> logs;
  std::unique_ptr<GrpcReceiver> receiver;
};

}  // namespace holdfast
