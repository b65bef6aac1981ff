// A start on a large backlog: 10,000 sealed segments, 10 GB as far as their sizes tell.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>

#include "buffer/deflate.h"
#include "buffer/segment_format.h"
#include "tests/support/log_fixture.h"

namespace holdfast {
namespace {

constexpr std::uint64_t kSegments = 10'000;
constexpr std::size_t kPayloadBytes = 1 << 20;

class LogBacklogTest : public LogFixture {
 protected:
  /// Whole segments of one record of zeros, which a sparse file holds for nothing.
  void generate() {
    std::filesystem::create_directories(options.directory);
    const std::string zeros(kPayloadBytes, '\0');
    RecordHeader record;
    record.stored_length = kPayloadBytes;
    record.payload_crc32c = crc32c(0, zeros);
    record.item_count = 3;
    record.raw_length = kPayloadBytes;
    record.request_count = 1;
    for (std::uint64_t seq = 1; seq <= kSegments; ++seq) {
      SegmentHeader segment;
      segment.first_seq = record.seq = seq;
      segment.nonce = static_cast<std::uint32_t>(seq * 2'654'435'761U);
      segment.created_unix_ns = clock.unix_ns();
      RecordHeader seal;
      seal.type = RecordType::seal;
      seal.seq = seq + 1;
      seal.request_count = 1;
      seal.item_total = record.item_count;
      std::ofstream file(path(segment_stem(seq, segment.created_unix_ns) + ".seg"),
                         std::ios::binary);
      const auto put = [&file](const auto& bytes) { file.write(bytes.data(), bytes.size()); };
      put(encode_segment_header(segment));
      put(encode_record_header(record, segment.nonce));
      file.seekp(kPayloadBytes, std::ios::cur);
      put(encode_record_header(seal, segment.nonce));
    }
  }

  static std::uint64_t resident_bytes() {
    std::ifstream file("/proc/self/statm");
    std::uint64_t size = 0;
    std::uint64_t resident = 0;
    file >> size >> resident;
    return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  }

  /// Of this process, in the kernel too: what else runs on the machine is not counted.
  static double cpu_ms() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto ms = [](const timeval& time) {
      return static_cast<double>(time.tv_sec) * 1000 + static_cast<double>(time.tv_usec) / 1000;
    };
    return ms(usage.ru_utime) + ms(usage.ru_stime);
  }
};

TEST_F(LogBacklogTest, TenThousandSegmentsAreTakenUpAtOnceInLittleMemory) {
  generate();
  options.folder_bytes_max = 16ULL << 30;
  const std::uint64_t resident_before = resident_bytes();
  const double cpu_before = cpu_ms();
  const auto start = std::chrono::steady_clock::now();
  open();
  const double cpu = cpu_ms() - cpu_before;
  const std::chrono::duration<double, std::milli> wall = std::chrono::steady_clock::now() - start;
  const std::uint64_t resident = resident_bytes() - resident_before;
  RecordProperty("cpu_ms", std::to_string(cpu));
  RecordProperty("wall_ms", std::to_string(wall.count()));
  RecordProperty("resident_bytes", std::to_string(resident));
  std::printf("10,000 segments: %.0f ms, of them %.0f ms CPU, %.1f MiB\n", wall.count(), cpu,
              static_cast<double>(resident) / (1 << 20));
  // An ordinary build takes some 100 ms and 3 MiB; sanitizers and busy machines a few times that.
  EXPECT_LT(cpu, 2000);
  EXPECT_LT(resident, 20U << 20);
  // The counts are right from the first moment, and what is at both ends can be read.
  EXPECT_EQ(log->stats().segments, kSegments);
  EXPECT_EQ(reader_stats().pending_items, 3 * kSegments);
  EXPECT_EQ(reader_stats().pending_records, kSegments);
  EXPECT_EQ(log->stats().next_seq, kSegments + 1);
  EXPECT_EQ(log->reader("up").claim({}).records.at(0).stored.size(), kPayloadBytes);
  EXPECT_EQ(drops(DropReason::corrupt).items, 0U);
}

}  // namespace
}  // namespace holdfast
