#include "agent/buffer_tool_context.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <ostream>

#include "agent/config_values.h"
#include "buffer/clock.h"

namespace holdfast {
namespace {

constexpr std::chrono::milliseconds kDrawInterval{100};
constexpr std::size_t kBarWidth = 30;
constexpr int kPollMs = 200;

bool take(std::string_view& text, char wanted) {
  if (text.empty() || text.front() != wanted) return false;
  text.remove_prefix(1);
  return true;
}

/// Exactly `digits` of them.
bool take_number(std::string_view& text, std::size_t digits, int& value) {
  if (text.size() < digits) return false;
  const char* const end = text.data() + digits;
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || value < 0 || text.front() == '-') return false;
  text.remove_prefix(digits);
  return true;
}

bool take_fraction(std::string_view& text, std::int64_t& ns) {
  if (!take(text, '.')) return true;
  std::int64_t unit = kNsPerSecond;
  std::size_t digits = 0;
  for (; digits < text.size() && std::isdigit(static_cast<unsigned char>(text[digits])) != 0;
       ++digits) {
    unit /= 10;
    ns += unit * (text[digits] - '0');
  }
  text.remove_prefix(digits);
  return digits > 0 && digits <= 9;
}

bool take_zone(std::string_view& text, std::int64_t& offset_s) {
  if (take(text, 'Z') || take(text, 'z')) return true;
  const bool west = !text.empty() && text.front() == '-';
  if (!west && (text.empty() || text.front() != '+')) return false;
  text.remove_prefix(1);
  int hours = 0;
  int minutes = 0;
  if (!take_number(text, 2, hours) || !take(text, ':') || !take_number(text, 2, minutes)) {
    return false;
  }
  offset_s = (hours * 3600 + minutes * 60) * (west ? -1 : 1);
  return hours < 24 && minutes < 60;
}

bool parse_rfc3339(std::string_view text, std::int64_t& unix_ns) {
  std::tm parts{};
  std::int64_t ns = 0;
  std::int64_t offset_s = 0;
  const bool read = take_number(text, 4, parts.tm_year) && take(text, '-') &&
                    take_number(text, 2, parts.tm_mon) && take(text, '-') &&
                    take_number(text, 2, parts.tm_mday) &&
                    (take(text, 'T') || take(text, 't') || take(text, ' ')) &&
                    take_number(text, 2, parts.tm_hour) && take(text, ':') &&
                    take_number(text, 2, parts.tm_min) && take(text, ':') &&
                    take_number(text, 2, parts.tm_sec) && take_fraction(text, ns) &&
                    take_zone(text, offset_s) && text.empty();
  if (!read || parts.tm_mon < 1 || parts.tm_mon > 12 || parts.tm_mday < 1 || parts.tm_mday > 31 ||
      parts.tm_hour > 23 || parts.tm_min > 59 || parts.tm_sec > 60 || parts.tm_year < 1970 ||
      parts.tm_year > 2200) {
    return false;
  }
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  const int month = parts.tm_mon;
  const bool leap_second = parts.tm_sec == 60;  // counts as the next one
  if (leap_second) parts.tm_sec = 59;
  const std::int64_t seconds = timegm(&parts) - offset_s + (leap_second ? 1 : 0);
  if (parts.tm_mon != month) return false;  // the 31st of April
  unix_ns = seconds * kNsPerSecond + ns;
  return true;
}

}  // namespace

ProgressBar::ProgressBar(ToolContext& context, std::string_view what, std::uint64_t bytes_total)
    : context_(context),
      what_(what),
      total_(std::max<std::uint64_t>(bytes_total, 1)),
      next_(std::chrono::steady_clock::now() + kDrawInterval) {}

ProgressBar::~ProgressBar() { clear(); }

void ProgressBar::advance(std::uint64_t bytes) {
  done_ += bytes;
  if (!context_.progress || std::chrono::steady_clock::now() < next_) return;
  next_ = std::chrono::steady_clock::now() + kDrawInterval;
  const std::uint64_t done = std::min(done_, total_);
  const std::size_t filled = static_cast<std::size_t>(done * kBarWidth / total_);
  std::array<char, 64> numbers{};
  constexpr double kMiB = 1024.0 * 1024.0;
  std::snprintf(numbers.data(), numbers.size(), "%3llu %%  %.1f of %.1f MiB",
                static_cast<unsigned long long>(done * 100 / total_),
                static_cast<double>(done) / kMiB, static_cast<double>(total_) / kMiB);
  context_.err << '\r' << what_ << " [" << std::string(filled, '#')
               << std::string(kBarWidth - filled, ' ') << "] " << numbers.data() << "\x1B[K"
               << std::flush;
  shown_ = true;
}

void ProgressBar::clear() {
  if (shown_) context_.err << "\r\x1B[K" << std::flush;
  shown_ = false;
}

bool confirm(ToolContext& context, std::string_view question) {
  context.err << question << " [y/N] " << std::flush;
  pollfd input{STDIN_FILENO, POLLIN, 0};
  while (!context.stop.stop_requested()) {
    if (::poll(&input, 1, kPollMs) <= 0) continue;
    std::array<char, 64> line{};
    const ssize_t length = ::read(STDIN_FILENO, line.data(), line.size());
    std::string answer(line.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
    while (!answer.empty() && answer.back() <= ' ') answer.pop_back();
    return answer == "y" || answer == "Y" || answer == "yes";
  }
  context.err << "\n";
  return false;
}

std::string counted(std::uint64_t count, std::string_view noun) {
  std::string text = std::to_string(count) + " ";
  if (count != 1 && noun.ends_with("y")) {
    return text.append(noun.substr(0, noun.size() - 1)).append("ies");
  }
  return text.append(noun).append(count == 1 ? "" : "s");
}

bool parse_when(std::string_view text, std::int64_t now_unix_ns, std::int64_t& unix_ns) {
  if (parse_rfc3339(text, unix_ns)) return true;
  const auto before = parse_duration(text);
  if (!before || before->count() < 0 || before->count() > now_unix_ns / kNsPerMs) return false;
  unix_ns = now_unix_ns - before->count() * kNsPerMs;
  return true;
}

}  // namespace holdfast
