// A log in a directory of its own, with records whose bytes say who they are.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "buffer/log.h"
#include "tests/support/manual_clock.h"
#include "tests/support/temp_directory.h"

namespace holdfast {

class LogFixture : public ::testing::Test {
 protected:
  LogFixture() {
    options.directory = directory.path() + "/traces";
    options.free_bytes_min = 0;
    options.report = [this](std::string_view message, std::string_view detail) {
      std::lock_guard lock(reports_mutex);  // any thread may report
      reports.push_back(std::string(message) + " | " + std::string(detail));
    };
  }

  void open(const std::vector<std::string>& readers = {"up"}) { open_with(readers_named(readers)); }

  void open_with(const std::vector<ReaderSpec>& readers) {
    log.reset();
    auto opened = Log::open(posix_filesystem(), clock, options, readers);
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    log = std::move(*opened);
  }

  /// What a kill leaves: the object goes without close().
  void crash() { log.reset(); }

  static NewRecord record_of(std::string_view bytes, std::uint32_t items = 1) {
    NewRecord record;
    record.stored = bytes;
    record.raw_length = static_cast<std::uint32_t>(bytes.size());
    record.item_count = items;
    record.codec = Codec::identity;
    return record;
  }

  AppendOutcome append(std::string_view bytes, std::uint32_t items = 1) {
    const NewRecord record = record_of(bytes, items);
    return log->append({&record, 1});
  }

  static std::vector<std::string> texts(const Claim& claim) {
    std::vector<std::string> out;
    for (const Record& record : claim.records) out.emplace_back(record.stored);
    return out;
  }

  std::vector<std::string> claim_all(std::string_view reader = "up") {
    std::vector<std::string> out;
    for (;;) {
      const Claim claim = log->reader(reader).claim({});
      if (claim.empty()) return out;
      for (std::string& text : texts(claim)) out.push_back(std::move(text));
    }
  }

  std::vector<std::string> files(std::string_view ending) const {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(options.directory)) {
      const std::string name = entry.path().filename().string();
      if (name.ends_with(ending)) out.push_back(name);
    }
    std::sort(out.begin(), out.end());
    return out;
  }
  std::string path(const std::string& file) const { return options.directory + "/" + file; }

  static std::string read_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static void write_file(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }

  const DropCounts& drops(DropReason reason, std::size_t reader = 0) {
    shown = log->stats();
    return shown.readers.at(reader).drops[static_cast<std::size_t>(reason)];
  }
  ReaderStats reader_stats(std::size_t reader = 0) { return log->stats().readers.at(reader); }

  TempDirectory directory;
  ManualClock clock;
  LogOptions options;
  std::mutex reports_mutex;
  std::vector<std::string> reports;
  LogStats shown;
  std::unique_ptr<Log> log;
};

}  // namespace holdfast
