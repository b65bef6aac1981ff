#include "agent/otlp_json_writer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>

#include "agent/log_text.h"

namespace holdfast {
namespace {

using otlp::FieldKind;

// Of the Resource* messages, but for profiles: the scopes of before OTLP 0.9, wire-compatible with
// today's.
constexpr std::uint32_t kOldScopesNumber = 1000;
constexpr std::uint32_t kScopesNumber = 2;
constexpr std::size_t kPiecesKept = 64U << 10;

bool is_32_bits(FieldKind kind) {
  return kind == FieldKind::int32 || kind == FieldKind::uint32 || kind == FieldKind::sint32 ||
         kind == FieldKind::enumeration;
}

bool is_packable(FieldKind kind) { return kind != FieldKind::message && !otlp::is_text(kind); }

/// The bits that count: a varint may hold more of them than its field.
std::uint64_t bits_of(FieldKind kind, std::uint64_t bits) {
  if (kind == FieldKind::boolean) return bits != 0 ? 1 : 0;
  return is_32_bits(kind) ? static_cast<std::uint32_t>(bits) : bits;
}

bool read_bits(wire::Cursor& cursor, FieldKind kind, std::uint64_t& bits) {
  if (otlp::wire_type(kind) == wire::Type::fixed64) return cursor.read_fixed64(bits);
  if (otlp::wire_type(kind) == wire::Type::fixed32) {
    std::uint32_t half = 0;
    const bool read = cursor.read_fixed32(half);
    bits = half;
    return read;
  }
  const bool read = cursor.read_varint(bits);
  bits = bits_of(kind, bits);
  return read;
}

/// Passes over an unknown group whose start has been read. Groups in it need no recursion.
bool skip_group(wire::Cursor& cursor) {
  for (std::size_t open = 1; open > 0;) {
    std::uint32_t number = 0;
    wire::Type type{};
    if (!cursor.read_tag(number, type)) return false;
    if (type == wire::Type::start_group) {
      ++open;
    } else if (type == wire::Type::end_group) {
      --open;
    } else if (!cursor.skip(type)) {
      return false;
    }
  }
  return true;
}

template <typename Number>
void append_number(Number value, std::string& out) {
  std::array<char, 32> digits{};  // a double's shortest form has 24 at most
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  out.append(digits.data(), end.ptr);
}

void append_real(double value, std::string& out) {
  if (std::isnan(value)) {
    out += "\"NaN\"";
  } else if (std::isinf(value)) {
    out += value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
  } else {
    append_number(value, out);
    if (value == 0 && std::signbit(value)) out += ".0";  // "-0" is the integer to some readers
  }
}

void append_hex(std::string_view bytes, std::string& out) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (const char c : bytes) {
    const auto byte = static_cast<std::uint8_t>(c);
    out += kDigits[byte >> 4U];
    out += kDigits[byte & 15U];
  }
}

void append_base64(std::string_view bytes, std::string& out) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::size_t have = std::min<std::size_t>(3, bytes.size() - at);
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      group = group << 8U | (i < have ? static_cast<std::uint8_t>(bytes[at + i]) : 0U);
    }
    for (std::size_t i = 0; i < 4; ++i) {
      out += i <= have ? kDigits[group >> (18 - 6 * i) & 63U] : '=';
    }
  }
}

}  // namespace

Status OtlpJsonWriter::write(Signal signal, std::string_view request, std::string& out) {
  const otlp::Message& message = otlp::kMessages[otlp::kRequestMessages[index_of(signal)]];
  const std::size_t before = out.size();
  out_ = &out;
  problem_ = "no protobuf message";
  pieces_.clear();
  pieces_.push_back({.bytes = request});
  const bool written = write_message(message, {0, 1}, 0);
  if (pieces_.capacity() > kPiecesKept) pieces_ = {};
  if (written) return {};
  out.resize(before);
  return Error{0, std::string("not an ") + std::string(message.name) + ": " + problem_};
}

bool OtlpJsonWriter::write_message(const otlp::Message& message, Range content, unsigned depth) {
  if (depth > otlp::kMessageDepthMax) {
    problem_ = "nested too deeply";
    return false;
  }
  const std::size_t base = pieces_.size();
  for (std::size_t at = content.first; at < content.last; ++at) {
    if (!collect(message, std::string_view(pieces_[at].bytes))) return false;
  }
  settle(message, base);
  const std::size_t end = pieces_.size();
  bool first = true;
  *out_ += '{';
  for (Range values{base, base}; values.first < end; values.first = values.last) {
    const std::uint16_t field = pieces_[values.first].field;
    while (values.last < end && pieces_[values.last].field == field) ++values.last;
    if (!write_field(message.fields[field], values, first, depth)) return false;
  }
  *out_ += '}';
  pieces_.resize(base);
  return true;
}

bool OtlpJsonWriter::collect(const otlp::Message& message, std::string_view bytes) {
  wire::Cursor cursor(bytes);
  std::size_t expected = 0;  // fields come in the order of the table nearly always
  while (!cursor.at_end()) {
    Piece piece;
    if (!cursor.read_tag(piece.number, piece.type)) return false;
    const std::size_t count = message.fields.size();
    std::size_t tried = 0;
    while (tried < count && message.fields[(expected + tried) % count].number != piece.number) {
      ++tried;
    }
    if (tried < count) {
      expected = (expected + tried) % count;
      piece.field = static_cast<std::uint16_t>(expected);
      if (!take_value(message.fields[expected], piece, cursor)) return false;
    } else if (piece.number == kOldScopesNumber && piece.type == wire::Type::length_delimited) {
      piece.field = kOldScopes;
      if (!cursor.read_bytes(piece.bytes)) return false;
      pieces_.push_back(piece);
    } else if (piece.type == wire::Type::start_group ? !skip_group(cursor)
                                                     : !cursor.skip(piece.type)) {
      return false;
    }
  }
  return true;
}

/// What stands there in another wire form than the field's is an unknown field to protobuf.
bool OtlpJsonWriter::take_value(const otlp::Field& field, Piece piece, wire::Cursor& cursor) {
  const bool packed = field.repeated && piece.type == wire::Type::length_delimited;
  if (!packed && piece.type != otlp::wire_type(field.kind)) {
    return piece.type == wire::Type::start_group ? skip_group(cursor) : cursor.skip(piece.type);
  }
  const bool read = piece.type == wire::Type::length_delimited
                        ? cursor.read_bytes(piece.bytes)
                        : read_bits(cursor, field.kind, piece.bits);
  const bool empty_list = packed && is_packable(field.kind) && piece.bytes.empty();
  if (read && !empty_list) pieces_.push_back(piece);
  return read;
}

/// Drops what does not count and puts the fields into the order of their numbers, each in its own.
void OtlpJsonWriter::settle(const otlp::Message& message, std::size_t from) {
  settle_old_scopes(message, from);
  settle_oneofs(message, from);
  const auto begin = pieces_.begin() + static_cast<std::ptrdiff_t>(from);
  pieces_.erase(std::remove_if(begin, pieces_.end(),
                               [](const Piece& piece) { return piece.field == kDropped; }),
                pieces_.end());
  const auto in_order = [](const Piece& a, const Piece& b) { return a.number < b.number; };
  if (!std::is_sorted(begin, pieces_.end(), in_order)) {
    std::stable_sort(begin, pieces_.end(), in_order);
  }
}

void OtlpJsonWriter::settle_oneofs(const otlp::Message& message, std::size_t from) {
  struct Oneof {
    std::uint16_t last = kDropped;  // the member that was set last
    bool replaced = false;          // from here back another member was set
  };
  std::array<Oneof, 64> oneofs{};
  for (std::size_t at = pieces_.size(); at-- > from;) {
    Piece& piece = pieces_[at];
    if (piece.field == kDropped || message.fields[piece.field].oneof == 0) continue;
    Oneof& oneof = oneofs[message.fields[piece.field].oneof - 1];
    if (oneof.last == kDropped) oneof.last = piece.field;
    oneof.replaced = oneof.replaced || oneof.last != piece.field;
    if (oneof.replaced) piece.field = kDropped;
  }
}

/// As the Collector has it: they stand for today's where there are none of those.
void OtlpJsonWriter::settle_old_scopes(const otlp::Message& message, std::size_t from) {
  const auto begin = pieces_.begin() + static_cast<std::ptrdiff_t>(from);
  const auto is_old = [](const Piece& piece) { return piece.field == kOldScopes; };
  if (std::none_of(begin, pieces_.end(), is_old)) return;
  std::uint16_t scopes = kDropped;
  for (std::size_t i = 0; i < message.fields.size(); ++i) {
    const otlp::Field& field = message.fields[i];
    if (field.number == kScopesNumber && field.json_name.starts_with("scope") &&
        field.json_name != "scopeProfiles") {
      scopes = static_cast<std::uint16_t>(i);
    }
  }
  if (std::any_of(begin, pieces_.end(), [&](const Piece& p) { return p.field == scopes; })) {
    scopes = kDropped;
  }
  for (auto piece = begin; piece != pieces_.end(); ++piece) {
    if (!is_old(*piece)) continue;
    piece->field = scopes;
    piece->number = kScopesNumber;
  }
}

bool OtlpJsonWriter::write_field(const otlp::Field& field, Range values, bool& first,
                                 unsigned depth) {
  if (field.repeated) {
    write_key(field, first);
    return write_repeated(field, values, depth);
  }
  if (field.kind == FieldKind::message) {
    write_key(field, first);
    return write_message(otlp::kMessages[field.type], values, depth + 1);
  }
  const Piece& last = pieces_[values.last - 1];
  const bool is_default = otlp::is_text(field.kind) ? last.bytes.empty() : last.bits == 0;
  if (is_default && !field.explicit_presence()) return true;
  write_key(field, first);
  write_value(field, last);
  return true;
}

bool OtlpJsonWriter::write_repeated(const otlp::Field& field, Range values, unsigned depth) {
  const bool packable = is_packable(field.kind);
  bool first = true;
  *out_ += '[';
  for (std::size_t at = values.first; at < values.last; ++at) {
    if (packable && pieces_[at].type == wire::Type::length_delimited) {
      if (!write_packed(field, pieces_[at].bytes, first)) return false;
      continue;
    }
    if (!first) *out_ += ',';
    first = false;
    if (field.kind != FieldKind::message) {
      write_value(field, pieces_[at]);
    } else if (!write_message(otlp::kMessages[field.type], {at, at + 1}, depth + 1)) {
      return false;
    }
  }
  *out_ += ']';
  return true;
}

bool OtlpJsonWriter::write_packed(const otlp::Field& field, std::string_view bytes, bool& first) {
  wire::Cursor cursor(bytes);
  while (!cursor.at_end()) {
    std::uint64_t bits = 0;
    if (!read_bits(cursor, field.kind, bits)) return false;
    if (!first) *out_ += ',';
    first = false;
    write_number(field, bits);
  }
  return true;
}

void OtlpJsonWriter::write_key(const otlp::Field& field, bool& first) {
  if (!first) *out_ += ',';
  first = false;
  *out_ += '"';
  *out_ += field.json_name;
  *out_ += "\":";
}

void OtlpJsonWriter::write_value(const otlp::Field& field, const Piece& piece) {
  if (field.kind == FieldKind::string) return append_json_string(piece.bytes, *out_);
  if (!otlp::is_text(field.kind)) return write_number(field, piece.bits);
  *out_ += '"';
  if (field.kind == FieldKind::bytes) {
    append_base64(piece.bytes, *out_);
  } else {
    append_hex(piece.bytes, *out_);
  }
  *out_ += '"';
}

void OtlpJsonWriter::write_number(const otlp::Field& field, std::uint64_t bits) {
  const bool quoted = field.kind == FieldKind::int64 || field.kind == FieldKind::uint64 ||
                      field.kind == FieldKind::fixed64 || field.kind == FieldKind::sfixed64;
  if (quoted) *out_ += '"';
  switch (field.kind) {
    case FieldKind::boolean:
      *out_ += bits != 0 ? "true" : "false";
      break;
    case FieldKind::int32:
    case FieldKind::enumeration:
      append_number(static_cast<std::int32_t>(bits), *out_);
      break;
    case FieldKind::sint32:
      append_number(static_cast<std::int32_t>(static_cast<std::uint32_t>(bits) >> 1U) ^
                        -static_cast<std::int32_t>(bits & 1U),
                    *out_);
      break;
    case FieldKind::int64:
    case FieldKind::sfixed64:
      append_number(static_cast<std::int64_t>(bits), *out_);
      break;
    case FieldKind::real:
      append_real(std::bit_cast<double>(bits), *out_);
      break;
    default:
      append_number(bits, *out_);
  }
  if (quoted) *out_ += '"';
}

}  // namespace holdfast
