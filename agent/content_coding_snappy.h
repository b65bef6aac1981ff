// Snappy's two forms on the wire: the bare block and the framing format.
//
// Source: google/snappy, format_description.txt and framing_format.txt. Pure functions.
#pragma once

#include <string_view>

#include "agent/content_coding.h"
#include "agent/content_coding_output.h"

namespace holdfast {

/// Does it begin with a stream identifier? No block that decodes does.
bool is_snappy_framed(std::string_view body);

DecodeError decode_snappy_block(std::string_view block, BoundedOutput& output);

/// Checks every chunk's checksum. An empty body is an empty stream.
DecodeError decode_snappy_framed(std::string_view stream, BoundedOutput& output);

}  // namespace holdfast
