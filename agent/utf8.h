// Is it UTF-8? Made for strings that are ASCII nearly always. Thread safety: pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace holdfast {

/// As protobuf and Go see it: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(std::string_view text);

/// `text` with each byte that belongs to no character replaced by U+FFFD.
std::string to_utf8(std::string_view text);

}  // namespace holdfast
