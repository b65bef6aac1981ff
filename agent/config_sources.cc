// Where configuration text comes from: files, the environment, the command line.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include "agent/config_tree.h"

namespace holdfast {

namespace {

/// "a::b::c" around `value`: one map a level.
Node nest(const std::vector<std::string>& path, const Place& place, Node value) {
  for (auto key = path.rbegin(); key != path.rend(); ++key) {
    Node map;
    map.kind = Node::Kind::map;
    map.place = place;
    map.members.push_back({*key, place, std::move(value)});
    value = std::move(map);
  }
  return value;
}

std::vector<std::string> split(std::string_view text, std::string_view separator) {
  std::vector<std::string> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + separator.size());
  }
}

bool has_empty(const std::vector<std::string>& parts) {
  for (const std::string& part : parts) {
    if (part.empty()) return true;
  }
  return false;
}

/// Top-level keys such as `processors::batch::timeout` stand for nested maps.
Node unflatten(Node root) {
  Node out = root;
  out.members.clear();
  for (Member& member : root.members) {
    const std::vector<std::string> path = split(member.key, "::");
    if (path.size() > kTreeDepthMax / 2 || has_empty(path)) {
      out.members.push_back(std::move(member));  // reported as an unknown key later
      continue;
    }
    const Place place = member.place;
    merge_tree(out, nest(path, place, std::move(member.value)));
  }
  return out;
}

struct Uri {
  std::string scheme;
  std::string rest;
};

Uri uri_of(const std::string& source) {
  for (const char* scheme : {"file", "env", "yaml", "http", "https"}) {
    const std::size_t length = std::strlen(scheme);
    if (source.compare(0, length, scheme) == 0 && source.size() > length && source[length] == ':') {
      return {scheme, source.substr(length + 1)};
    }
  }
  return {"file", source};
}

/// Nothing: the source could not be read at all.
std::optional<Node> read_source(const std::string& source, Findings& findings) {
  const Uri uri = uri_of(source);
  if (uri.scheme == "yaml") {
    // The text itself is not named in messages: it may hold secrets.
    return parse_yaml(uri.rest, findings.add_source("yaml"), findings);
  }
  if (uri.scheme == "env") {
    const int index = findings.add_source(source);
    const char* value = std::getenv(uri.rest.c_str());
    if (value == nullptr) {
      findings.error({index, 0, 0}, "", "the environment variable is not set");
      return std::nullopt;
    }
    return parse_yaml(value, index, findings);
  }
  if (uri.scheme != "file") {
    findings.error({findings.add_source(source), 0, 0}, "",
                   fmt::format("{}: is not supported in this version", uri.scheme),
                   "supported: a path, file:, env:, yaml:");
    return std::nullopt;
  }
  findings.note_file(uri.rest);
  const int index = findings.add_source(uri.rest);
  const Result<std::string> text = read_config_file(uri.rest);
  if (!text) {
    findings.error({index, 0, 0}, "", text.error().message);
    return std::nullopt;
  }
  return parse_yaml(*text, index, findings);
}

Node read_set(const std::string& key, const std::string& value, Findings& findings) {
  const Place place{findings.add_source("--set " + printable(key)), 0, 0};
  const bool doubled = key.find("::") != std::string::npos;
  const std::vector<std::string> path = split(key, doubled ? "::" : ".");
  if (has_empty(path) || path.size() > kTreeDepthMax / 2) {
    findings.error(place, "", "not a key", "write --set processors.batch.timeout=2s");
    return {};
  }
  std::optional<Node> node = parse_yaml_value(value, place);
  if (!node) {
    findings.error(place, "", "the value is not YAML");
    return {};
  }
  return nest(path, place, std::move(*node));
}

}  // namespace

Result<std::string> read_config_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return Error{errno, fmt::format("cannot be opened: {}", std::strerror(errno))};
  std::string text;
  std::string chunk(64 << 10, '\0');
  for (;;) {
    const ssize_t got = ::read(fd, chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      const int code = errno;
      ::close(fd);
      return Error{code, fmt::format("cannot be read: {}", std::strerror(code))};
    }
    if (got == 0) break;
    text.append(chunk, 0, static_cast<std::size_t>(got));
    if (text.size() > kSourceBytesMax) break;  // the parser says that it is too large
  }
  ::close(fd);
  return text;
}

std::optional<Node> read_sources(const ConfigSources& sources, Findings& findings) {
  Node root;
  root.kind = Node::Kind::map;
  bool whole = true;
  if (sources.files.empty() && sources.sets.empty()) {
    findings.error({}, "", "no configuration is given", "write --config FILE");
    whole = false;
  }
  for (const std::string& source : sources.files) {
    std::optional<Node> tree = read_source(source, findings);
    if (!tree) {
      whole = false;
    } else if (tree->kind == Node::Kind::map) {
      if (root.place.source < 0) root.place = tree->place;
      merge_tree(root, unflatten(std::move(*tree)));
    } else if (tree->kind != Node::Kind::null) {
      findings.error(tree->place, "", "a configuration must be a map of sections");
      whole = false;
    }
  }
  for (const auto& [key, value] : sources.sets) {
    Node tree = read_set(key, value, findings);
    if (tree.kind == Node::Kind::map) merge_tree(root, std::move(tree));
  }
  if (!whole) return std::nullopt;
  return root;
}

}  // namespace holdfast
