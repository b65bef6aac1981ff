// Where the agent's log goes and what stands in each line, as service::telemetry::logs has it.
// Level and form are configure_logging()'s (logging.h). Thread-safe.
#pragma once

#include <functional>
#include <initializer_list>
#include <string_view>

#include "agent/attributes.h"
#include "agent/logging.h"
#include "agent/telemetry_config.h"
#include "buffer/result.h"

namespace holdfast {

/// Outputs, initial fields, the resource of JSON lines, sampling. After an error, a file that
/// cannot be opened, everything is as it was.
Status open_log(const TelemetryConfig& config, const Attributes& resource);

/// Gets each line that is written, too, on the thread that writes it; null: nobody does.
using LogTee = std::function<void(LogLevel level, std::string_view message,
                                  std::initializer_list<LogField> fields)>;
void tee_log(LogTee tee);

}  // namespace holdfast
