// Which entries of a quarantine a command is about. Pure but for reading the directory.
#pragma once

#include <optional>
#include <vector>

#include "agent/quarantine_tool.h"
#include "agent/quarantine_tool_entry.h"

namespace holdfast {

/// The entries with the selection's ids, or all of them. Nothing, and a sentence on `err`, when the
/// directory cannot be read, an id fits no entry, or a number fits entries of several signals.
std::optional<std::vector<QuarantinedFile>> select_quarantined(const QuarantineSelection& selection,
                                                               ToolContext& context);

}  // namespace holdfast
