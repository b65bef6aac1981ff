// What the agent counts, with real logs underneath and a clock that a test moves.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "agent/health.h"
#include "tests/support/manual_clock.h"
#include "tests/support/temp_directory.h"

namespace holdfast {

class TelemetryFixture : public ::testing::Test {
 protected:
  TelemetryFixture() {
    telemetry.clock = &clock;
    telemetry.start_unix_ns = clock.unix_ns();
    telemetry.start_steady_ns = clock.steady_ns();
    telemetry.budget = &budget;
    telemetry.buffer_directory = directory.path();
    telemetry.ready = true;
  }

  void open_log(Signal signal, std::vector<std::string> readers, std::uint64_t free_bytes_min = 0) {
    const std::size_t index = index_of(signal);
    logs[index].reset();
    LogOptions options;
    options.directory = directory.path() + "/" + std::string(name_of(signal));
    options.free_bytes_min = free_bytes_min;
    auto opened = Log::open(posix_filesystem(), clock, options, readers_named(readers));
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    logs[index] = std::move(*opened);
    telemetry.logs[index] = logs[index].get();
    telemetry.capacity_bytes[index] = options.folder_bytes_max;
    telemetry.free_bytes_min = free_bytes_min;
  }

  ExporterStats& add_exporter(std::string name) {
    auto& stats = *telemetry.exporters.emplace_back(std::make_unique<ExporterStats>());
    stats.exporter = std::move(name);
    return stats;
  }

  ReceiverStats& add_receiver(std::string name, std::string transport) {
    auto& stats = *telemetry.receivers.emplace_back(std::make_unique<ReceiverStats>());
    stats.receiver = std::move(name);
    stats.transport = std::move(transport);
    return stats;
  }

  ImportDirectoryStats& add_import(std::string path, Signal signal) {
    auto& stats = *telemetry.imports.emplace_back(std::make_unique<ImportDirectoryStats>());
    stats.directory = std::move(path);
    stats.signal = signal;
    return stats;
  }

  AppendOutcome append(Signal signal, std::string_view bytes, std::uint32_t items) {
    NewRecord record;
    record.stored = bytes;
    record.raw_length = static_cast<std::uint32_t>(bytes.size());
    record.item_count = items;
    record.codec = Codec::identity;
    return logs[index_of(signal)]->append({&record, 1});
  }

  /// Takes all that is pending as a drain does that delivers it.
  void deliver_all(Signal signal, ExporterStats& exporter) {
    LogReader& reader = logs[index_of(signal)]->reader(exporter.exporter);
    exporter.signals[index_of(signal)].sent += reader.claim({}).items;
    reader.acknowledge();
  }

  TempDirectory directory;
  ManualClock clock;
  ByteBudget budget{1'000'000};
  std::array<std::unique_ptr<Log>, kSignalCount> logs;
  Telemetry telemetry;  // goes first: it points to all above
};

}  // namespace holdfast
