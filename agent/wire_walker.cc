#include "agent/wire_walker.h"

#include <bit>
#include <cstring>

#include "agent/utf8.h"
#include "agent/wire_walker_tables.h"

namespace holdfast {
namespace {

using wire::Entry;
using wire::FieldRule;
using wire::Form;
using wire::Message;

using Byte = std::uint8_t;

/// protobuf's default: the request's fields are level 0.
constexpr int kLevelsMax = 100;
constexpr std::ptrdiff_t kVarintBytesMax = 10;
constexpr std::ptrdiff_t kShortVarintBytesMax = 5;

const FieldRule* rule_for(Message type, std::uint64_t tag) {
  for (const FieldRule& rule : wire::rules_of(type)) {
    if (rule.number == tag >> 3) return &rule;
  }
  return nullptr;
}

constexpr bool holds_old_scopes(Message type) {
  return type == Message::resource_spans || type == Message::resource_metrics ||
         type == Message::resource_logs;
}

struct Varint {
  std::uint64_t value = 0;
  const Byte* after = nullptr;  // null: there is none
};

/// Every function that returns a position returns null after it has set the error.
class Walker {
 public:
  explicit Walker(std::string_view bytes)
      : begin_(reinterpret_cast<const Byte*>(bytes.data())), end_(begin_ + bytes.size()) {}

  WalkResult walk(Message type) {
    message(type, begin_, end_, kLevelsMax);  // its verdict is in result_
    return result_;
  }

 private:
  bool message(Message type, const Byte* at, const Byte* end, int levels);
  const Byte* field(Message type, std::uint64_t tag, Entry entry, const Byte* at, const Byte* end,
                    int levels);
  const Byte* attribute(const Byte* at, const Byte* end, int levels);
  bool plain_attribute(const Byte* at, const Byte* end);
  const Byte* unusual(Message type, std::uint64_t tag, const Byte* start, const Byte* at,
                      const Byte* end, int levels);
  const Byte* old_scopes(const FieldRule& rule, const Byte* at, const Byte* end, int levels);
  void settle_old_scopes(const Byte* at, const Byte* end);
  const Byte* packed_varint(const Byte* at, const Byte* end);
  const Byte* unknown(std::uint64_t tag, const Byte* start, const Byte* at, const Byte* end,
                      int levels);
  const Byte* group(std::uint64_t start_tag, const Byte* start, const Byte* at, const Byte* end,
                    int levels);
  Varint tag(const Byte* message_start, const Byte* at, const Byte* end);
  Varint varint(const Byte* at, const Byte* end);
  const Byte* skip_varint(const Byte* at, const Byte* end);
  Varint length(const Byte* at, const Byte* end);
  Varint long_form_length(const Byte* at, const Byte* end);
  const Byte* skip(const Byte* at, const Byte* end, std::ptrdiff_t count);

  void text(const Byte* at, std::size_t length) {
    const std::string_view view(reinterpret_cast<const char*>(at), length);
    if (!is_ascii(view) && !is_utf8(view)) ++result_.invalid_utf8;
  }

  std::nullptr_t fail(WalkError error, const Byte* at) {
    result_.error = error;
    result_.offset = static_cast<std::size_t>(at - begin_);
    return nullptr;
  }

  const Byte* const begin_;
  const Byte* const end_;
  WalkResult result_;
  std::uint32_t old_items_ = 0;  // in field 1000 of the Resource* message under way
};

Varint Walker::varint(const Byte* at, const Byte* end) {
  const Byte* const start = at;
  std::uint64_t value = 0;
  for (unsigned shift = 0; at - start < kVarintBytesMax; shift += 7) {
    if (at == end) return {0, fail(WalkError::truncated, at)};
    const Byte byte = *at++;
    value |= std::uint64_t{byte & 0x7FU} << shift;
    if (byte < 0x80) return {value, at};
  }
  return {0, fail(WalkError::bad_varint, start)};
}

const Byte* Walker::skip_varint(const Byte* at, const Byte* end) {
  // Eight bytes at a time: the lowest clear continuation bit ends it.
  if (end_ - at >= 8) {
    std::uint64_t word;
    std::memcpy(&word, at, sizeof word);
    if constexpr (std::endian::native == std::endian::little) {
      const std::uint64_t stops = ~word & 0x8080808080808080ULL;
      if (stops != 0) {
        at += (std::countr_zero(stops) >> 3) + 1;
        return at <= end ? at : fail(WalkError::truncated, end);
      }
    }
  }
  return varint(at, end).after;
}

const Byte* Walker::skip(const Byte* at, const Byte* end, std::ptrdiff_t count) {
  return end - at >= count ? at + count : fail(WalkError::truncated, at);
}

/// A length that what is left of the message holds.
inline Varint Walker::length(const Byte* at, const Byte* end) {
  if (at < end && *at < 0x80) [[likely]] {
    const std::uint64_t value = *at++;
    if (static_cast<std::uint64_t>(end - at) >= value) [[likely]]
      return {value, at};
    return {0, fail(WalkError::truncated, at)};
  }
  return long_form_length(at, end);
}

Varint Walker::long_form_length(const Byte* at, const Byte* end) {
  const Varint value = varint(at, end);
  if (value.after == nullptr) return value;
  if (value.value > static_cast<std::uint64_t>(INT64_MAX)) {
    return {0, fail(WalkError::bad_length, at)};
  }
  if (static_cast<std::uint64_t>(end - value.after) < value.value) {
    return {0, fail(WalkError::truncated, value.after)};
  }
  if (value.after - at > kShortVarintBytesMax) return {0, fail(WalkError::long_length, at)};
  return value;
}

/// A tag in whatever form; its field number is not 0. `message_start` only for the error's text.
Varint Walker::tag(const Byte* message_start, const Byte* at, const Byte* end) {
  const Varint value = varint(at, end);
  if (value.after == nullptr) return value;
  if (static_cast<std::int32_t>(value.value >> 3) <= 0) {
    result_.tag = value.value;
    result_.position = static_cast<std::size_t>(value.after - message_start);
    return {0, fail(WalkError::bad_field_number, at)};
  }
  if (value.value > UINT32_MAX || value.after - at > kShortVarintBytesMax) {
    return {0, fail(WalkError::long_tag, at)};
  }
  return value;
}

bool Walker::message(Message type, const Byte* at, const Byte* end, int levels) {
  const Byte* const start = at;
  const wire::TagTable& table = wire::kTagTables[static_cast<std::size_t>(type)];
  while (at < end) {
    std::uint64_t tag_value = *at;
    if (tag_value < 0x80) [[likely]] {
      ++at;
    } else {
      const Varint value = tag(start, at, end);
      if (value.after == nullptr) return false;
      tag_value = value.value;
      at = value.after;
    }
    const Entry entry = tag_value < table.size() ? table[tag_value] : Entry{};
    at = entry.form == Form::unknown ? unusual(type, tag_value, start, at, end, levels)
                                     : field(type, tag_value, entry, at, end, levels);
    if (at == nullptr) return false;
  }
  if (old_items_ != 0 && holds_old_scopes(type)) [[unlikely]] {
    settle_old_scopes(start, end);
  }
  return true;
}

inline const Byte* Walker::field(Message type, std::uint64_t tag, Entry entry, const Byte* at,
                                 const Byte* end, int levels) {
  if (entry.form == Form::varint) {
    return at < end && *at < 0x80 ? at + 1 : skip_varint(at, end);
  }
  if (entry.form == Form::fixed64) return skip(at, end, 8);
  if (entry.form == Form::fixed32) return skip(at, end, 4);

  const Varint size = length(at, end);
  if (size.after == nullptr) return nullptr;
  const Byte* const value = size.after;
  const Byte* const after = value + size.value;
  switch (entry.form) {
    case Form::attribute:
      return attribute(value, after, levels);
    case Form::text:
      text(value, size.value);
      return after;
    case Form::trace_id:
      if (size.value != 0 && size.value != 16) return fail(WalkError::bad_trace_id, value);
      return after;
    case Form::span_id:
      if (size.value != 0 && size.value != 8) return fail(WalkError::bad_span_id, value);
      return after;
    case Form::profile_id:
      if (size.value != 0 && size.value != 16) return fail(WalkError::bad_profile_id, value);
      return after;
    case Form::item:
      ++result_.items;
      [[fallthrough]];
    case Form::message:
      if (levels == 0) return fail(WalkError::too_deep, value);
      return message(entry.child, value, after, levels - 1) ? after : nullptr;
    case Form::packed_fixed64:
      if (size.value % 8 == 0) return after;
      result_.field = rule_for(type, tag)->name;
      result_.left_over = size.value % 8;
      return fail(WalkError::bad_packed_length, value);
    case Form::packed_varint:
      return packed_varint(value, after);
    default:
      return after;  // Form::bytes
  }
}

/// A KeyValue. Nearly all are a short key and a short scalar, which needs no general walk.
inline const Byte* Walker::attribute(const Byte* at, const Byte* end, int levels) {
  if (levels >= 2 && plain_attribute(at, end)) [[likely]]
    return end;
  if (levels == 0) return fail(WalkError::too_deep, at);
  return message(Message::key_value, at, end, levels - 1) ? end : nullptr;
}

/// True: exactly `0A key 12 value`, value an AnyValue of one string, boolean, integer or double (or
/// empty), all lengths of one byte. False says nothing; the general walk decides.
inline bool Walker::plain_attribute(const Byte* at, const Byte* end) {
  if (end - at < 4 || at[0] != 0x0A || at[1] >= 0x80) return false;
  const Byte* const key = at + 2;
  const std::size_t key_length = at[1];
  if (static_cast<std::size_t>(end - key) < key_length + 2) return false;
  const Byte* const value = key + key_length + 2;
  if (value[-2] != 0x12 || value[-1] >= 0x80 || end - value != value[-1]) return false;
  const auto value_length = static_cast<std::size_t>(end - value);
  if (value_length == 0) {
    text(key, key_length);
    return true;
  }
  if (value_length == 1) return false;
  switch (value[0]) {
    case 0x0A:
      if (value[1] != value_length - 2) return false;
      text(value + 2, value_length - 2);
      break;
    case 0x10:
    case 0x18:
      if (value_length != 2 || value[1] >= 0x80) {
        // The last byte, and no other, ends the varint.
        if (value_length - 1 > kVarintBytesMax || end[-1] >= 0x80) return false;
        for (const Byte* byte = value + 1; byte < end - 1; ++byte) {
          if (*byte < 0x80) return false;
        }
      }
      break;
    case 0x21:
      if (value_length != 9) return false;
      break;
    default:
      return false;
  }
  text(key, key_length);
  return true;
}

/// A tag that the table does not know: field number 0, a wrong wire type, field 1000, an unknown
/// field. `start` is that of the message, `at` is behind the tag.
const Byte* Walker::unusual(Message type, std::uint64_t tag, const Byte* start, const Byte* at,
                            const Byte* end, int levels) {
  const auto wire_type = static_cast<std::uint32_t>(tag & 7);
  if (tag >> 3 == 0) {
    result_.tag = tag;
    result_.position = static_cast<std::size_t>(at - start);
    return fail(WalkError::bad_field_number, at - 1);
  }
  const FieldRule* const rule = rule_for(type, tag);
  if (rule == nullptr) return unknown(tag, start, at, end, levels);
  if (rule->form == Form::old_scopes && wire_type == wire::kLength) {
    return old_scopes(*rule, at, end, levels);
  }
  result_.field = rule->name;
  result_.wire_type = wire_type;
  return fail(WalkError::bad_wire_type, at);
}

/// Its items count only if the message has no scopes of the present form: the Collector takes the
/// old ones then, and drops them otherwise.
const Byte* Walker::old_scopes(const FieldRule& rule, const Byte* at, const Byte* end, int levels) {
  const Varint size = length(at, end);
  if (size.after == nullptr) return nullptr;
  if (levels == 0) return fail(WalkError::too_deep, size.after);
  const Byte* const after = size.after + size.value;
  const std::uint32_t items = result_.items;
  if (!message(rule.child, size.after, after, levels - 1)) return nullptr;
  old_items_ += result_.items - items;
  result_.items = items;
  return after;
}

/// At the end of a Resource* message, whose bytes have been found good.
void Walker::settle_old_scopes(const Byte* at, const Byte* end) {
  constexpr std::uint64_t kScopesTag = 2 << 3 | wire::kLength;
  bool has_scopes = false;
  while (at < end && !has_scopes) {
    const Varint next = varint(at, end);
    has_scopes = next.value == kScopesTag;
    at = unknown(next.value, at, next.after, end, kLevelsMax);
  }
  if (!has_scopes) result_.items += old_items_;
  old_items_ = 0;
}

const Byte* Walker::packed_varint(const Byte* at, const Byte* end) {
  while (at != nullptr && at < end) at = skip_varint(at, end);
  return at;
}

/// Skips a field by its wire type alone; `start` is that of the message, `at` is behind the tag.
const Byte* Walker::unknown(std::uint64_t tag, const Byte* start, const Byte* at, const Byte* end,
                            int levels) {
  // The Collector asks for a byte behind the tag before it looks at the wire type.
  if (at == end) return fail(WalkError::truncated, at);
  switch (tag & 7) {
    case wire::kVarint:
      return varint(at, end).after;
    case wire::kFixed64:
      return skip(at, end, 8);
    case wire::kLength: {
      const Varint size = length(at, end);
      return size.after == nullptr ? nullptr : size.after + size.value;
    }
    case wire::kStartGroup:
      return group(tag, start, at, end, levels);
    case wire::kEndGroup:
      return fail(WalkError::bad_group, at);
    case wire::kFixed32:
      return skip(at, end, 4);
    default:
      result_.wire_type = static_cast<std::uint32_t>(tag & 7);
      return fail(WalkError::illegal_wire_type, at);
  }
}

/// A group that holds nothing but groups, and does not end its message: see the header.
const Byte* Walker::group(std::uint64_t start_tag, const Byte* start, const Byte* at,
                          const Byte* end, int levels) {
  if (levels == 0) return fail(WalkError::too_deep, at);
  while (true) {
    const Varint inner = tag(start, at, end);
    if (inner.after == nullptr) return nullptr;
    at = inner.after;
    if (at == end) return fail(WalkError::truncated, at);
    if (inner.value == start_tag + 1) return at;
    if ((inner.value & 7) != wire::kStartGroup) return fail(WalkError::bad_group, at);
    at = group(inner.value, start, at, end, levels - 1);
    if (at == nullptr) return nullptr;
  }
}

constexpr std::array<Message, kSignalCount> kRequests{Message::export_traces,
                                                      Message::export_metrics, Message::export_logs,
                                                      Message::export_profiles};

}  // namespace

WalkResult walk_export_request(Signal signal, std::string_view bytes) {
  return Walker(bytes).walk(kRequests[index_of(signal)]);
}

}  // namespace holdfast
