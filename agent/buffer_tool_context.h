// What the offline tools (`holdfast buffer …`, `holdfast quarantine …`) share: where they write,
// when they stop, how they end, and the progress bar.
//
// Data goes to `out`, words for the person at the terminal to `err`. Single-threaded but for the
// stop token.
#pragma once

#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <stop_token>
#include <string>
#include <string_view>

namespace holdfast {

/// Exit codes, the same for every tool.
inline constexpr int kToolOk = 0;             // all is whole, all was done
inline constexpr int kToolDamage = 1;         // damage found, or something was left undone
inline constexpr int kToolUsage = 2;          // the command line or the configuration is wrong
inline constexpr int kToolInterrupted = 130;  // SIGINT or SIGTERM

struct ToolContext {
  std::ostream& out;
  std::ostream& err;
  std::stop_token stop;
  bool progress = false;  // `err` is a terminal
  bool can_ask = false;   // so is standard input
};

/// A bar on `err` while something long goes on; nothing where `err` is no terminal. It goes away
/// with the object.
class ProgressBar {
 public:
  ProgressBar(ToolContext& context, std::string_view what, std::uint64_t bytes_total);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void advance(std::uint64_t bytes);
  /// Takes the bar off the line, so that words can be written there; the next advance() puts it
  /// back.
  void clear();

 private:
  ToolContext& context_;
  const std::string what_;
  const std::uint64_t total_;
  std::uint64_t done_ = 0;
  bool shown_ = false;
  std::chrono::steady_clock::time_point next_;
};

/// Asks on the terminal; true for "y" or "yes". Ends with false when `stop` is requested.
bool confirm(ToolContext& context, std::string_view question);

/// "1 item", "2 items".
std::string counted(std::uint64_t count, std::string_view noun);

/// A point in time, ns since 1970, from RFC 3339 ("2026-11-21T13:00:00Z") or a duration before now
/// ("2h30m"). False: neither.
bool parse_when(std::string_view text, std::int64_t now_unix_ns, std::int64_t& unix_ns);

}  // namespace holdfast
