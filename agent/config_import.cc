// extensions: disk_buffer: import_directories, what Java's disk-buffering wrote.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "agent/config_parts.h"
#include "agent/config_values.h"

namespace holdfast {

namespace {

/// As the library names the folders below its root; it writes no profiles.
constexpr std::array<std::string_view, kSignalCount> kFolders{"spans", "metrics", "logs", ""};

/// Without a slash at its end, so that two ways to write one directory are equal.
std::string normal(const std::string& path) {
  std::string text = std::filesystem::path(path).lexically_normal().string();
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

bool is_inside(const std::string& path, const std::string& directory) {
  return path == directory || path.starts_with(directory == "/" ? directory : directory + "/");
}

/// The texts of a list, each with its place.
template <typename Take>
void each_directory(const Value& list, const Take& take) {
  if (list.is_null()) return;
  if (list.node.kind != Node::Kind::sequence) {
    return list.fail("must be a list of directories");
  }
  for (std::size_t i = 0; i < list.node.items.size(); ++i) {
    const Value item{list.node.items[i], fmt::format("{}[{}]", list.key, i), list.findings};
    const std::optional<std::string> path = item.is_null() ? std::string() : text_of(item);
    if (!path) continue;
    if (path->empty() || path->front() != '/') {
      item.fail(fmt::format("{} is not an absolute path", holdfast::quoted(*path)));
      continue;
    }
    take(item, normal(*path));
  }
}

void add(DiskBuffer& buffer, const Value& item, Signal signal, const std::string& directory) {
  for (const Signal other : kSignals) {
    const auto& taken = buffer.import.directories[index_of(other)];
    if (std::find(taken.begin(), taken.end(), directory) == taken.end()) continue;
    return item.fail(
        fmt::format("{} is imported as {} already", holdfast::quoted(directory), name_of(other)));
  }
  buffer.import.directories[index_of(signal)].push_back(directory);
  buffer.import_places.emplace_back(directory, item.node.place);
}

Reader directories(DiskBuffer& buffer) {
  return [&buffer](const Value& value) {
    if (value.node.kind != Node::Kind::map) {
      return each_directory(value, [&](const Value& item, const std::string& root) {
        for (const Signal signal : kSignals) {
          if (kFolders[index_of(signal)].empty()) continue;
          add(buffer, item, signal, normal(fmt::format("{}/{}", root, kFolders[index_of(signal)])));
        }
      });
    }
    Keys keys;
    for (const Signal signal : kSignals) {
      if (kFolders[index_of(signal)].empty()) continue;
      keys.push_back({std::string(name_of(signal)), [&buffer, signal](const Value& list) {
                        each_directory(list, [&](const Value& item, const std::string& path) {
                          add(buffer, item, signal, path);
                        });
                      }});
    }
    read_section(value, keys);
  };
}

}  // namespace

Keys import_keys(DiskBuffer& buffer) {
  return {
      {"import_directories", directories(buffer)},
      {"import_min_age", duration(buffer.import.age_min, milliseconds(0))},
  };
}

void check_imports(const DiskBuffer& disk_buffer, const BufferConfig& buffer, Findings& findings) {
  const std::string own = normal(buffer.directory);
  for (const auto& [path, place] : disk_buffer.import_places) {
    if (!is_inside(path, own)) continue;
    findings.error(place, "extensions::disk_buffer::import_directories",
                   fmt::format("lies in the buffer's own directory, {}", holdfast::quoted(own)));
  }
}

}  // namespace holdfast
