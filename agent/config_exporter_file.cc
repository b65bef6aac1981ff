// exporters: file.
#include <fmt/format.h>

#include "agent/config_exporter.h"
#include "agent/config_values.h"

namespace holdfast {
namespace {

constexpr std::uint64_t kMegabyte = 1U << 20;

Reader rotation(std::optional<FileRotation>& out) {
  return [&out](const Value& value) {
    FileRotation rotation;
    std::uint64_t megabytes = 0;
    constexpr std::int64_t kMegabytesMax = 1 << 30;
    constexpr std::int64_t kDaysMax = 100'000;
    read_section(value, {
                            {"max_megabytes", integer(megabytes, {0, kMegabytesMax})},
                            {"max_days", integer(rotation.days_max, {0, kDaysMax})},
                            {"max_backups", integer(rotation.backups_max, {})},
                            {"localtime", boolean(rotation.local_time)},
                        });
    if (megabytes != 0) rotation.bytes_max = megabytes * kMegabyte;
    out = rotation;
  };
}

Reader encoding() {
  return [](const Value& value) {
    std::string extension;
    text(extension)(value);
    if (extension.empty()) return;
    value.fail("encoding extensions are not supported in this version", "format: json or proto");
  };
}

Reader group_by() {
  return [](const Value& value) {
    bool enabled = false;
    std::string attribute;
    std::uint64_t files = 0;
    read_section(value, {
                            {"enabled", boolean(enabled)},
                            {"resource_attribute", text(attribute)},
                            {"max_open_files", integer(files, {})},
                        });
    if (enabled)
      value.fail_at("enabled", "true is not supported: a batch goes into one file whole");
  };
}

void check_file(const Value& value, const FileOptions& options, bool has_permissions) {
  if (options.path.empty()) {
    value.fail_at("path", "is missing: where to write to", "as in path: /var/lib/otel/data.json");
  }
  // As the Collector refuses them.
  if (options.append && options.zstd) {
    value.fail_at("append", "stands beside compression: one of them");
  }
  if (options.append && options.rotation) {
    value.fail_at("append", "stands beside rotation, which appends: one of them");
  }
  if (has_permissions && !options.create_directory) {
    value.fail_at("directory_permissions", "asks for create_directory: true");
  }
}

}  // namespace

void read_file(const ComponentId& id, const Value& value, Declared& declared) {
  DeclaredExporter exporter;
  exporter.key = value.key;
  exporter.config.name = id.id;
  exporter.config.kind = ExporterConfig::Kind::file;
  // Whoever mends a full disk shall see soon that it helped.
  exporter.config.retry.initial_interval = milliseconds(1'000);
  exporter.config.retry.max_interval = milliseconds(10'000);
  FileOptions& options = exporter.config.file;
  milliseconds flush{0};
  read_section(
      value,
      {
          {"path", text(options.path)},
          {"append", boolean(options.append)},
          {"rotation", rotation(options.rotation)},
          {"format", choice({"json", "proto"},
                            [&](std::size_t i) {
                              options.encoding =
                                  i == 0 ? BodyEncoding::json : BodyEncoding::protobuf;
                            })},
          {"encoding", encoding()},
          {"compression", choice({"", "zstd"}, [&](std::size_t i) { options.zstd = i == 1; })},
          // Each batch is on the disk before it counts as delivered.
          {"flush_interval", duration(flush, milliseconds(0))},
          {"compression_params", no_effect_section("zstd has one level here", {"level"})},
          {"group_by", group_by()},
          {"create_directory", boolean(options.create_directory)},
          {"directory_permissions", permissions(options.directory_permissions)},
      });
  check_file(value, options, value.node.find("directory_permissions") != nullptr);
  for (const DeclaredExporter& other : declared.exporters) {
    const bool shared = other.config.kind == ExporterConfig::Kind::file && !options.path.empty() &&
                        other.config.file.path == options.path;
    if (shared) {
      value.fail_at("path", fmt::format("is the file of {} as well", quoted(other.config.name)));
    }
  }
  declared.exporters.push_back(std::move(exporter));
}

}  // namespace holdfast
