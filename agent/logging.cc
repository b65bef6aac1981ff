#include "agent/logging.h"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "agent/log_settings.h"
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

/// Throws spdlog_ex when a file cannot be opened.
spdlog::sink_ptr make_sink(const std::string& output) {
  if (output == "stderr") return std::make_shared<spdlog::sinks::stderr_sink_st>();
  if (output == "stdout") return std::make_shared<spdlog::sinks::stdout_sink_st>();
  constexpr std::string_view kFile = "file://";
  const std::string path = output.starts_with(kFile) ? output.substr(kFile.size()) : output;
  return std::make_shared<spdlog::sinks::basic_file_sink_st>(path);
}

/// spdlog's logger, how lines are formed, and what has been said lately.
class Output {
 public:
  Output() : logger_("holdfast", make_sink("stderr")) {
    logger_.flush_on(spdlog::level::debug);
    set_form("info", false);
  }

  void configure(std::string_view level, bool json) {
    std::lock_guard lock(mutex_);
    set_form(level, json);
  }

  Status open(const TelemetryConfig& config, const Attributes& resource) {
    std::vector<spdlog::sink_ptr> sinks;
    try {
      for (const std::string& output : config.log_outputs) sinks.push_back(make_sink(output));
    } catch (const spdlog::spdlog_ex& error) {
      return Error{0, std::string("the log cannot be written: ") + error.what()};
    }
    std::lock_guard lock(mutex_);
    logger_.sinks() = std::move(sinks);
    set_context(config, resource);
    LogThinning::Limits limits;
    if (config.log_sampling) {
      limits = {config.log_sampling->tick, config.log_sampling->initial,
                config.log_sampling->thereafter};
    }
    thinning_ = std::make_unique<LogThinning>(limits);
    thinned_from_ = !config.log_sampled   ? kNeverThinned
                    : config.log_sampling ? LogLevel::debug
                                          : LogLevel::warn;
    set_form(level_, json_);
    return {};
  }

  void tee(LogTee tee) {
    std::lock_guard lock(mutex_);
    tee_ = std::move(tee);
  }

  void write(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
    const spdlog::level::level_enum at = spdlog_level(level);
    std::lock_guard lock(mutex_);
    if (!logger_.should_log(at)) return;
    std::uint64_t held_back = 0;
    if (thinned_from_ && level >= *thinned_from_) {
      const auto admitted =
          thinning_->admit(key_of(message, fields), std::chrono::steady_clock::now());
      if (!admitted) return;
      held_back = *admitted;
    }
    logger_.log(at, json_ ? json_line(message, fields, held_back)
                          : console_line(message, fields, held_back));
    if (tee_) tee_(level, message, fields);
  }

 private:
  void set_form(std::string_view level, bool json) {
    level_ = level;
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

  static void append_json(const Attributes& attributes, std::string& out) {
    for (const Attribute& attribute : attributes) {
      if (!out.ends_with('{')) out += ',';
      append_json_string(attribute.name, out);
      out += ':';
      if (std::holds_alternative<std::string>(attribute.value)) {
        append_json_string(std::get<std::string>(attribute.value), out);
      } else {
        out += text_of(attribute.value);
      }
    }
  }

  /// What stands in every line: the Collector has the resource in the console's too, where it only
  /// hides what is said.
  void set_context(const TelemetryConfig& config, const Attributes& resource) {
    json_context_.clear();
    console_context_.clear();
    append_json(config.log_fields, json_context_);
    for (const Attribute& field : config.log_fields) {
      console_context_.append(1, ' ').append(field.name) += '=';
      append_console_value(text_of(field.value), console_context_);
    }
    if (!config.log_resource || resource.empty()) return;
    json_context_ += ",\"resource\":{";
    append_json(resource, json_context_);
    json_context_ += '}';
  }

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

  std::string json_line(std::string_view message, std::initializer_list<LogField> fields,
                        std::uint64_t held_back) const {
    std::string line = "\"msg\":";
    append_json_string(message, line);
    line += json_context_;
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

  std::string console_line(std::string_view message, std::initializer_list<LogField> fields,
                           std::uint64_t held_back) const {
    std::string line(message);
    line += console_context_;
    for (const LogField& field : fields) {
      line.append(1, ' ').append(field.key) += '=';
      append_console_value(field.value, line);
    }
    if (held_back != 0) line += " repeated=" + std::to_string(held_back);
    return line;
  }

  static constexpr std::optional<LogLevel> kNeverThinned = std::nullopt;

  std::mutex mutex_;  // all below; held while a line is written
  spdlog::logger logger_;
  std::string level_;
  bool json_ = false;
  std::string json_context_;  // ,"name":value…
  std::string console_context_;
  std::optional<LogLevel> thinned_from_ = LogLevel::warn;
  std::unique_ptr<LogThinning> thinning_ = std::make_unique<LogThinning>();
  LogTee tee_;
};

Output& output() {
  static Output output;
  return output;
}

}  // namespace

void configure_logging(std::string_view level, bool json) { output().configure(level, json); }

Status open_log(const TelemetryConfig& config, const Attributes& resource) {
  return output().open(config, resource);
}

void tee_log(LogTee tee) { output().tee(std::move(tee)); }

void log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  output().write(level, message, fields);
}

}  // namespace holdfast
