// What a segment's records tell of it when its own header is damaged.
//
// The header holds one thing that reading needs: the nonce. It may have survived; else each record
// header tells it, since a checksum can be run backwards to the value that it began with. The
// number of the first record and the date are in the file's name as well. Thread safety: pure
// functions.
#pragma once

#include <optional>

#include "buffer/bad_blocks.h"
#include "buffer/filesystem.h"
#include "buffer/result.h"
#include "buffer/segment_format.h"

namespace holdfast {

/// Walks the whole file once. `first_bytes`: what is left of the header. Nothing: no record was
/// found under any nonce. With `around` unreadable blocks are passed over; else they are an error.
Result<std::optional<SegmentHeader>> salvage_segment_header(File& file,
                                                            std::string_view first_bytes,
                                                            const SegmentName& name, bool around);

}  // namespace holdfast
