// Any bytes as a segment file: a start, a reader, the next append and the next start live with it.
//
// The first byte says how it lies there; with bit 0 checksums are put right wherever a header seems
// to stand, so that what is behind them is reached as well.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "buffer/deflate.h"
#include "buffer/little_endian.h"
#include "buffer/log.h"
#include "buffer/segment_format.h"
#include "tests/support/manual_clock.h"
#include "tests/support/memory_filesystem.h"

namespace {

using namespace holdfast;

constexpr std::uint32_t kNonce = 0xA1B2C3D4;

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

void put_checksums_right(std::string& bytes, bool payloads_too) {
  SegmentHeader header;
  header.first_seq = 1;
  header.created_unix_ns = 1'800'000'000'000'000'000;
  header.nonce = kNonce;
  const auto encoded = encode_segment_header(header);
  if (bytes.size() < encoded.size()) return;
  bytes.replace(0, encoded.size(), encoded.data(), encoded.size());
  for (std::size_t at = kSegmentHeaderBytes; at + kRecordHeaderBytes <= bytes.size();) {
    char* const record = bytes.data() + at;
    if (std::string_view(record, 4) != "HFRC") {
      at += 8;
      continue;
    }
    const std::uint64_t length =
        std::uint64_t{load_le<std::uint32_t>(record + 8)} + load_le<std::uint32_t>(record + 48);
    const bool fits = at + kRecordHeaderBytes + length <= bytes.size();
    if (payloads_too && fits) {
      store_le<std::uint32_t>(record + 12,
                              crc32c(0, std::string_view(record + kRecordHeaderBytes, length)));
    }
    store_le<std::uint32_t>(record + 4, crc32c(kNonce, std::string_view(record + 8, 56)));
    at += fits ? kRecordHeaderBytes + (length + 7) / 8 * 8 : 8;
  }
}

/// Records read, until nothing comes any more.
std::uint64_t read_all(Log& log, std::size_t size) {
  std::uint64_t records = 0;
  for (int empty = 0; empty < 6;) {
    const Claim claim = log.reader("up").claim({.records_max = 16});
    empty = claim.empty() ? empty + 1 : 0;
    for (const Record& record : claim.records) {
      check(record.stored.size() + record.extension.size() <= size, "a record is not in its file");
    }
    records += claim.records.size();
    check(records * kRecordHeaderBytes <= size + 1024, "more records than there is room for");
    log.reader("up").acknowledge();
  }
  return records;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::uint8_t how = data[0];
  std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if ((how & 1) != 0) put_checksums_right(bytes, (how & 2) != 0);
  MemoryFileSystem fs;
  ManualClock clock;
  LogOptions options;
  options.directory = "/b";
  options.free_bytes_min = 0;
  options.folder_bytes_max = 2U << 20;  // keeps the reserve small, which each start makes
  options.read_retry_pause = std::chrono::milliseconds(0);
  const std::string name =
      segment_stem(1, 1'800'000'000'000'000'000) + ((how & 4) != 0 ? ".wip" : ".seg");
  auto& node = fs.node("/b/" + name);
  node.bytes = bytes;
  if ((how & 8) != 0) node.bad_blocks.insert(how >> 4);
  for (int start = 0; start < 2; ++start) {
    auto opened = Log::open(fs, clock, options, {{"up"}});
    check(opened.ok(), "a start fails");
    Log& log = **opened;
    read_all(log, size);
    const ReaderStats before = log.stats().readers.at(0);
    check(before.pending_items == 0 && before.pending_records == 0, "something stays pending");
    NewRecord next;
    next.stored = "next";
    next.raw_length = 4;
    next.item_count = 1;
    next.codec = Codec::identity;
    check(log.append({&next, 1}) == AppendOutcome::stored, "the next append fails");
    check(read_all(log, size + 4) == 1, "the next record is not read");
    clock.advance_ms(2000);
    log.maintain();
    check(log.stats().segments == 0, "a segment stays");
  }
  return 0;
}
