// Attributes of what the agent tells of itself: names with a scalar value, as in OTLP's KeyValue.
// Values and pure functions; thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace holdfast {

using AttributeValue = std::variant<std::string, bool, std::int64_t, double>;

struct Attribute {
  std::string name;
  AttributeValue value;

  bool operator==(const Attribute&) const = default;
};
using Attributes = std::vector<Attribute>;

/// As Prometheus labels and log lines show it: "text", "true", "7", "0.5".
std::string text_of(const AttributeValue& value);

}  // namespace holdfast
