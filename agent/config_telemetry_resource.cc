// service::telemetry::resource: attributes of all that the agent tells of itself.
#include <fmt/format.h>

#include <array>

#include "agent/config_telemetry.h"
#include "agent/config_values.h"

namespace holdfast {

namespace {

constexpr std::array<std::string_view, 4> kTypes{"string", "bool", "int", "double"};

/// As YAML reads a plain scalar.
AttributeValue typed(const Node& node) {
  if (!node.quoted && !node.whole) {
    if (const auto value = parse_boolean(node.text)) return *value;
    if (const auto value = parse_integer(node.text)) return *value;
    if (const auto value = parse_number(node.text)) return *value;
  }
  return node.whole.value_or(node.text);
}

void read_attribute(const Value& item, ResourceConfig& resource) {
  Attribute attribute;
  std::string type;
  const auto take = [&](std::size_t i) { type = kTypes[i]; };
  read_section(item, {
                         {"name", text(attribute.name)},
                         {"type", choice({kTypes.begin(), kTypes.end()}, take)},
                         {"value", accepted()},
                     });
  if (attribute.name.empty()) return item.fail_at("name", "must be set");
  const Member* content = item.node.find("value");
  if (content == nullptr) return item.fail("has no value");
  const auto value =
      attribute_value({content->value, join_key(item.key, "value"), item.findings}, type);
  if (!value) return;
  attribute.value = *value;
  resource.attributes.push_back(std::move(attribute));
}

Reader attributes(ResourceConfig& resource) {
  return [&resource](const Value& value) {
    if (value.is_null()) return;
    if (value.node.kind != Node::Kind::sequence) {
      return value.fail("must be a list", "as in [{name: service.name, value: edge}]");
    }
    for (std::size_t i = 0; i < value.node.items.size(); ++i) {
      read_attribute({value.node.items[i], fmt::format("{}[{}]", value.key, i), value.findings},
                     resource);
    }
  };
}

}  // namespace

std::optional<AttributeValue> attribute_value(const Value& value, std::string_view type) {
  if (value.is_null() || value.node.kind != Node::Kind::scalar) {
    value.fail("must be a string, a number, true or false");
    return std::nullopt;
  }
  const std::string& text = value.node.text;
  std::optional<AttributeValue> out;
  if (type.empty()) out = typed(value.node);
  if (type == "string") out = value.node.whole.value_or(text);
  if (type == "bool") {
    if (const auto parsed = parse_boolean(text)) out = *parsed;
  }
  if (type == "int") {
    if (const auto parsed = parse_integer(text)) out = *parsed;
  }
  if (type == "double") {
    if (const auto parsed = parse_number(text)) out = *parsed;
  }
  if (!out) value.fail(fmt::format("{} is no {}", quoted(text), type));
  return out;
}

void read_own_resource(const Value& value, ResourceConfig& resource) {
  if (value.is_null()) return;
  if (value.node.kind != Node::Kind::map) return value.fail("must be a map");
  Keys keys{
      {"attributes", attributes(resource)},
      {"schema_url", accepted()},
      {"attributes_list", refused_unless_off("use attributes")},
      {"detectors", refused_unless_off("the agent looks for none")},
      {"detection/development", refused_unless_off("the agent looks for none")},
  };
  bool map_form = false;
  for (const Member& member : value.node.members) {
    const auto known = [&](const Key& key) { return key.name == member.key; };
    if (std::any_of(keys.begin(), keys.end(), known)) continue;
    map_form = true;
    keys.push_back({member.key, [&resource, name = member.key](const Value& v) {
                      if (v.is_null()) return resource.removed.push_back(name);
                      const auto content = text_of(v);
                      if (content) resource.attributes.push_back({name, *content});
                    }});
  }
  read_section(value, keys);
  const Member* list = value.node.find("attributes");
  if (map_form && list != nullptr && !list->value.items.empty()) {
    value.fail_at("attributes", "stands beside attributes written as a map: one of them");
  }
}

}  // namespace holdfast
