#include "tests/support/log_model.h"

#include <algorithm>

namespace holdfast {

std::string ModelRecord::stored_bytes() const {
  std::string bytes(size, '\0');
  const std::uint64_t mixed = (id + 1) * 0x9E3779B97F4A7C15ULL;
  for (std::uint32_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<char>((mixed >> (i % 8 * 8)) + i / 8);
  }
  return bytes;
}

std::string ModelRecord::extension() const {
  return id % 5 == 0 ? "extension of " + std::to_string(id) : std::string();
}

ModelReader& LogModel::reader(std::string_view name) {
  const auto found = std::find_if(readers.begin(), readers.end(),
                                  [&](const ModelReader& reader) { return reader.name == name; });
  if (found != readers.end()) return *found;
  readers.emplace_back().name = name;
  return readers.back();
}

std::uint32_t LogModel::bit(const ModelReader& reader) const {
  return 1U << (&reader - readers.data());
}

std::uint32_t LogModel::configured_bits() const {
  std::uint32_t bits = 0;
  for (const ModelReader& reader : readers) {
    if (reader.configured) bits |= bit(reader);
  }
  return bits;
}

void LogModel::settle(std::uint32_t id, std::uint32_t bits) {
  ModelRecord& record = records.at(id);
  record.settled |= bits;
  const std::uint32_t wanted = configured_bits();
  if ((record.settled & wanted) == wanted) unsettled.erase(id);
}

const ModelSegment* LogModel::segment_of(std::uint64_t seq) const {
  const auto after = segments.upper_bound(seq);
  return after == segments.begin() ? nullptr : &std::prev(after)->second;
}

DropCounts LogModel::pending(const ModelReader& reader) const {
  DropCounts sum;
  for (auto at = log.lower_bound(reader.acknowledged); at != log.end(); ++at) {
    sum.items += records.at(at->second).items();
    ++sum.records;
  }
  for (const ModelReader::Claimed& claimed : reader.claimed) {
    if (!claimed.gone) continue;
    sum.items += records.at(claimed.id).items();
    ++sum.records;
  }
  return sum;
}

}  // namespace holdfast
