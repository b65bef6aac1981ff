#include "agent/process_info.h"

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

namespace holdfast {
namespace {

std::uint64_t read_rss_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t total_pages = 0;
  std::uint64_t resident_pages = 0;
  if (!(statm >> total_pages >> resident_pages)) return 0;
  return resident_pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

}  // namespace

ProcessInfo read_process_info() {
  ProcessInfo info;
  info.rss_bytes = read_rss_bytes();
  const struct mallinfo2 heap = mallinfo2();  // of all arenas
  info.heap_bytes = heap.uordblks + heap.hblkhd;
  info.heap_system_bytes = heap.arena + heap.hblkhd;
  // The same clocks as /proc/self/stat, in microseconds instead of ticks.
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    info.cpu_seconds = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
  }
  return info;
}

}  // namespace holdfast
