#include "agent/time_text.h"

#include <array>
#include <ctime>
#include <string_view>

namespace holdfast {
namespace {

constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

/// `value` / 10^`digits` without trailing zeros: (1500, 3) is "1.5".
std::string decimal(std::uint64_t value, int digits) {
  std::uint64_t unit = 1;
  for (int i = 0; i < digits; ++i) unit *= 10;
  std::string text = std::to_string(value / unit);
  std::string fraction = std::to_string(unit + value % unit).substr(1);
  fraction.erase(fraction.find_last_not_of('0') + 1);
  if (!fraction.empty()) text.append(".").append(fraction);
  return text;
}

}  // namespace

std::string rfc3339_nano(std::int64_t unix_ns) {
  constexpr auto kNs = static_cast<std::int64_t>(kNsPerSecond);
  std::int64_t ns = unix_ns % kNs;
  if (ns < 0) ns += kNs;
  const std::time_t second = (unix_ns - ns) / kNs;
  std::tm parts{};
  gmtime_r(&second, &parts);
  std::array<char, 32> text{};
  const std::size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  const std::string fraction = decimal(static_cast<std::uint64_t>(ns), 9).substr(1);
  return std::string(text.data(), length).append(fraction).append("Z");
}

std::string go_duration(std::int64_t ns) {
  if (ns == 0) return "0s";
  const bool negative = ns < 0;
  const std::uint64_t size =
      negative ? ~static_cast<std::uint64_t>(ns) + 1 : static_cast<std::uint64_t>(ns);
  std::string text = negative ? "-" : "";
  if (size < 1'000) return text + std::to_string(size) + "ns";
  if (size < 1'000'000) return text + decimal(size, 3) + "\xC2\xB5s";
  if (size < kNsPerSecond) return text + decimal(size, 6) + "ms";
  const std::uint64_t minutes = size / (60 * kNsPerSecond);
  if (minutes >= 60) text += std::to_string(minutes / 60) + "h";
  if (minutes > 0) text += std::to_string(minutes % 60) + "m";
  return text + decimal(size % (60 * kNsPerSecond), 9) + "s";
}

}  // namespace holdfast
