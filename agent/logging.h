// The agent's log on stderr, console or JSON lines, through spdlog. Repeated warnings and errors
// are thinned: the same message about the same thing is written at most once in ten seconds, with
// how often it was held back (`repeated`). The thing is the first field, when that is text: put the
// exporter, the signal or the file first.
//
// Thread-safe.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace holdfast {

enum class LogLevel : std::uint8_t { debug, info, warn, error };

/// A name and its value, `key=value` on the console, a member in JSON.
struct LogField {
  std::string_view key;
  std::string value;
  bool quoted = true;  // JSON: a string; false: a number

  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  LogField(std::string_view k, const char* v) : key(k), value(v) {}
  LogField(std::string_view k, const std::string& v) : key(k), value(v) {}
  template <std::integral T>
  LogField(std::string_view k, T v) : key(k), value(std::to_string(v)), quoted(false) {}
};

/// `level` as in service.telemetry.logs. Thread-safe.
void configure_logging(std::string_view level, bool json);

/// Messages are constant sentences; what varies goes into fields, so that repetition is seen.
void log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});

}  // namespace holdfast
