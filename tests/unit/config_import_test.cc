// extensions: disk_buffer: import_directories.
#include <gtest/gtest.h>

#include "tests/support/config_text.h"

namespace holdfast {
namespace {

TEST(ConfigImportTest, NothingIsImportedUnlessAsked) {
  const Config config = load_good(buffer_config("    directory: /data/buffer\n"));
  for (const auto& directories : config.buffer.import.directories) EXPECT_TRUE(directories.empty());
  EXPECT_EQ(config.buffer.import.age_min, milliseconds(33'000));
}

TEST(ConfigImportTest, RootHasTheLibrarysThreeFolders) {
  const Config config = load_good(
      buffer_config("    import_directories: [/var/app/otel/, /srv/x]\n    import_min_age: 5s\n"));
  const ImportConfig& import = config.buffer.import;
  EXPECT_EQ(import.directories[0], (Lines{"/var/app/otel/spans", "/srv/x/spans"}));
  EXPECT_EQ(import.directories[1], (Lines{"/var/app/otel/metrics", "/srv/x/metrics"}));
  EXPECT_EQ(import.directories[2], (Lines{"/var/app/otel/logs", "/srv/x/logs"}));
  EXPECT_EQ(import.age_min, milliseconds(5'000));
}

TEST(ConfigImportTest, MapNamesTheFoldersOfEachSignal) {
  const Config config =
      load_good(buffer_config("    import_directories: {traces: [/a, /b/../c], logs: [/l]}\n"));
  const ImportConfig& import = config.buffer.import;
  EXPECT_EQ(import.directories[0], (Lines{"/a", "/c"}));
  EXPECT_EQ(import.directories[1], Lines{});
  EXPECT_EQ(import.directories[2], Lines{"/l"});
}

TEST(ConfigImportTest, ErrorsNameLineKeyAndWhatIsWrong) {
  EXPECT_EQ(
      errors_of(buffer_config("    import_directories:\n"
                              "      - /a\n"
                              "      - relative/b\n"
                              "      - /a/\n"
                              "      - \"\"\n")),
      (Lines{
          "yaml:8:9: extensions::disk_buffer::import_directories[1]: \"relative/b\" is not an "
          "absolute path",
          "yaml:9:9: extensions::disk_buffer::import_directories[2]: \"/a/spans\" is imported "
          "as traces already",
          "yaml:9:9: extensions::disk_buffer::import_directories[2]: \"/a/metrics\" is "
          "imported as metrics already",
          "yaml:9:9: extensions::disk_buffer::import_directories[2]: \"/a/logs\" is imported "
          "as logs already",
          "yaml:10:9: extensions::disk_buffer::import_directories[3]: \"\" is not an absolute "
          "path",
      }));
  EXPECT_EQ(errors_of(buffer_config("    import_directories: {spans: [/a], logs: /b}\n"
                                    "    import_min_age: 33\n")),
            (Lines{
                "yaml:6:26: extensions::disk_buffer::import_directories::spans: unknown key (there "
                "is: logs, metrics, traces)",
                "yaml:6:45: extensions::disk_buffer::import_directories::logs: must be a list of "
                "directories",
                "yaml:7:21: extensions::disk_buffer::import_min_age: must be a duration, but is "
                "\"33\" (the unit is missing, as in \"30s\")",
            }));
}

TEST(ConfigImportTest, BufferIsNotDrainedIntoItself) {
  EXPECT_EQ(
      errors_of(buffer_config("    directory: /data/buffer/\n"
                              "    import_directories: [/data/buffer/java, /data/buffers]\n")),
      (Lines{"yaml:7:26: extensions::disk_buffer::import_directories: lies in the buffer's own "
             "directory, \"/data/buffer\""}));
}

TEST(ConfigImportTest, RootMayNotHoldTheBufferInOneOfItsFolders) {
  EXPECT_EQ(
      errors_of(buffer_config("    directory: /data\n    import_directories: {logs: [/data]}\n"))
          .size(),
      1U);
}

}  // namespace
}  // namespace holdfast
