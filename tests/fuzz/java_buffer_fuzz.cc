// Files of Java's disk-buffering, from any bytes: what the reader calls records must add up to the
// file, whatever it meets, and the walker must live with them. The first byte picks the signal.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "agent/java_buffer_reader.h"
#include "agent/wire_walker.h"

namespace {

void require(bool held, const char* promise) {
  if (held) return;
  std::fprintf(stderr, "%s\n", promise);
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using holdfast::JavaBufferReader;
  if (size == 0) return 0;
  static const int descriptor = ::memfd_create("java", MFD_CLOEXEC);
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const holdfast::Signal signal = holdfast::kSignals[data[0] % holdfast::kSignalCount];
  require(::ftruncate(descriptor, 0) == 0 && ::pwrite(descriptor, bytes.data(), bytes.size(), 0) ==
                                                 static_cast<ssize_t>(bytes.size()),
          "the input cannot be written");
  JavaBufferReader reader(descriptor);
  std::uint64_t at = 0;
  for (;;) {
    const auto next = reader.next();
    require(next.ok(), "a file that can be read gives no error");
    require(reader.offset() >= at && reader.offset() <= bytes.size(), "offsets go on, in the file");
    // Only empty records lie between two that are given: zeros, with 0x80 before them or not.
    require(
        bytes.substr(at, reader.offset() - at).find_first_not_of(std::string_view("\x00\x80", 2)) ==
            std::string_view::npos,
        "nothing is stepped over but empty records");
    if (*next == JavaBufferReader::Next::end) {
      require(reader.offset() == bytes.size(), "the end is the end of the file");
      return 0;
    }
    if (*next == JavaBufferReader::Next::torn) {
      const auto tail = reader.tail(bytes.size());
      require(tail.ok() && *tail == bytes.substr(reader.offset()), "the tail is all that is left");
      require(!tail->empty() && !reader.why().empty(), "a torn end has bytes and a reason");
      return 0;
    }
    const auto record = reader.record();
    require(record.ok() && record->size() == reader.record_length() && !record->empty(),
            "a record is whole");
    at = reader.end_offset();
    require(*record == bytes.substr(at - record->size(), record->size()), "a record is as written");
    static_cast<void>(holdfast::walk_export_request(signal, *record));
  }
}
