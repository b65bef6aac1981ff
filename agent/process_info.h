// What this process takes of the machine, as the kernel and the allocator tell it. Thread-safe:
// each call asks anew.
#pragma once

#include <cstdint>

namespace holdfast {

struct ProcessInfo {
  std::uint64_t rss_bytes = 0;
  std::uint64_t heap_bytes = 0;         // allocated, and in use
  std::uint64_t heap_system_bytes = 0;  // what the allocator holds of the system
  double cpu_seconds = 0;               // user and system, all threads
};

/// What cannot be read is 0.
ProcessInfo read_process_info();

}  // namespace holdfast
