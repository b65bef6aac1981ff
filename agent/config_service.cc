// service: extensions and pipelines as they are written; what they refer to is checked in
// config_assemble.cc.
#include <fmt/format.h>

#include "agent/config_parts.h"
#include "agent/config_values.h"

namespace holdfast {

namespace {

Reader references(std::vector<Reference>& out) {
  return [&out](const Value& value) { read_references(value, out); };
}

/// A list that names nothing. One that is no list has been complained about.
void fail_empty(const Value& pipeline, const std::string& noun) {
  const Member* list = pipeline.node.find(noun + "s");
  const bool told = list != nullptr && list->value.kind != Node::Kind::null &&
                    list->value.kind != Node::Kind::sequence;
  if (told) return;
  pipeline.findings.error(pipeline.place_of(noun + "s"), pipeline.key,
                          "must have at least one " + noun);
}

void read_pipeline(const ComponentId& id, const Value& value, Service& service) {
  const std::optional<Signal> signal = signal_from_name(id.type);
  if (!signal) {
    value.findings.error(id.place, value.key,
                         fmt::format("signal {} is not supported in this version", quoted(id.type)),
                         suggest(id.type, {"traces", "metrics", "logs", "profiles"}, "supported"));
    return;
  }
  DeclaredPipeline pipeline;
  pipeline.key = value.key;
  pipeline.place = id.place;
  pipeline.config.name = id.id;
  pipeline.config.signal = *signal;
  read_section(value, {
                          {"receivers", references(pipeline.receivers)},
                          {"processors", references(pipeline.processors)},
                          {"exporters", references(pipeline.exporters)},
                      });
  if (pipeline.receivers.empty()) fail_empty(value, "receiver");
  if (pipeline.exporters.empty()) fail_empty(value, "exporter");
  service.pipelines.push_back(std::move(pipeline));
}

void read_pipelines(const Value& value, Service& service) {
  if (value.node.kind != Node::Kind::map) {
    read_section(value, {});
    return;
  }
  for (const Member& member : value.node.members) {
    const std::string key = join_key(value.key, member.key);
    const auto id = parse_component_id(member.key, member.place, key, value.findings);
    if (id) read_pipeline(*id, Value{member.value, key, value.findings}, service);
  }
}

}  // namespace

void read_references(const Value& list, std::vector<Reference>& out) {
  if (list.is_null()) return;
  if (list.node.kind != Node::Kind::sequence) {
    const std::string hint = list.node.kind == Node::Kind::scalar
                                 ? fmt::format("did you mean [{}]?", printable(list.node.text))
                                 : "";
    return list.fail("must be a list of names", hint);
  }
  for (const Node& item : list.node.items) {
    if (item.kind == Node::Kind::null) continue;  // `[pprof, ]`
    const auto id = text_of(Value{item, list.key, list.findings});
    if (id) out.push_back({*id, item.place});
  }
}

Service read_service(const Value& section_value) {
  Service service;
  const Reader pipelines = [&](const Value& value) { read_pipelines(value, service); };
  const Reader telemetry = [&](const Value& value) { read_telemetry(value, service); };
  const bool null_telemetry = section_value.node.find("telemetry") == nullptr;
  read_section(section_value, {
                                  {"extensions", references(service.extensions)},
                                  {"pipelines", pipelines},
                                  {"telemetry", telemetry},
                              });
  if (null_telemetry) {
    const Node none{.place = section_value.node.place};
    read_telemetry({none, join_key(section_value.key, "telemetry"), section_value.findings},
                   service);
  }
  const Member* member = section_value.node.find("pipelines");
  const bool map = section_value.is_null() || section_value.node.kind == Node::Kind::map;
  if (map && (member == nullptr || member->value.members.empty())) {
    section_value.findings.error(section_value.place_of("pipelines"),
                                 join_key(section_value.key, "pipelines"),
                                 "must have at least one pipeline",
                                 "as in pipelines: {traces: {receivers: [otlp], exporters: "
                                 "[otlp_http]}}");
  }
  return service;
}

}  // namespace holdfast
