// What this process takes of the machine, as the kernel tells it. Thread-safe: each call asks anew.
#pragma once

#include <cstdint>

namespace holdfast {

struct ProcessInfo {
  std::uint64_t rss_bytes = 0;
  double cpu_seconds = 0;  // user and system, all threads
};

/// What cannot be read is 0.
ProcessInfo read_process_info();

}  // namespace holdfast
