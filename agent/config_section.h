// Sections of the configuration as tables: each row is a key and what reads its value.
//
// read_section() goes through a map, hands each value to its row, and reports keys that no row has.
// Readers report what is wrong and leave their target as it was. Single-threaded; targets must
// outlive the call only.
#pragma once

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/config_findings.h"
#include "agent/config_tree.h"

namespace holdfast {

/// A value with all that is needed to complain about it.
struct Value {
  const Node& node;
  std::string key;  // the whole path: "receivers::otlp::protocols"
  Findings& findings;
  const Node* section = nullptr;  // the map that it is a member of, if it is of one

  bool is_null() const { return node.kind == Node::Kind::null; }
  void fail(std::string message, std::string hint = {}) const;
  void warn(std::string message) const;
  /// Where the member `name` stands, or this value if it has no such member.
  Place place_of(std::string_view name) const;
  /// Reports that the member `name` (or what stands in its place) is wrong.
  void fail_at(std::string_view name, std::string message, std::string hint = {}) const;
};

using Reader = std::function<void(const Value&)>;

struct Key {
  std::string name;
  Reader read;
};
using Keys = std::vector<Key>;

/// Null is an empty section. A reader sees a null only where its key is there without a value.
void read_section(const Value& section, const Keys& keys);

struct Limits {
  std::int64_t min = 0;
  std::int64_t max = std::numeric_limits<std::int64_t>::max();
};

/// The readers. A null leaves the default, as in the Collector.
Reader text(std::string& out);
Reader boolean(bool& out);
Reader integer(std::function<void(std::int64_t)> take, Limits limits);
Reader number(double& out, double min, double max);
Reader duration(std::chrono::milliseconds& out, std::chrono::milliseconds min);
Reader size(std::function<void(std::uint64_t)> take, std::uint64_t min, std::uint64_t max);
Reader endpoint(std::string& out);
Reader strings(std::vector<std::string>& out);
Reader headers(std::vector<std::pair<std::string, std::string>>& out);
Reader permissions(unsigned& out);
Reader section(Keys keys);

/// A section that the Collector takes as not there if it has `enabled: false`.
Reader optional(Reader read);

/// One of some words; `take` gets its index.
Reader choice(std::vector<std::string> words, std::function<void(std::size_t)> take);

template <std::integral T>
Reader integer(T& out, Limits limits) {
  limits.max = static_cast<std::int64_t>(
      std::min<std::uint64_t>(static_cast<std::uint64_t>(limits.max),
                              static_cast<std::uint64_t>(std::numeric_limits<T>::max())));
  return integer(
      std::function<void(std::int64_t)>([&out](std::int64_t v) { out = static_cast<T>(v); }),
      limits);
}

template <std::integral T>
Reader size(T& out, std::uint64_t min, std::uint64_t max) {
  return size(
      std::function<void(std::uint64_t)>([&out](std::uint64_t v) { out = static_cast<T>(v); }), min,
      max);
}

/// A key of the Collector that this version does not have: an error.
Reader refused(std::string reason);

/// Likewise, but "off" (false, 0, empty) is what this version does anyway.
Reader refused_unless_off(std::string reason);

/// Accepted because configurations hold it, and without effect here: a warning that says why.
Reader no_effect(std::string reason);

/// Accepted without a word: what it asks for is what happens anyway.
Reader accepted();

/// The scalar's text for a string field; nothing (and an error) if it is no scalar.
std::optional<std::string> text_of(const Value& value);

}  // namespace holdfast
