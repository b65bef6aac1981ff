// Text that is safe in a line of log, whatever an upstream or a client put into it. Pure functions.
#pragma once

#include <string>
#include <string_view>

namespace holdfast {

/// Appends `text` as a JSON string with its quotes: control characters escaped, bytes that are not
/// UTF-8 replaced by U+FFFD.
void append_json_string(std::string_view text, std::string& out);

/// Appends `text` for a console: as it is when it is one plain word, else as append_json_string()
/// does.
void append_console_value(std::string_view text, std::string& out);

}  // namespace holdfast
