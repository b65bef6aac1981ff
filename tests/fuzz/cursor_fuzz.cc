// Any bytes as a cursor file: its reader starts somewhere, and gets all that comes from then on.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "buffer/deflate.h"
#include "buffer/little_endian.h"
#include "buffer/log.h"
#include "tests/support/manual_clock.h"
#include "tests/support/memory_filesystem.h"

namespace {

using namespace holdfast;

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

AppendOutcome append(Log& log, std::string_view bytes) {
  NewRecord record;
  record.stored = bytes;
  record.raw_length = static_cast<std::uint32_t>(bytes.size());
  record.item_count = 1;
  record.codec = Codec::identity;
  return log.append({&record, 1});
}

std::string read_all(Log& log) {
  std::string letters;
  for (;;) {
    const Claim claim = log.reader("up").claim({});
    if (claim.empty()) return letters;
    for (const Record& record : claim.records) letters += record.stored;
    log.reader("up").acknowledge();
  }
}

}  // namespace

// The first byte: with bit 0 the checksums of both slots are put right.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string cursor(reinterpret_cast<const char*>(data) + 1, size - 1);
  if ((data[0] & 1) != 0) {
    for (std::size_t slot = 0; slot + 40 <= cursor.size(); slot += 512) {
      store_le<std::uint32_t>(cursor.data() + slot + 36,
                              crc32c(0, std::string_view(cursor).substr(slot, 36)));
    }
  }
  MemoryFileSystem fs;
  ManualClock clock;
  LogOptions options;
  options.directory = "/b";
  options.free_bytes_min = 0;
  options.folder_bytes_max = 2U << 20;  // keeps the reserve small, which each start makes
  options.file_bytes_max = 256;         // three records in two segments
  {
    auto first = Log::open(fs, clock, options, {});
    check(first.ok(), "the first start fails");
    for (const char* letter : {"a", "b", "c"}) append(**first, letter);
  }
  fs.node("/b/cursor-up").bytes = cursor;
  for (const char* next : {"n", "m"}) {
    auto opened = Log::open(fs, clock, options, {{"up"}});
    check(opened.ok(), "a start fails");
    const std::string had = read_all(**opened);
    check(std::string_view("abc").ends_with(had), "the wrong records are read");
    check(had.empty() || *next == 'n', "records come twice");
    check(append(**opened, next) == AppendOutcome::stored, "the next append fails");
    check(read_all(**opened) == next, "the next record is not read");
    check((*opened)->stats().readers.at(0).pending_items == 0, "something stays pending");
  }
  return 0;
}
