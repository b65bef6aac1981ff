#include "agent/own_log.h"

#include <charconv>

#include "agent/log_settings.h"
#include "agent/own_otlp.h"
#include "buffer/clock.h"

namespace holdfast {
namespace {

struct Severity {
  std::uint64_t number;  // OTLP's
  std::string_view text;
};
Severity severity_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return {5, "debug"};
    case LogLevel::warn:
      return {13, "warn"};
    case LogLevel::error:
      return {17, "error"};
    case LogLevel::info:
      break;
  }
  return {9, "info"};
}

AttributeValue value_of(const LogField& field) {
  std::int64_t number = 0;
  const char* const end = field.value.data() + field.value.size();
  const bool whole = std::from_chars(field.value.data(), end, number).ptr == end;
  if (!field.quoted && whole) return number;
  return field.value;
}

}  // namespace

std::string encode_log_record(LogLevel level, std::string_view message,
                              std::initializer_list<LogField> fields, std::int64_t unix_ns) {
  const Severity severity = severity_of(level);
  WireBuffer buffer;
  put_fixed64(buffer, 1, static_cast<std::uint64_t>(unix_ns));
  buffer.put_tag(2, wire::Type::varint);
  buffer.put_varint(severity.number);
  put_text(buffer, 3, severity.text);
  {
    WireMessage body(buffer, 5);
    put_text(buffer, 1, message);
  }
  for (const LogField& field : fields) {
    put_attribute(buffer, 6, {std::string(field.key), value_of(field)});
  }
  put_fixed64(buffer, 11, static_cast<std::uint64_t>(unix_ns));
  return std::string(buffer.view());
}

OwnLog::OwnLog(const std::vector<OwnRecordsConfig>& processors, const Attributes& resource,
               Counter& dropped) {
  for (const OwnRecordsConfig& processor : processors) {
    processors_.push_back(std::make_unique<OwnRecords>(
        processor, OwnRecords::Source{Signal::logs, "holdfast", resource}, dropped));
  }
  if (processors_.empty()) return;
  tee_log([this](LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
    const std::string record = encode_log_record(level, message, fields, system_clock().unix_ns());
    for (const auto& each : processors_) each->add(record);
  });
}

OwnLog::~OwnLog() {
  if (!processors_.empty()) tee_log(nullptr);
}

}  // namespace holdfast
