#include "agent/request_boundaries.h"

#include <optional>
#include <string_view>

namespace holdfast {
namespace {

constexpr unsigned kVarintBytesMax = 5;  // of 32 bits

void append_varint(std::uint32_t value, std::string& out) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

std::optional<std::uint32_t> take_varint(std::string_view& from) {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < kVarintBytesMax && i < from.size(); ++i) {
    const auto byte = static_cast<unsigned char>(from[i]);
    value |= std::uint64_t{byte & 0x7FU} << (7 * i);
    if (byte < 0x80) {
      if (value > UINT32_MAX) return std::nullopt;
      from.remove_prefix(i + 1);
      return static_cast<std::uint32_t>(value);
    }
  }
  return std::nullopt;
}

Error damaged(const char* what) { return {0, std::string("request boundaries: ") + what}; }

}  // namespace

void append_boundary(std::uint32_t raw_length, std::uint32_t items, std::string& extension) {
  append_varint(raw_length, extension);
  append_varint(items, extension);
}

Result<std::vector<RequestBoundary>> request_boundaries(const Record& record) {
  std::vector<RequestBoundary> boundaries;
  if (record.extension.empty()) {
    boundaries.push_back({0, record.raw_length, record.item_count});
    return boundaries;
  }
  std::uint64_t offset = 0;
  std::uint64_t items = 0;
  for (std::string_view left = record.extension; !left.empty();) {
    const std::optional<std::uint32_t> length = take_varint(left);
    const std::optional<std::uint32_t> count = length ? take_varint(left) : std::nullopt;
    if (!count) return damaged("cut short or larger than 32 bits");
    if (*length > record.raw_length - offset) return damaged("longer than the record");
    boundaries.push_back({static_cast<std::uint32_t>(offset), *length, *count});
    offset += *length;
    items += *count;
  }
  if (offset != record.raw_length) return damaged("shorter than the record");
  if (items != record.item_count) return damaged("items do not add up");
  if (boundaries.size() != record.request_count) return damaged("requests do not add up");
  return boundaries;
}

}  // namespace holdfast
