// extensions: disk_buffer, and where the buffer lies if nothing says so.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "agent/config_parts.h"
#include "agent/config_values.h"

namespace holdfast {

namespace {

constexpr milliseconds kPositive{1};
constexpr milliseconds kNotNegative{0};
constexpr std::uint64_t kFileBytesMin = 4ULL << 10;
constexpr std::uint64_t kFileBytesMax = 1ULL << 30;
constexpr std::uint64_t kFolderBytesMax = 1ULL << 50;

using Logs = std::vector<LogOptions*>;

template <typename T>
std::function<void(std::uint64_t)> to_all(const Logs& logs, T LogLimits::*field) {
  return [logs, field](std::uint64_t value) {
    for (LogOptions* log : logs) log->*field = value;
  };
}

Reader age(const Logs& logs, milliseconds LogOptions::*field, milliseconds min) {
  return [logs, field, min](const Value& value) {
    milliseconds read = logs.front()->*field;
    duration(read, min)(value);
    if (value.is_null()) return;
    for (LogOptions* log : logs) log->*field = read;
  };
}

/// The keys that may stand for all signals or for one.
Keys folder_keys(const Logs& logs) {
  const auto drain = [logs](std::size_t i) {
    for (LogOptions* log : logs) log->drain = i == 0 ? DrainMode::live : DrainMode::windowed;
  };
  const auto overflow = [logs](std::size_t i) {
    for (LogOptions* log : logs) log->overflow = i == 0 ? Overflow::drop_oldest : Overflow::reject;
  };
  return {
      {"max_file_size",
       size(to_all(logs, &LogOptions::file_bytes_max), kFileBytesMin, kFileBytesMax)},
      {"max_folder_size",
       size(to_all(logs, &LogOptions::folder_bytes_max), 2 * kFileBytesMin, kFolderBytesMax)},
      {"max_file_age_for_write", age(logs, &LogOptions::write_age_max, kPositive)},
      {"min_file_age_for_read", age(logs, &LogOptions::read_age_min, kNotNegative)},
      {"max_file_age_for_read", age(logs, &LogOptions::read_age_max, kPositive)},
      {"drain", choice({"live", "windowed"}, drain)},
      {"overflow", choice({"drop_oldest", "reject"}, overflow)},
  };
}

Keys general_keys(const Logs& logs, DiskBuffer& buffer) {
  const auto durability = [logs](std::size_t i) {
    for (LogOptions* log : logs) log->durability = static_cast<Durability>(i);
  };
  const auto directory = [&buffer](const Value& value) {
    std::string path;
    text(path)(value);
    if (!path.empty()) buffer.directory = path;
  };
  const auto start = [&buffer](std::size_t i) { buffer.new_exporters_start_at_newest = i == 1; };
  Keys keys{
      {"directory", directory},
      {"directory_permissions", permissions(buffer.directory_permissions)},
      {"durability", choice({"batch", "interval", "none"}, durability)},
      {"sync_interval", age(logs, &LogOptions::sync_interval, kPositive)},
      {"min_free", size(to_all(logs, &LogOptions::free_bytes_min), 0, kFolderBytesMax)},
      {"max_quarantine_size",
       size(to_all(logs, &LogOptions::quarantine_bytes_max), 0, kFolderBytesMax)},
      {"new_exporters_start", choice({"oldest", "newest"}, start)},
  };
  for (Key& key : import_keys(buffer)) keys.push_back(std::move(key));
  for (Key& key : folder_keys(logs)) keys.push_back(std::move(key));
  return keys;
}

/// What the OpenTelemetry Java disk-buffering library does by default.
void apply_java_preset(const Logs& logs) {
  for (LogOptions* log : logs) {
    log->file_bytes_max = 1ULL << 20;
    log->folder_bytes_max = 10ULL << 20;
    log->write_age_max = milliseconds(30'000);
    log->read_age_min = milliseconds(33'000);
    log->read_age_max = milliseconds(18LL * 3600 * 1000);
    log->drain = DrainMode::windowed;
  }
}

/// Reports a fault between two keys at the one that was written for this signal, else at the one
/// that was written for all.
struct Blame {
  const Value& section;
  Signal signal;

  void operator()(std::initializer_list<std::string_view> keys, std::string message,
                  std::string hint = {}) const {
    const Member* own = section.node.find(name_of(signal));
    for (const std::string_view key : keys) {
      if (own == nullptr || own->value.find(key) == nullptr) continue;
      const Value part{own->value, join_key(section.key, name_of(signal)), section.findings};
      return part.fail_at(key, std::move(message), std::move(hint));
    }
    for (const std::string_view key : keys) {
      if (section.node.find(key) == nullptr) continue;
      return section.fail_at(key, std::move(message), std::move(hint));
    }
    section.fail_at(*keys.begin(), std::move(message), std::move(hint));
  }
};

void check_log(const Value& section, Signal signal, LogOptions& log) {
  const Blame blame{section, signal};
  if (log.folder_bytes_max < 2 * log.file_bytes_max) {
    blame({"max_folder_size", "max_file_size"},
          fmt::format("max_folder_size ({}) must be at least twice max_file_size ({})",
                      size_text(log.folder_bytes_max), size_text(log.file_bytes_max)));
  }
  if (log.drain == DrainMode::windowed) {
    if (log.read_age_min <= log.write_age_max) {
      blame({"min_file_age_for_read", "max_file_age_for_write"},
            fmt::format("min_file_age_for_read ({}) must exceed max_file_age_for_write ({}) "
                        "when drain is windowed",
                        duration_text(log.read_age_min), duration_text(log.write_age_max)));
    }
    if (log.read_age_max <= log.read_age_min) {
      blame({"max_file_age_for_read", "min_file_age_for_read"},
            fmt::format("max_file_age_for_read ({}) must exceed min_file_age_for_read ({})",
                        duration_text(log.read_age_max), duration_text(log.read_age_min)));
    }
  }
  if (section.node.find("max_quarantine_size") == nullptr) {
    log.quarantine_bytes_max = std::min(log.quarantine_bytes_max, log.folder_bytes_max / 8);
  } else if (log.quarantine_bytes_max > log.folder_bytes_max / 4) {
    blame({"max_quarantine_size"},
          fmt::format("must be at most a quarter of max_folder_size ({}), where it is set aside",
                      size_text(log.folder_bytes_max)));
  }
}

/// Where the state of a service lies by convention.
std::optional<std::pair<std::string, std::string>> default_directory() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value != nullptr ? value : "");
  };
  const std::string state = variable("STATE_DIRECTORY");
  if (const std::string first = state.substr(0, state.find(':')); !first.empty()) {
    return std::pair(first, std::string("STATE_DIRECTORY"));
  }
  if (::geteuid() == 0) return std::pair(std::string("/var/lib/holdfast"), std::string("root"));
  const std::string xdg = variable("XDG_STATE_HOME");
  if (!xdg.empty() && xdg.front() == '/') {
    return std::pair(xdg + "/holdfast", std::string("XDG_STATE_HOME"));
  }
  const std::string home = variable("HOME");
  if (home.empty()) return std::nullopt;
  return std::pair(home + "/.local/state/holdfast", std::string("HOME"));
}

void use_storage(const DeclaredExtension& extension, BufferConfig& buffer) {
  const FileStorage& storage = *extension.file_storage;
  buffer.directory = storage.directory;
  buffer.directory_source = extension.id.id + ".directory";
  buffer.directory_permissions = storage.directory_permissions;
  if (storage.bytes_max == 0) return;
  for (LogOptions& log : buffer.logs) {
    log.folder_bytes_max = storage.bytes_max;
    log.file_bytes_max = std::min(log.file_bytes_max, storage.bytes_max / 4);
    log.quarantine_bytes_max = std::min(log.quarantine_bytes_max, storage.bytes_max / 8);
  }
}

const DeclaredExtension* find_storage(const DeclaredExporter& exporter,
                                      const std::vector<const DeclaredExtension*>& listed,
                                      const Declared& declared, Findings& findings) {
  const std::string key = exporter.key + "::sending_queue::storage";
  const auto fail = [&](std::string message, std::string hint) {
    findings.error(exporter.storage_place, key, std::move(message), std::move(hint));
  };
  const std::string& id = exporter.storage;
  for (const DeclaredExtension* extension : listed) {
    if (extension->id.id != id) continue;
    if (extension->file_storage) return extension;
    fail(fmt::format("extension {} is not a file_storage", quoted(id)), "");
    return nullptr;
  }
  const auto& ids = declared.extension_ids;
  if (std::find(ids.begin(), ids.end(), id) == ids.end()) {
    fail(fmt::format("references extension {} which is not configured", quoted(id)),
         suggest(id, ids));
  } else {
    fail(fmt::format("references extension {} which is not in service::extensions", quoted(id)),
         fmt::format("add {} to service::extensions", printable(id)));
  }
  return nullptr;
}

}  // namespace

DiskBuffer read_disk_buffer(const Value& section_value) {
  DiskBuffer buffer;
  Logs all;
  for (LogOptions& log : buffer.logs) all.push_back(&log);
  // Three passes, whatever the order in the file: a preset, what holds for all, what holds for one.
  const auto preset = [&all](std::size_t) { apply_java_preset(all); };
  const Key preset_key{"preset", choice({"java_disk_buffering"}, preset)};
  if (const Member* member = section_value.node.find("preset")) {
    preset_key.read(
        Value{member->value, join_key(section_value.key, "preset"), section_value.findings});
  }
  Keys general = general_keys(all, buffer);
  Keys own;
  for (const Key& key : general) own.push_back({key.name, accepted()});
  for (const Signal signal : kSignals) {
    const std::string name(name_of(signal));
    general.push_back({name, accepted()});
    own.push_back({name, section(folder_keys({&buffer.logs[index_of(signal)]}))});
  }
  general.push_back({"preset", accepted()});
  read_section(section_value, general);
  if (section_value.node.kind == Node::Kind::map) {
    for (const Member& member : section_value.node.members) {
      const auto row = std::find_if(own.begin(), own.end(),
                                    [&](const Key& key) { return key.name == member.key; });
      if (row == own.end()) continue;
      row->read(
          Value{member.value, join_key(section_value.key, member.key), section_value.findings});
    }
  }
  for (const Signal signal : kSignals) {
    check_log(section_value, signal, buffer.logs[index_of(signal)]);
  }
  return buffer;
}

BufferConfig choose_buffer(const std::vector<const DeclaredExtension*>& listed,
                           const std::vector<const DeclaredExporter*>& exporters,
                           const Declared& declared, Findings& findings) {
  BufferConfig buffer;
  for (const DeclaredExtension* extension : listed) {
    if (!extension->disk_buffer) continue;
    buffer.logs = extension->disk_buffer->logs;
    buffer.directory_permissions = extension->disk_buffer->directory_permissions;
    buffer.import = extension->disk_buffer->import;
    buffer.new_exporters_start_at_newest = extension->disk_buffer->new_exporters_start_at_newest;
    buffer.directory = extension->disk_buffer->directory.value_or("");
    if (!buffer.directory.empty()) buffer.directory_source = extension->id.id + ".directory";
  }
  const bool own = std::any_of(listed.begin(), listed.end(), [](const DeclaredExtension* e) {
    return e->disk_buffer.has_value();
  });
  const DeclaredExtension* used = nullptr;
  for (const DeclaredExporter* exporter : exporters) {
    if (exporter->storage.empty()) continue;
    const DeclaredExtension* storage = find_storage(*exporter, listed, declared, findings);
    if (storage == nullptr) continue;
    const std::string key = exporter->key + "::sending_queue::storage";
    if (own) {
      findings.warning(exporter->storage_place, key,
                       "has no effect: disk_buffer says where and how to buffer");
    } else if (used == nullptr) {
      used = storage;
      use_storage(*storage, buffer);
    } else if (used->file_storage->directory != storage->file_storage->directory) {
      findings.error(exporter->storage_place, key,
                     fmt::format("a second directory is not supported in this version: {} uses {}",
                                 quoted(used->id.id), quoted(used->file_storage->directory)));
    }
  }
  if (buffer.directory.empty()) {
    if (auto directory = default_directory()) {
      std::tie(buffer.directory, buffer.directory_source) = std::move(*directory);
    } else {
      findings.error({}, "extensions::disk_buffer::directory",
                     "is not set, and neither is STATE_DIRECTORY, XDG_STATE_HOME or HOME");
    }
  }
  for (const Signal signal : kSignals) {
    LogOptions& log = buffer.logs[index_of(signal)];
    log.directory = buffer.directory + "/" + std::string(name_of(signal));
    log.stream_tag = static_cast<std::uint8_t>(signal);
  }
  for (const DeclaredExtension* extension : listed) {
    if (extension->disk_buffer) check_imports(*extension->disk_buffer, buffer, findings);
  }
  return buffer;
}

}  // namespace holdfast
