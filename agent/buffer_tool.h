// `holdfast buffer ls|verify`: looks into a buffer directory without changing it, beside a running
// agent too. The other buffer commands are in agent/buffer_tool_*.h.
#pragma once

#include <string>

#include "agent/buffer_tool_context.h"

namespace holdfast {

/// A line for each segment: signal, file, records, items, age; for each cursor; for a quarantine
/// that is not empty. Exit code kToolDamage when the directory cannot be read.
int list_buffer(const std::string& directory, ToolContext& context);

/// Reads every record and checks both checksums and that its bytes inflate to their length and
/// CRC-32. Ends with a count of what is whole. kToolOk: all is whole; kToolDamage: damage, or
/// unreadable. A torn tail of an open segment is no damage, nor is a file that goes away meanwhile.
int verify_buffer(const std::string& directory, ToolContext& context);

}  // namespace holdfast
