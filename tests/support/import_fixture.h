// A root that Java's disk-buffering could have written, an import of it, and the logs behind it;
// the clock is the test's, and files are dated by it.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "agent/directory_import.h"
#include "agent/request_boundaries.h"
#include "buffer/deflate.h"
#include "tests/support/manual_clock.h"
#include "tests/support/temp_directory.h"
#include "tests/support/wire_bytes.h"

namespace holdfast {

class ImportFixture : public ::testing::Test {
 protected:
  ImportFixture() {
    std::filesystem::create_directories(folder());
    config.directories[0] = {folder()};
    options.free_bytes_min = 0;
    options.directory = temp.path() + "/buffer/traces";
  }

  std::string folder(const std::string& name = "spans") const { return temp.path() + "/" + name; }

  void open_log() {
    log.reset();
    auto opened = Log::open(posix_filesystem(), clock, options, {{"up"}});
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    log = std::move(*opened);
  }

  void open_import() {
    if (log == nullptr) open_log();
    import.reset();
    directories.clear();
    std::array<ImportTarget, kSignalCount> targets;
    targets[0] = {Signal::traces, log.get(), options.folder_bytes_max, options.quarantine_bytes_max,
                  true};
    import = std::make_unique<DirectoryImport>(config, targets, receiver, directories, budget,
                                               *import_clock);
  }

  /// Until there is nothing more to do by now; when there will be, in ms from now, or -1.
  std::int64_t take_all() {
    if (import == nullptr) open_import();
    for (;;) {
      const std::int64_t due = import->take_turn({});
      if (due == INT64_MAX) return -1;
      if (due > clock.steady_ns()) return (due - clock.steady_ns()) / kNsPerMs;
    }
  }

  std::int64_t now_ms() const { return clock.unix_ns() / kNsPerMs; }

  static void date(const std::string& path, std::int64_t modified_ms) {
    const timespec at{static_cast<time_t>(modified_ms / 1000),
                      static_cast<long>(modified_ms % 1000 * kNsPerMs)};
    const std::array<timespec, 2> both{at, at};
    ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), both.data(), 0), 0);
  }

  /// A file of that age, last written to when it was made unless told otherwise.
  std::string put(std::int64_t age_ms, const std::string& bytes, std::int64_t modified_age_ms = -1,
                  const std::string& into = "spans") {
    const std::string path = folder(into) + "/" + std::to_string(now_ms() - age_ms);
    write(path, bytes, modified_age_ms < 0 ? age_ms : modified_age_ms);
    return path;
  }
  void write(const std::string& path, const std::string& bytes, std::int64_t modified_age_ms) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
    date(path, now_ms() - modified_age_ms);
  }

  /// A request of one span of that name.
  static std::string request(const std::string& name) {
    return reference::with_item(reference::nest(5, name));
  }
  static std::string framed(const std::string& record) {
    return reference::varint(record.size()) + record;
  }
  static std::string file_of(const std::vector<std::string>& names) {
    std::string bytes;
    for (const std::string& name : names) bytes += framed(request(name));
    return bytes;
  }

  /// The requests in the log that were not asked for before, acknowledged.
  std::vector<std::string> delivered() {
    std::vector<std::string> out;
    LogReader& reader = log->reader("up");
    for (;;) {
      const Claim claim = reader.claim({});
      if (claim.empty()) return out;
      for (const Record& record : claim.records) {
        std::string raw;
        EXPECT_TRUE(inflate_fragment(record.stored, record.raw_length, raw).ok());
        const auto boundaries = request_boundaries(record);
        EXPECT_TRUE(boundaries.ok());
        for (const RequestBoundary& each : *boundaries) {
          out.push_back(raw.substr(each.offset, each.length));
        }
      }
      reader.acknowledge();
    }
  }
  static std::vector<std::string> requests(const std::vector<std::string>& names) {
    std::vector<std::string> out;
    for (const std::string& name : names) out.push_back(request(name));
    return out;
  }

  std::vector<std::string> left(const std::string& in = "spans") const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder(in))) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  /// What lies in quarantine: the line and the bytes of each.
  struct Quarantined {
    std::string line;
    std::string bytes;
  };
  std::vector<Quarantined> quarantined() const {
    std::vector<Quarantined> out;
    const std::string directory = options.directory + "/quarantine";
    if (!std::filesystem::exists(directory)) return out;
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
      paths.push_back(entry.path());
    }
    std::sort(paths.begin(), paths.end());
    for (const auto& path : paths) {
      std::ifstream in(path, std::ios::binary);
      Quarantined& one = out.emplace_back();
      std::getline(in, one.line);
      one.bytes.assign(std::istreambuf_iterator<char>(in), {});
    }
    return out;
  }

  const ReceiverSignalStats& counted() const { return receiver.signals[0]; }

  TempDirectory temp;
  ManualClock clock;
  const Clock* import_clock = &clock;
  LogOptions options;
  ImportConfig config;
  ByteBudget budget{64ULL << 20};
  ReceiverStats receiver;
  std::unique_ptr<Log> log;
  std::vector<std::unique_ptr<ImportDirectoryStats>> directories;
  std::unique_ptr<DirectoryImport> import;  // goes first: it uses all above
};

}  // namespace holdfast
