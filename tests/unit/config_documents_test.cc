// The example and the document say what the code does: each key stands in all three.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "agent/config.h"
#include "tests/support/config_text.h"

namespace holdfast {
namespace {

const std::string kSource = HOLDFAST_SOURCE_DIR;

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// The example with every key that is commented out put in: `#key:` has no blank, prose has one.
std::string whole_example() {
  const std::string text = content_of(kSource + "/config.example.yaml");
  std::stringstream lines(text);
  std::string out;
  const std::regex commented("^( *)#([a-z].*)$");
  for (std::string line; std::getline(lines, line);) {
    out += std::regex_replace(line, commented, "$1$2") + "\n";
  }
  return out;
}

std::set<std::string> keys_of_code() {
  std::set<std::string> keys;
  // A row of a table is {"key", reader(…)}; with(…) reads components.
  const std::regex row("\\{\"([a-z][a-z0-9_]*)\",\\s*(?!with\\()[a-z_]+\\(");
  for (const auto& entry : std::filesystem::directory_iterator(kSource + "/agent")) {
    const std::string name = entry.path().filename().string();
    if (name.rfind("config_", 0) != 0 || entry.path().extension() != ".cc") continue;
    if (name == "config_components.cc") continue;  // stabilities, not keys
    const std::string text = content_of(entry.path().string());
    for (std::sregex_iterator i(text.begin(), text.end(), row), end; i != end; ++i) {
      keys.insert((*i)[1]);
    }
  }
  return keys;
}

std::set<std::string> keys_of_document() {
  std::set<std::string> keys;
  std::stringstream lines(content_of(kSource + "/docs/configuration.md"));
  const std::regex name("`([a-z][a-z0-9_]*)`");
  for (std::string line; std::getline(lines, line);) {
    // The first column of a table names keys.
    if (line.rfind("| `", 0) != 0) continue;
    const std::string cell = line.substr(2, line.find(" |", 2) - 2);
    for (std::sregex_iterator i(cell.begin(), cell.end(), name), end; i != end; ++i) {
      keys.insert((*i)[1]);
    }
  }
  return keys;
}

TEST(ConfigDocumentsTest, ExampleStartsWithoutAWarning) {
  ConfigSources sources;
  sources.files = {kSource + "/config.example.yaml"};
  const Config config = load_good(sources);
  EXPECT_EQ(config.warnings, Lines{});
  EXPECT_EQ(config.pipelines.size(), 3U);
  EXPECT_EQ(config.exporters.at(0).otlp_http.urls[0], "http://localhost:4319/v1/traces");
  EXPECT_EQ(config.pipelines.at(0).batch.timeout, milliseconds(200));
}

TEST(ConfigDocumentsTest, ExampleHasOnlyDefaultsWhereItSaysSo) {
  ConfigSources sources;
  sources.files = {kSource + "/config.example.yaml"};
  const Config config = load_good(sources);
  const LogOptions defaults;
  for (const LogOptions& log : config.buffer.logs) {
    EXPECT_EQ(log.file_bytes_max, defaults.file_bytes_max);
    EXPECT_EQ(log.folder_bytes_max, defaults.folder_bytes_max);
    EXPECT_EQ(log.write_age_max, defaults.write_age_max);
    EXPECT_EQ(log.read_age_max, defaults.read_age_max);
    EXPECT_EQ(log.drain, defaults.drain);
    EXPECT_EQ(log.durability, defaults.durability);
    EXPECT_EQ(log.overflow, defaults.overflow);
  }
  const RetryConfig retry;
  EXPECT_EQ(config.exporters.at(0).retry.initial_interval, retry.initial_interval);
  EXPECT_EQ(config.exporters.at(0).retry.max_interval, retry.max_interval);
  EXPECT_EQ(config.receivers.at(0).grpc->endpoint, GrpcReceiverConfig().endpoint);
  EXPECT_EQ(config.receivers.at(0).http->endpoint, HttpReceiverConfig().endpoint);
  EXPECT_EQ(config.health->endpoint, HealthConfig().endpoint);
}

TEST(ConfigDocumentsTest, EveryKeyOfTheExampleIsKnown) {
  ConfigSources sources = sources_of(whole_example());
  sources.sets = {
      {"service.extensions",
       "[health_check, disk_buffer, file_storage, basicauth, basicauth/out, bearertokenauth]"},
      {"exporters.otlp_http.tls.ca_file", ""}};
  EXPECT_EQ(errors_of(sources), Lines{});
}

TEST(ConfigDocumentsTest, EveryKeyThatWorksIsInTheDocument) {
  const std::set<std::string> document = keys_of_document();
  const std::set<std::string> code = keys_of_code();
  EXPECT_GT(code.size(), 100U);
  for (const std::string& key : code) EXPECT_TRUE(document.count(key)) << key;
}

TEST(ConfigDocumentsTest, EveryKeyOfTheDocumentIsInTheExample) {
  const std::string example = whole_example();
  for (const std::string& key : keys_of_document()) {
    const bool found = std::regex_search(example, std::regex("(^|[\\s{-])" + key + ":"));
    const std::string document = content_of(kSource + "/docs/configuration.md");
    const bool refused = std::regex_search(document, std::regex("`" + key + "`[^\\n]*\\| refused"));
    EXPECT_TRUE(found || refused) << key;
  }
}

TEST(ConfigDocumentsTest, ErrorsInTheDocumentAreReal) {
  // The example of the document: a ```yaml block named agent.yaml, and the ```text block after it.
  const std::string document = content_of(kSource + "/docs/configuration.md");
  const std::size_t yaml = document.find("```yaml\n# agent.yaml\n");
  ASSERT_NE(yaml, std::string::npos);
  const std::size_t yaml_end = document.find("```", yaml + 3);
  const std::size_t text = document.find("```text\n", yaml_end);
  const std::size_t text_end = document.find("```", text + 3);
  ASSERT_NE(text_end, std::string::npos);
  std::string expected;
  for (const std::string& error : errors_of(document.substr(yaml + 8, yaml_end - yaml - 8))) {
    expected += "agent." + error + "\n";  // the source of the test is called "yaml"
  }
  EXPECT_EQ(document.substr(text + 8, text_end - text - 8), expected);
}

}  // namespace
}  // namespace holdfast
