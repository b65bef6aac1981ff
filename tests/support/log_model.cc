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

ReaderSpec spec_of(const std::string& name) {
  ReaderSpec spec{name};
  if (const auto dash = name.find('-'); dash != std::string::npos) {
    spec.skipped_sources.push_back(static_cast<std::uint16_t>(std::stoi(name.substr(dash + 1))));
  }
  return spec;
}

std::vector<ReaderSpec> specs_of(const std::vector<std::string>& names) {
  std::vector<ReaderSpec> specs;
  for (const std::string& name : names) specs.push_back(spec_of(name));
  return specs;
}

ModelReader& LogModel::reader(std::string_view name) {
  const auto found = std::find_if(readers.begin(), readers.end(),
                                  [&](const ModelReader& reader) { return reader.name == name; });
  if (found != readers.end()) return *found;
  ModelReader& made = readers.emplace_back();
  made.name = name;
  const ReaderSpec spec = spec_of(made.name);
  if (!spec.skipped_sources.empty()) made.skipped = spec.skipped_sources.front();
  return made;
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

std::uint32_t LogModel::wanted_bits(const ModelRecord& record) const {
  std::uint32_t bits = 0;
  for (const ModelReader& reader : readers) {
    if (reader.configured && reader.wants(record)) bits |= bit(reader);
  }
  return bits;
}

void LogModel::settle(std::uint32_t id, std::uint32_t bits) {
  ModelRecord& record = records.at(id);
  record.settled |= bits;
  const std::uint32_t wanted = wanted_bits(record);
  if ((record.settled & wanted) == wanted) unsettled.erase(id);
}

const ModelSegment* LogModel::segment_of(std::uint64_t seq) const {
  const auto after = segments.upper_bound(seq);
  return after == segments.begin() ? nullptr : &std::prev(after)->second;
}

DropCounts LogModel::pending(const ModelReader& reader) const {
  DropCounts sum;
  for (auto at = log.lower_bound(reader.acknowledged); at != log.end(); ++at) {
    if (!reader.wants(records.at(at->second))) continue;
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
