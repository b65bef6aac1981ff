// Content codings of OTLP/HTTP bodies, in and out, each under a limit. Libraries do the work.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "buffer/result.h"
#include "exporters/exporter.h"

namespace holdfast {

enum class DecodeError : std::uint8_t { none, unsupported, corrupt, too_large };

/// Undoes a Content-Encoding: "", identity, gzip, zlib, deflate (= zlib), zstd, snappy (block or
/// framed), x-snappy-framed, lz4. Appends to `out` at most `limit_bytes`; a bomb ends with
/// too_large after that many. All bytes must belong to the coding; concatenated gzip members and
/// zstd frames are read to the end. Thread-safe.
DecodeError decode_content(std::string_view coding, std::string_view body, std::size_t limit_bytes,
                           std::string& out);

/// Compresses a whole body for an upstream. `level` is zstd's, as that library has them; 0: ours.
/// Thread-safe.
Result<std::string> encode_content(ContentCoding coding, std::string_view raw, int level = 0);

}  // namespace holdfast
