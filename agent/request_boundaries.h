// The extension of a record that several requests share: where each begins, so that a bad one can
// be told apart.
//
// Format: for each request a varint of its raw length and a varint of its item count (protobuf
// varints, docs/format.md). Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "buffer/record.h"
#include "buffer/result.h"

namespace holdfast {

struct RequestBoundary {
  std::uint32_t offset = 0;  // in the raw bytes of the record
  std::uint32_t length = 0;
  std::uint32_t items = 0;
};

void append_boundary(std::uint32_t raw_length, std::uint32_t items, std::string& extension);

/// The requests in a record; one that covers it all when it has no extension. Fails when lengths do
/// not add up.
Result<std::vector<RequestBoundary>> request_boundaries(const Record& record);

}  // namespace holdfast
