#include "agent/logging.h"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <memory>
#include <mutex>
#include <shared_mutex>

#include "agent/log_text.h"
#include "agent/log_thinning.h"

namespace holdfast {
namespace {

std::string_view name_of(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::debug:
      return "debug";
    case spdlog::level::warn:
      return "warn";
    case spdlog::level::err:
      return "error";
    default:
      return "info";
  }
}

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::warn:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
    case LogLevel::info:
      break;
  }
  return spdlog::level::info;
}

/// The Collector's names of levels: spdlog says "warning".
class LevelName : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    const std::string_view name = name_of(message.level);
    out.append(name.data(), name.data() + name.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<LevelName>();
  }
};

/// spdlog's logger, how lines are formed, and what has been said lately.
class Output {
 public:
  Output() : logger_("holdfast", std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    logger_.flush_on(spdlog::level::debug);
    configure("info", false);
  }

  void configure(std::string_view level, bool json) {
    std::lock_guard lock(mutex_);
    json_ = json;
    logger_.set_level(level == "debug"   ? spdlog::level::debug
                      : level == "warn"  ? spdlog::level::warn
                      : level == "error" ? spdlog::level::err
                                         : spdlog::level::info);
    auto formatter =
        std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc, "\n");
    formatter->add_flag<LevelName>('*');
    formatter->set_pattern(json ? R"({"level":"%*","ts":"%Y-%m-%dT%H:%M:%S.%eZ",%v})"
                                : "%Y-%m-%dT%H:%M:%S.%eZ\t%*\t%v");
    logger_.set_formatter(std::move(formatter));
  }

  void write(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
    const spdlog::level::level_enum at = spdlog_level(level);
    const std::shared_lock lock(mutex_);  // a line is written in the form in which it was made
    if (!logger_.should_log(at)) return;
    std::uint64_t held_back = 0;
    if (level == LogLevel::warn || level == LogLevel::error) {
      const auto admitted =
          thinning_.admit(key_of(message, fields), std::chrono::steady_clock::now());
      if (!admitted) return;
      held_back = *admitted;
    }
    logger_.log(at, json_ ? json_line(message, fields, held_back)
                          : console_line(message, fields, held_back));
  }

 private:
  /// What is said of one signal, exporter, reload or key does not hold back the same of another.
  static bool names_the_source(std::string_view field) {
    return field == "signal" || field == "exporter" || field == "receiver" || field == "reload" ||
           field == "warning";
  }

  static std::string key_of(std::string_view message, std::initializer_list<LogField> fields) {
    std::string key(message);
    for (const LogField& field : fields) {
      if (names_the_source(field.key)) key.append(1, '\0') += field.value;
    }
    return key;
  }

  static std::string json_line(std::string_view message, std::initializer_list<LogField> fields,
                               std::uint64_t held_back) {
    std::string line = "\"msg\":";
    append_json_string(message, line);
    for (const LogField& field : fields) {
      line += ',';
      append_json_string(field.key, line);
      line += ':';
      if (field.quoted) {
        append_json_string(field.value, line);
      } else {
        line += field.value;
      }
    }
    if (held_back != 0) line += ",\"repeated\":" + std::to_string(held_back);
    return line;
  }

  static std::string console_line(std::string_view message, std::initializer_list<LogField> fields,
                                  std::uint64_t held_back) {
    std::string line(message);
    for (const LogField& field : fields) {
      line.append(1, ' ').append(field.key) += '=';
      append_console_value(field.value, line);
    }
    if (held_back != 0) line += " repeated=" + std::to_string(held_back);
    return line;
  }

  std::shared_mutex mutex_;
  spdlog::logger logger_;
  bool json_ = false;
  LogThinning thinning_;
};

Output& output() {
  static Output output;
  return output;
}

}  // namespace

void configure_logging(std::string_view level, bool json) { output().configure(level, json); }

void log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  output().write(level, message, fields);
}

}  // namespace holdfast
