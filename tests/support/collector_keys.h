// tests/golden/collector/keys.txt as values: what the list says becomes of each key of the
// Collector, and the tables of docs/collector.md that are made of it. See the head of that file.
#pragma once

#include <string>
#include <vector>

namespace holdfast {

struct CollectorKey {
  std::string path;  // below a table's base: "keepalive::time"
  std::string type;
  std::string fallback;  // its default as YAML; "-": none
  std::string verdict;   // kept, mapped, no effect, refused, ours
  std::string how;
  std::string value;   // YAML
  std::string beside;  // members of a flow map that have to stand beside it
};

struct CollectorTable {
  struct Use {
    std::string group;
    std::string at;  // below the base; "": at the base itself
  };
  std::string title;
  bool is_group = false;
  std::vector<std::string> bases;  // "exporters::otlp_http", "exporters::otlphttp"
  std::vector<std::string> in;     // YAML that its keys need
  std::string beside;              // of a group: as that of a key
  std::string says;
  std::string any;  // not "": other keys are taken too
  std::vector<Use> uses;
  std::vector<CollectorKey> keys;
};

/// One key at one place, with all that it needs.
struct PlacedKey {
  const CollectorKey* key = nullptr;
  std::string base;  // of the section that it stands in
  std::string path;  // whole
  std::vector<std::string> in;
  std::string beside;
  bool any = false;  // the section takes other keys too
};

std::vector<CollectorTable> read_collector_keys(const std::string& text);

/// Every key at every place, groups at all that use them.
std::vector<PlacedKey> placed_keys(const std::vector<CollectorTable>& tables);

/// YAML of a map that holds `value` at `path`: "a::b[0]::c" is {a: {b: [{c: value}]}}.
std::string nested(const std::string& path, const std::string& value);

/// The tables as Markdown.
std::string render_tables(const std::vector<CollectorTable>& tables);

}  // namespace holdfast
