#include "buffer/clock.h"

#include <time.h>

#include <chrono>
#include <fstream>
#include <string>

#include "buffer/deflate.h"

namespace holdfast {
namespace {

std::uint32_t read_boot_id() {
  std::string id;
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  return std::getline(file, id) && !id.empty() ? crc32c(0, id) : 0;
}

class SystemClock final : public Clock {
 public:
  std::int64_t unix_ns() const override {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
  std::int64_t steady_ns() const override {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
  std::int64_t boottime_ns() const override {
    timespec now{};
    if (::clock_gettime(CLOCK_BOOTTIME, &now) != 0) return 0;
    return now.tv_sec * kNsPerSecond + now.tv_nsec;
  }
  std::uint32_t boot_id() const override { return boot_id_; }

 private:
  const std::uint32_t boot_id_ = read_boot_id();
};

}  // namespace

const Clock& system_clock() {
  static const SystemClock clock;
  return clock;
}

}  // namespace holdfast
