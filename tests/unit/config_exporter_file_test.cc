// The keys of the exporter `file`: what is kept, and what is refused.
#include <gtest/gtest.h>

#include <string>

#include "tests/support/config_text.h"

namespace holdfast {
namespace {

std::string file_config(const std::string& keys) {
  return "receivers: {otlp: {protocols: {http: }}}\n"
         "service: {pipelines: {traces: {receivers: [otlp], exporters: [file]}}}\n"
         "exporters:\n"
         "  file:\n" +
         keys;
}

TEST(ConfigExporterFileTest, DefaultsAreTheCollectors) {
  const Config config = load_good(file_config("    path: /tmp/out.json\n"));
  ASSERT_EQ(config.exporters.size(), 1U);
  EXPECT_EQ(config.exporters[0].kind, ExporterConfig::Kind::file);
  const FileOptions& file = config.exporters[0].file;
  EXPECT_EQ(file.path, "/tmp/out.json");
  EXPECT_FALSE(file.append);
  EXPECT_EQ(file.encoding, BodyEncoding::json);
  EXPECT_FALSE(file.zstd);
  EXPECT_FALSE(file.rotation);
  EXPECT_FALSE(file.create_directory);
  EXPECT_EQ(config.warnings, Lines{});
}

TEST(ConfigExporterFileTest, AllKeysAreKept) {
  const Config config = load_good(file_config(
      "    path: out.pb\n"
      "    format: proto\n"
      "    compression: zstd\n"
      "    flush_interval: 5s\n"
      "    create_directory: true\n"
      "    directory_permissions: \"0700\"\n"
      "    group_by: {enabled: false, resource_attribute: x, max_open_files: 3}\n"
      "    rotation: {max_megabytes: 2, max_days: 3, max_backups: 4, localtime: true}\n"));
  const FileOptions& file = config.exporters[0].file;
  EXPECT_EQ(file.encoding, BodyEncoding::protobuf);
  EXPECT_TRUE(file.zstd);
  EXPECT_TRUE(file.create_directory);
  EXPECT_EQ(file.directory_permissions, 0700U);
  ASSERT_TRUE(file.rotation);
  EXPECT_EQ(file.rotation->bytes_max, 2U << 20);
  EXPECT_EQ(file.rotation->days_max, 3U);
  EXPECT_EQ(file.rotation->backups_max, 4U);
  EXPECT_TRUE(file.rotation->local_time);
}

TEST(ConfigExporterFileTest, AnEmptyRotationIsOneWithDefaults) {
  const Config config = load_good(file_config("    path: a\n    rotation:\n"));
  ASSERT_TRUE(config.exporters[0].file.rotation);
  EXPECT_EQ(config.exporters[0].file.rotation->bytes_max, 100U << 20);
  EXPECT_EQ(config.exporters[0].file.rotation->backups_max, 100U);
}

TEST(ConfigExporterFileTest, FaultsAreNamed) {
  const std::string e = "exporters::file::";
  const auto with = [](const std::string& keys) { return file_config("    path: a\n" + keys); };
  const std::vector<std::pair<std::string, std::string>> faults{
      {file_config("    format: json\n"), "yaml:5:5: " + e +
                                              "path: is missing: where to write to (as in path: "
                                              "/var/lib/otel/data.json)"},
      {with("    append: true\n    compression: zstd\n"),
       "yaml:6:13: " + e + "append: stands beside compression: one of them"},
      {with("    append: true\n    rotation:\n"),
       "yaml:6:13: " + e + "append: stands beside rotation, which appends: one of them"},
      {with("    directory_permissions: \"0755\"\n"),
       "yaml:6:28: " + e + "directory_permissions: asks for create_directory: true"},
      {with("    encoding: otlp_encoding\n"),
       "yaml:6:15: " + e +
           "encoding: encoding extensions are not supported in this version "
           "(format: json or proto)"},
      {with("    group_by: {enabled: true}\n"),
       "yaml:6:25: " + e +
           "group_by::enabled: true is not supported: a batch goes into one file "
           "whole"},
      {with("    compression: gzip\n"),
       "yaml:6:18: " + e + "compression: \"gzip\" is not one of zstd"},
      {with("  file/2: {path: a}\n"),
       "yaml:6:18: exporters::file/2::path: is the file of "
       "\"file\" as well"},
  };
  for (const auto& [text, error] : faults) EXPECT_EQ(errors_of(text), Lines{error}) << text;
}

}  // namespace
}  // namespace holdfast
