// Components by type and name, and the list of those that there are.
#include <fmt/format.h>

#include <algorithm>

#include "agent/config_parts.h"
#include "agent/config_values.h"

namespace holdfast {

namespace {

bool is_type(std::string_view type) {
  constexpr std::size_t kTypeMax = 63;
  if (type.empty() || type.size() > kTypeMax) return false;
  for (const char& c : type) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool other = (c >= '0' && c <= '9') || c == '_';
    if (!letter && !(other && &c != type.data())) return false;
  }
  return true;
}

bool is_name(std::string_view name) {
  constexpr std::size_t kNameMax = 128;
  if (name.empty() || name.size() > kNameMax) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte > 0x20 && byte != 0x7f;
  });
}

/// Where a component of the Collector's that is not here can be had instead.
std::string elsewhere(std::string_view noun, std::string_view type) {
  if (type == "resourcedetection" || type == "k8sattributes") {
    return "the SDK can say it, or a Collector before this agent";
  }
  if (noun == "receiver") return "a Collector before this agent can have it, and send here";
  return "a Collector behind this agent can have it";
}

/// What is near the word; if nothing is, what is supported and where the rest can be had.
std::string advice(std::string_view noun, const ComponentId& id,
                   const std::vector<ComponentKind>& kinds) {
  std::vector<std::string> types;
  types.reserve(kinds.size());
  for (const ComponentKind& kind : kinds) types.push_back(kind.type);
  if (nearest(id.type, types)) return suggest(id.type, types, "supported");
  return suggest(id.type, types, "supported") + "; " + elsewhere(noun, id.type);
}

}  // namespace

std::optional<ComponentId> parse_component_id(std::string_view id, const Place& place,
                                              const std::string& key, Findings& findings) {
  const std::size_t slash = id.find('/');
  const std::string_view type = id.substr(0, slash);
  const std::string_view name = slash == std::string_view::npos ? "" : id.substr(slash + 1);
  if (!is_type(type) || (slash != std::string_view::npos && !is_name(name))) {
    findings.error(place, key, fmt::format("{} is not type or type/name", quoted(id)),
                   "a type is letters, digits and underscores; a name has no spaces");
    return std::nullopt;
  }
  return ComponentId{std::string(id), std::string(type), std::string(name), place};
}

std::vector<std::string> read_components(const Value& section, std::string_view noun,
                                         const std::vector<ComponentKind>& kinds) {
  std::vector<std::string> ids;
  if (section.is_null()) return ids;
  if (section.node.kind != Node::Kind::map) {
    read_section(section, {});  // says that it must be a map
    return ids;
  }
  for (const Member& member : section.node.members) {
    ids.push_back(member.key);
    const std::string key = join_key(section.key, member.key);
    const auto id = parse_component_id(member.key, member.place, key, section.findings);
    if (!id) continue;
    const auto kind = std::find_if(kinds.begin(), kinds.end(),
                                   [&](const ComponentKind& k) { return k.type == id->type; });
    if (kind == kinds.end()) {
      section.findings.error(
          member.place, key,
          fmt::format("{} {} is not supported in this version", noun, quoted(id->type)),
          advice(noun, *id, kinds));
      continue;
    }
    kind->read(*id, Value{member.value, key, section.findings});
  }
  return ids;
}

Reader no_effect_section(std::string reason, std::vector<std::string> names) {
  return [reason = std::move(reason), names = std::move(names)](const Value& value) {
    if (value.is_null()) return;
    Keys keys;
    for (const std::string& name : names) keys.push_back({name, accepted()});
    read_section(value, keys);
    value.warn("has no effect: " + reason);
  };
}

std::string components_yaml() {
  struct Component {
    std::string_view name;
    std::string_view stability;
    bool per_signal;
  };
  struct Kind {
    std::string_view name;
    std::vector<Component> components;
  };
  const std::vector<Kind> kinds{
      {"receivers", {{"otlp", "Beta", true}}},
      {"processors", {{"batch", "Beta", true}, {"memory_limiter", "Beta", true}}},
      {"exporters",
       {{"debug", "Beta", true},
        {"file", "Beta", true},
        {"nop", "Beta", true},
        {"otlp_grpc", "Beta", true},
        {"otlp_http", "Beta", true}}},
      {"connectors", {}},
      {"extensions",
       {{"basicauth", "Beta", false},
        {"bearertokenauth", "Beta", false},
        {"disk_buffer", "Beta", false},
        {"file_storage", "Beta", false},
        {"health_check", "Beta", false},
        {"healthcheckv2", "Beta", false},
        {"pprof", "Accepted without effect", false},
        {"zpages", "Accepted without effect", false}}}};
  std::string out =
      fmt::format("buildinfo:\n    command: holdfast\n    version: {}\n", HOLDFAST_VERSION);
  for (const Kind& kind : kinds) {
    out += fmt::format("{}:{}\n", kind.name, kind.components.empty() ? " []" : "");
    for (const Component& component : kind.components) {
      out += fmt::format("    - name: {}\n      stability:\n", component.name);
      if (component.per_signal) {
        for (const Signal signal : kSignals) {
          const bool profiles = signal == Signal::profiles;
          if (profiles && component.name == "batch") continue;  // has no effect there
          out += fmt::format("        {}: {}\n", name_of(signal),
                             profiles ? "Alpha" : component.stability);
        }
      } else {
        out += fmt::format("        extension: {}\n", component.stability);
      }
    }
  }
  return out;
}

}  // namespace holdfast
