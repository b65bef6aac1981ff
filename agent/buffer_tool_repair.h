// `holdfast buffer repair`: what the agent's start does with a buffer, and more, so that nothing in
// it is damaged afterwards.
//
// Open segments are sealed; a segment with damage is written anew with all its whole records under
// their own numbers, after the damaged bytes have been put into quarantine, all of them; a file
// whose header tells nothing goes to quarantine as it is; left-over temporary files go. Nothing is
// lost: each step leaves the old file or the new one. Run again, it finds nothing to do.
#pragma once

#include <string>

#include "agent/buffer_tool_context.h"
#include "buffer/filesystem.h"

namespace holdfast {

/// Takes the lock. Prints what it did, or with `dry_run` what it would do, and counts. Exit code
/// kToolDamage when something could not be repaired.
int repair_buffer(FileSystem& fs, const std::string& directory, bool dry_run, ToolContext& context);

}  // namespace holdfast
