// extensions: disk_buffer and file_storage, and where the buffer lies.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "agent/config.h"
#include "tests/support/config_text.h"

namespace holdfast {
namespace {

class ConfigBufferTest : public testing::Test {
 protected:
  ConfigBufferTest() { clear(); }
  ~ConfigBufferTest() override { clear(); }

  static void clear() {
    ::unsetenv("STATE_DIRECTORY");
    ::unsetenv("XDG_STATE_HOME");
    ::setenv("HOME", "/home/someone", 1);
  }
};

const LogOptions& traces_of(const Config& config) { return config.buffer.logs[0]; }

TEST_F(ConfigBufferTest, DefaultsSuitASidecar) {
  const Config config = load_good(buffer_config("    directory: /data/buffer\n"));
  EXPECT_EQ(config.buffer.directory, "/data/buffer");
  EXPECT_EQ(config.buffer.directory_source, "disk_buffer.directory");
  EXPECT_EQ(config.buffer.directory_permissions, 0750U);
  for (const Signal signal : kSignals) {
    const LogOptions& log = config.buffer.logs[index_of(signal)];
    EXPECT_EQ(log.directory, "/data/buffer/" + std::string(name_of(signal)));
    EXPECT_EQ(log.stream_tag, static_cast<std::uint8_t>(signal));
    EXPECT_EQ(log.durability, Durability::batch);
    EXPECT_EQ(log.overflow, Overflow::drop_oldest);
    EXPECT_EQ(log.drain, DrainMode::live);
    EXPECT_EQ(log.file_bytes_max, 8U << 20);
    EXPECT_EQ(log.folder_bytes_max, 512U << 20);
    EXPECT_EQ(log.quarantine_bytes_max, 16U << 20);
    EXPECT_EQ(log.write_age_max, milliseconds(30'000));
    EXPECT_EQ(log.read_age_min, milliseconds(33'000));
    EXPECT_EQ(log.read_age_max, milliseconds(64'800'000));
  }
}

TEST_F(ConfigBufferTest, JavaPresetIsTheLibrarysDefaults) {
  const Config config = load_good(buffer_config("    preset: java_disk_buffering\n"));
  for (const LogOptions& log : config.buffer.logs) {
    EXPECT_EQ(log.drain, DrainMode::windowed);
    EXPECT_EQ(log.file_bytes_max, 1'048'576U);
    EXPECT_EQ(log.folder_bytes_max, 10'485'760U);
    EXPECT_EQ(log.write_age_max, milliseconds(30'000));
    EXPECT_EQ(log.read_age_min, milliseconds(33'000));
    EXPECT_EQ(log.read_age_max, milliseconds(18 * 3'600'000));
    EXPECT_LT(log.quarantine_bytes_max, log.folder_bytes_max);
  }
}

TEST_F(ConfigBufferTest, WrittenKeysWinOverThePresetAndOneSignalOverAll) {
  // In the wrong order on purpose.
  const Config config =
      load_good(buffer_config("    logs: {max_file_size: 512KiB, overflow: reject}\n"
                              "    max_file_size: 2MB\n"
                              "    preset: java_disk_buffering\n"
                              "    metrics: {drain: live}\n"));
  EXPECT_EQ(config.buffer.logs[0].file_bytes_max, 2'000'000U);
  EXPECT_EQ(config.buffer.logs[1].file_bytes_max, 2'000'000U);
  EXPECT_EQ(config.buffer.logs[2].file_bytes_max, 512U << 10);
  EXPECT_EQ(config.buffer.logs[0].drain, DrainMode::windowed);
  EXPECT_EQ(config.buffer.logs[1].drain, DrainMode::live);
  EXPECT_EQ(config.buffer.logs[0].overflow, Overflow::drop_oldest);
  EXPECT_EQ(config.buffer.logs[2].overflow, Overflow::reject);
  EXPECT_EQ(config.buffer.logs[2].folder_bytes_max, 10U << 20);
}

TEST_F(ConfigBufferTest, EveryKeyIsTaken) {
  const Config config =
      load_good(buffer_config("    directory_permissions: \"0700\"\n"
                              "    durability: interval\n"
                              "    sync_interval: 250ms\n"
                              "    min_free: 1.5GiB\n"
                              "    max_quarantine_size: 1 MB\n"
                              "    max_file_age_for_write: 1m\n"
                              "    min_file_age_for_read: 0s\n"
                              "    max_file_age_for_read: 1h30m\n"));
  EXPECT_EQ(config.buffer.directory_permissions, 0700U);
  EXPECT_EQ(traces_of(config).durability, Durability::interval);
  EXPECT_EQ(traces_of(config).sync_interval, milliseconds(250));
  EXPECT_EQ(traces_of(config).free_bytes_min, 1'610'612'736U);
  EXPECT_EQ(traces_of(config).quarantine_bytes_max, 1'000'000U);
  EXPECT_EQ(traces_of(config).write_age_max, milliseconds(60'000));
  EXPECT_EQ(traces_of(config).read_age_min, milliseconds(0));
  EXPECT_EQ(traces_of(config).read_age_max, milliseconds(5'400'000));
}

TEST_F(ConfigBufferTest, FaultsAreNamedAtTheKeyThatWasWritten) {
  const std::string b = "extensions::disk_buffer::";
  EXPECT_EQ(errors_of(buffer_config("    drain: windowed\n"
                                    "    min_file_age_for_read: 30s\n")),
            Lines{"yaml:7:28: " + b +
                  "min_file_age_for_read: min_file_age_for_read (30s) must exceed "
                  "max_file_age_for_write (30s) when drain is windowed"});
  EXPECT_EQ(errors_of(buffer_config("    traces: {drain: windowed, max_file_age_for_write: 1m}\n")),
            Lines{"yaml:6:55: " + b +
                  "traces::max_file_age_for_write: min_file_age_for_read (33s) must exceed "
                  "max_file_age_for_write (1m) when drain is windowed"});
  EXPECT_EQ(errors_of(buffer_config("    preset: java_disk_buffering\n"
                                    "    max_file_age_for_read: 20s\n")),
            Lines{"yaml:7:28: " + b +
                  "max_file_age_for_read: max_file_age_for_read (20s) must exceed "
                  "min_file_age_for_read (33s)"});
  EXPECT_EQ(errors_of(buffer_config("    metrics:\n      max_folder_size: 10MiB\n")),
            Lines{"yaml:7:24: " + b +
                  "metrics::max_folder_size: max_folder_size (10MiB) must be at least twice "
                  "max_file_size (8MiB)"});
  EXPECT_EQ(
      errors_of(buffer_config("    max_folder_size: 20MiB\n    max_quarantine_size: 20MiB\n")),
      Lines{"yaml:7:26: " + b +
            "max_quarantine_size: must be at most a quarter of max_folder_size (20MiB), where it "
            "is set aside"});
  EXPECT_EQ(errors_of(buffer_config("    max_file_size: 0\n")),
            Lines{"yaml:6:20: " + b + "max_file_size: must be at least 4KiB"});
  EXPECT_EQ(errors_of(buffer_config("    max_file_size: lots\n")),
            Lines{"yaml:6:20: " + b +
                  "max_file_size: must be a size, but is \"lots\" (bytes, or as in \"8MiB\", "
                  "\"10MB\")"});
  EXPECT_EQ(errors_of(buffer_config("    directory_permissions: rwx\n")),
            Lines{"yaml:6:28: " + b +
                  "directory_permissions: must be permissions in octal, but is \"rwx\" (as in "
                  "\"0750\")"});
  EXPECT_EQ(errors_of(buffer_config("    preset: java\n")),
            Lines{"yaml:6:13: " + b + "preset: \"java\" is not one of java_disk_buffering"});
  EXPECT_EQ(errors_of(buffer_config("    durability: fsync\n")),
            Lines{"yaml:6:17: " + b + "durability: \"fsync\" is not one of batch, interval, none"});
  EXPECT_EQ(errors_of(buffer_config("    traces: {durability: none}\n")),
            Lines{"yaml:6:14: " + b +
                  "traces::durability: unknown key (there is: drain, max_file_age_for_read, "
                  "max_file_age_for_write, max_file_size, max_folder_size, min_file_age_for_read, "
                  "overflow)"});
}

TEST_F(ConfigBufferTest, LiveDrainHasNoWindowToCheck) {
  EXPECT_EQ(errors_of(buffer_config("    max_file_age_for_write: 2m\n"
                                    "    max_file_age_for_read: 1s\n")),
            Lines{});
}

TEST_F(ConfigBufferTest, UnlistedDiskBufferIsTold) {
  const Config config =
      load_good(minimal_config() + "extensions: {disk_buffer: {directory: /data}}\n");
  EXPECT_NE(config.buffer.directory, "/data");
  EXPECT_EQ(config.warnings, Lines{"yaml:4:14: extensions::disk_buffer: has no effect: it is not "
                                   "in service::extensions"});
}

TEST_F(ConfigBufferTest, StateDirectoryComesFirst) {
  ::setenv("STATE_DIRECTORY", "/var/lib/one:/var/lib/two", 1);
  ::setenv("XDG_STATE_HOME", "/home/someone/state", 1);
  const Config config = load_good(minimal_config());
  EXPECT_EQ(config.buffer.directory, "/var/lib/one");
  EXPECT_EQ(config.buffer.directory_source, "STATE_DIRECTORY");
}

TEST_F(ConfigBufferTest, WithoutStateDirectoryTheUserDecides) {
  const auto check = [](const std::string& directory, const std::string& source) {
    const Config config = load_good(minimal_config());
    const bool root = ::geteuid() == 0;
    EXPECT_EQ(config.buffer.directory, root ? "/var/lib/holdfast" : directory);
    EXPECT_EQ(config.buffer.directory_source, root ? "root" : source);
  };
  check("/home/someone/.local/state/holdfast", "HOME");
  ::setenv("XDG_STATE_HOME", "/home/someone/state", 1);
  check("/home/someone/state/holdfast", "XDG_STATE_HOME");
}

std::string storage_config(const std::string& extensions, const std::string& listed) {
  return exporter_config(
             "    endpoint: http://localhost:4318\n"
             "    sending_queue: {storage: file_storage}\n") +
         "service::extensions: " + listed + "\nextensions:\n" + extensions;
}

TEST_F(ConfigBufferTest, FileStorageLendsItsDirectory) {
  const Config config = load_good(storage_config(
      "  file_storage: {directory: /data/otc, directory_permissions: \"0700\", fsync: false, "
      "max_size: 16MiB}\n",
      "[file_storage]"));
  EXPECT_EQ(config.buffer.directory, "/data/otc");
  EXPECT_EQ(config.buffer.directory_source, "file_storage.directory");
  EXPECT_EQ(config.buffer.directory_permissions, 0700U);
  EXPECT_EQ(traces_of(config).durability, Durability::batch);
  EXPECT_EQ(traces_of(config).folder_bytes_max, 16U << 20);
  EXPECT_EQ(traces_of(config).file_bytes_max, 4U << 20);
  EXPECT_EQ(config.warnings,
            Lines{"yaml:9:78: extensions::file_storage::fsync: false has no effect: "
                  "extensions::disk_buffer::durability decides"});
}

TEST_F(ConfigBufferTest, FileStorageHasTheCollectorsDirectory) {
  EXPECT_EQ(load_good(storage_config("  file_storage:\n", "[file_storage]")).buffer.directory,
            "/var/lib/otelcol/file_storage");
}

TEST_F(ConfigBufferTest, DiskBufferWinsOverFileStorage) {
  const Config config = load_good(storage_config(
      "  file_storage:\n  disk_buffer: {directory: /data/own}\n", "[file_storage, disk_buffer]"));
  EXPECT_EQ(config.buffer.directory, "/data/own");
  EXPECT_EQ(config.warnings,
            Lines{"yaml:6:30: exporters::otlp_http::sending_queue::storage: has no effect: "
                  "disk_buffer says where and how to buffer"});
}

TEST_F(ConfigBufferTest, StorageMustBeListedAndAFileStorage) {
  const std::string key = "yaml:6:30: exporters::otlp_http::sending_queue::storage: ";
  EXPECT_EQ(
      errors_of(storage_config("  file_storage:\n", "[]")),
      Lines{key + "references extension \"file_storage\" which is not in service::extensions (add "
                  "file_storage to service::extensions)"});
  EXPECT_EQ(errors_of(storage_config("  file_storge:\n", "[]")),
            (Lines{key + "references extension \"file_storage\" which is not configured (did you "
                         "mean \"file_storge\"?)",
                   "yaml:9:3: extensions::file_storge: extension \"file_storge\" is not supported "
                   "in this version (did you mean \"file_storage\"?)"}));
}

}  // namespace
}  // namespace holdfast
