// The agent's log as OTLP, beside its lines: service::telemetry::logs::processors.
//
// Owned by the agent; made and ended on its thread. What is logged meanwhile may come from any.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/logging.h"
#include "agent/own_records.h"

namespace holdfast {

class OwnLog {
 public:
  /// `dropped` must outlive it.
  OwnLog(const std::vector<OwnRecordsConfig>& processors, const Attributes& resource,
         Counter& dropped);
  ~OwnLog();

 private:
  std::vector<std::unique_ptr<OwnRecords>> processors_;
};

/// An OTLP LogRecord.
std::string encode_log_record(LogLevel level, std::string_view message,
                              std::initializer_list<LogField> fields, std::int64_t unix_ns);

}  // namespace holdfast
