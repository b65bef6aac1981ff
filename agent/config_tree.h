// YAML as a tree of our own, in which every key and value knows where it stood, also after several
// sources were merged.
//
// Pure functions over values; single-threaded. Hostile input ends in an error, never in a crash:
// size, depth and number of nodes are limited, aliases are counted as what they stand for.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/config_findings.h"
#include "buffer/result.h"

namespace holdfast {

inline constexpr std::size_t kSourceBytesMax = 1ULL << 20;
inline constexpr std::size_t kTreeNodesMax = 50'000;
inline constexpr std::size_t kTreeDepthMax = 64;
inline constexpr std::size_t kMapKeysMax = 1'000;

struct Member;

struct Node {
  enum class Kind : unsigned char { null, scalar, sequence, map };
  Kind kind = Kind::null;
  bool quoted = false;               // a scalar that is a string whatever it looks like
  std::string text;                  // of a scalar
  std::optional<std::string> whole;  // what stood for it, when all of it came from ${…}
  Place place;
  std::vector<Node> items;      // of a sequence
  std::vector<Member> members;  // of a map, in order, each key once

  const Member* find(std::string_view key) const;
};

struct Member {
  std::string key;
  Place place;  // of the key
  Node value;
};

/// Parses one document. Errors go to `findings`. Nothing if it is not YAML at all.
std::optional<Node> parse_yaml(std::string_view text, int source, Findings& findings);

/// Parses `text` for a value inside another document (${…}, --set). Nothing if it is not YAML.
std::optional<Node> parse_yaml_value(std::string_view text, const Place& place);

/// Puts `from` over `into`: maps merge deeply, everything else replaces.
void merge_tree(Node& into, Node from);

/// All of `sources`, read and merged in order, ${…} not yet filled in. Nothing if one of them could
/// not be read at all: what is missing in the rest would only be misleading.
std::optional<Node> read_sources(const ConfigSources& sources, Findings& findings);

/// Fills in ${env:X}, ${X}, ${env:X:-default}, ${file:…}, ${yaml:…} and $$ everywhere.
/// False: it leads to itself, and what is there makes no sense.
bool expand_tree(Node& root, Findings& findings);

/// The content of a file of at most kSourceBytesMax bytes, or why there is none.
Result<std::string> read_config_file(const std::string& path);

}  // namespace holdfast
