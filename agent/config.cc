#include "agent/config.h"

#include "agent/config_parts.h"
#include "agent/config_tree.h"

namespace holdfast {

namespace {

Config read_config(const Node& root, Findings& findings) {
  Declared declared;
  Service service;
  const Value whole{root, "", findings};
  read_section(
      whole, {
                 {"receivers", [&](const Value& value) { read_receivers(value, declared); }},
                 {"processors", [&](const Value& value) { read_processors(value, declared); }},
                 {"exporters", [&](const Value& value) { read_exporters(value, declared); }},
                 {"extensions", [&](const Value& value) { read_extensions(value, declared); }},
                 {"connectors", refused_unless_off("a Collector behind this agent can have them")},
                 {"service", [&](const Value& value) { service = read_service(value); }},
             });
  if (root.find("service") == nullptr) {
    findings.error(root.place, "service", "is missing: it says which pipelines there are");
  }
  return assemble(declared, std::move(service), findings);
}

}  // namespace

std::variant<Config, std::vector<Diagnostic>> load_config(const ConfigSources& sources) {
  Findings findings;
  std::optional<Node> root = read_sources(sources, findings);
  if (!root) return findings.errors();
  if (!expand_tree(*root, findings)) return findings.errors();
  Config config = read_config(*root, findings);
  if (!findings.ok()) return findings.errors();
  config.files = findings.files();
  config.warnings = findings.warnings();
  return config;
}

}  // namespace holdfast
