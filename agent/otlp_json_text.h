// JSON's own grammar where the parser leaves it to us: numbers, and escapes inside strings.
//
// Source: RFC 8259. Thread safety: pure functions.
#pragma once

#include <string>
#include <string_view>

namespace holdfast {

/// Is the whole of `text` one JSON number?
bool is_json_number(std::string_view text);

/// Appends what the inside of a JSON string stands for. A surrogate without its other half becomes
/// U+FFFD, as in the Collector: SDKs that cut strings by UTF-16 units send such halves. False: a
/// bad escape.
bool unescape_json(std::string_view inside, std::string& out);

}  // namespace holdfast
