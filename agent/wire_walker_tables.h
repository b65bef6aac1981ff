// What a tag asks the wire walker to do, by message: the rules of wire_walker_messages.h as tables
// for the fields that come all the time. Constants only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "agent/wire_walker_messages.h"

namespace holdfast::wire {

enum WireType : std::uint32_t {
  kVarint = 0,
  kFixed64 = 1,
  kLength = 2,
  kStartGroup = 3,
  kEndGroup = 4,
  kFixed32 = 5,
};

struct Entry {
  Form form = Form::unknown;
  Message child = Message::none;
};

/// What a tag asks for, for every tag of the fields 1 to 16, both forms of packed fields included.
/// Everything else is Form::unknown here and looked up in the rules.
inline constexpr std::size_t kTableTags = 17 * 8;
using TagTable = std::array<Entry, kTableTags>;

constexpr TagTable make_tag_table(std::span<const FieldRule> rules) {
  TagTable table{};
  for (const FieldRule& rule : rules) {
    const std::size_t base = std::size_t{rule.number} << 3;
    if (base >= kTableTags) continue;
    switch (rule.form) {
      case Form::varint:
        table[base | kVarint] = {Form::varint};
        break;
      case Form::fixed64:
        table[base | kFixed64] = {Form::fixed64};
        break;
      case Form::fixed32:
        table[base | kFixed32] = {Form::fixed32};
        break;
      case Form::packed_fixed64:
        table[base | kLength] = {Form::packed_fixed64};
        table[base | kFixed64] = {Form::fixed64};
        break;
      case Form::packed_varint:
        table[base | kLength] = {Form::packed_varint};
        table[base | kVarint] = {Form::varint};
        break;
      default:
        table[base | kLength] = {rule.form, rule.child};
    }
  }
  return table;
}

inline constexpr std::array<TagTable, kMessageCount> kTagTables = [] {
  std::array<TagTable, kMessageCount> tables{};
  for (std::size_t i = 0; i < kMessageCount; ++i) tables[i] = make_tag_table(kRules[i]);
  return tables;
}();

}  // namespace holdfast::wire
