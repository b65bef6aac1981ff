// Every key of the Collector's components is kept, mapped, without effect and told so, or refused
// with its line and a reason: as tests/golden/collector/keys.txt says, and as docs/collector.md.
#include "tests/support/collector_keys.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
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

const std::vector<CollectorTable>& tables() {
  static const std::vector<CollectorTable> kTables =
      read_collector_keys(content_of(kSource + "/tests/golden/collector/keys.txt"));
  return kTables;
}

/// A small configuration that has `placed` with `value`. The key is in line 1 of its own source.
ConfigSources configuration(const PlacedKey& placed, const std::string& path,
                            const std::string& value) {
  ConfigSources sources = sources_of(
      "{receivers: {otlp: {protocols: {http: }}}, exporters: {nop: }, service: {pipelines: "
      "{traces: {receivers: [otlp], exporters: [nop]}}}}");
  for (const std::string& needed : placed.in) sources.files.push_back("yaml:" + needed);
  if (!placed.beside.empty()) {
    sources.files.push_back("yaml:" + nested(placed.base, "{" + placed.beside + "}"));
  }
  sources.files.push_back("yaml:" + nested(path, value));
  return sources;
}

struct Outcome {
  std::vector<Diagnostic> errors;
  std::vector<std::string> warnings;
};

Outcome load(const PlacedKey& placed, const std::string& value) {
  auto result = load_config(configuration(placed, placed.path, value));
  if (auto* config = std::get_if<Config>(&result)) return {{}, config->warnings};
  return {std::get<1>(result), {}};
}

std::string errors_text(const Outcome& outcome) {
  std::string text;
  for (const Diagnostic& error : outcome.errors) text += error.text() + "\n";
  return text;
}

/// `key` is the placed one, a part of it, or a section around it below the component's own.
bool is_about(const std::string& key, const PlacedKey& placed) {
  if (key == placed.path || key.rfind(placed.path + "::", 0) == 0) return true;
  return key.size() > placed.base.size() && placed.path.rfind(key + "::", 0) == 0;
}

bool warns_about(const std::string& warning, const PlacedKey& placed) {
  const std::size_t key = warning.find(placed.base.substr(0, placed.base.find("::")) + "::");
  const std::size_t end = key == std::string::npos ? key : warning.find(": ", key);
  if (end != std::string::npos && is_about(warning.substr(key, end - key), placed)) return true;
  // What a whole extension does not do is told where service::extensions names it.
  const std::string name = placed.base.substr(placed.base.rfind("::") + 2);
  return warning.find("service::extensions: " + name + " has no effect: ") != std::string::npos;
}

bool has_reason(const Diagnostic& error) {
  return error.message.find("unknown key") == std::string::npos &&
         (error.message.find(": ") != std::string::npos || !error.hint.empty());
}

TEST(CollectorKeysTest, EveryKeyIsWhatTheListSays) {
  const std::vector<PlacedKey> keys = placed_keys(tables());
  EXPECT_GT(keys.size(), 400U);
  for (const PlacedKey& placed : keys) {
    SCOPED_TRACE(placed.path + ": " + placed.key->value);
    const std::string& verdict = placed.key->verdict;
    const Outcome outcome = load(placed, placed.key->value);
    const bool warned = std::any_of(outcome.warnings.begin(), outcome.warnings.end(),
                                    [&](const auto& w) { return warns_about(w, placed); });
    if (verdict == "refused") {
      ASSERT_FALSE(outcome.errors.empty());
      const Diagnostic& error = outcome.errors.front();
      EXPECT_TRUE(is_about(error.key, placed)) << error.text();
      EXPECT_EQ(error.line, 1) << error.text();
      EXPECT_TRUE(has_reason(error)) << error.text();
    } else if (verdict == "no effect") {
      EXPECT_EQ(errors_text(outcome), "");
      EXPECT_TRUE(warned);
    } else if (verdict == "kept" || verdict == "mapped") {
      EXPECT_EQ(errors_text(outcome), "");
      EXPECT_FALSE(warned);
    } else {
      EXPECT_EQ(verdict, "ours");
      EXPECT_EQ(errors_text(outcome).find("unknown key"), std::string::npos);
    }
  }
}

TEST(CollectorKeysTest, EveryDefaultOfTheCollectorCanBeWritten) {
  for (const PlacedKey& placed : placed_keys(tables())) {
    if (placed.key->fallback == "-") continue;
    SCOPED_TRACE(placed.path + ": " + placed.key->fallback);
    EXPECT_EQ(errors_text(load(placed, placed.key->fallback)), "");
  }
}

TEST(CollectorKeysTest, KeysThatAreKeptAreRead) {
  for (const PlacedKey& placed : placed_keys(tables())) {
    if (placed.key->verdict != "kept") continue;
    SCOPED_TRACE(placed.path);
    const Outcome outcome = load(placed, "{nonsense: [1]}");
    const bool told = std::any_of(outcome.errors.begin(), outcome.errors.end(),
                                  [&](const auto& e) { return is_about(e.key, placed); });
    EXPECT_TRUE(told) << errors_text(outcome);
  }
}

/// What stands as a key anywhere in the code or in the list.
std::set<std::string> known_names() {
  std::set<std::string> names;
  for (const PlacedKey& placed : placed_keys(tables())) {
    names.insert(placed.path.substr(placed.path.rfind("::") + 2));
  }
  const std::regex row("\\{\"([a-z][a-z0-9_/]*)\",");
  for (const auto& entry : std::filesystem::directory_iterator(kSource + "/agent")) {
    if (entry.path().filename().string().rfind("config_", 0) != 0) continue;
    const std::string text = content_of(entry.path().string());
    for (std::sregex_iterator i(text.begin(), text.end(), row), end; i != end; ++i) {
      names.insert((*i)[1]);
    }
  }
  return names;
}

/// Those of `names` that `section` has. Many at once: what it does not have is an unknown key.
std::set<std::string> keys_of(const PlacedKey& placed, const std::string& section,
                              const std::set<std::string>& names) {
  constexpr std::size_t kAtOnce = 100;  // fewer than the errors that are told at most
  std::set<std::string> there;
  for (auto name = names.begin(); name != names.end();) {
    std::string members;
    std::set<std::string> asked;
    for (; name != names.end() && asked.size() < kAtOnce; ++name) {
      members += (members.empty() ? "" : ", ") + *name + ": ";
      asked.insert(*name);
    }
    auto result = load_config(configuration(placed, section, "{" + members + "}"));
    if (auto* errors = std::get_if<1>(&result)) {
      for (const Diagnostic& error : *errors) {
        if (error.message == "unknown key" && error.key.rfind(section + "::", 0) == 0) {
          asked.erase(error.key.substr(section.size() + 2));
        }
      }
    }
    there.merge(asked);
  }
  return there;
}

TEST(CollectorKeysTest, EveryKeyThatIsReadIsInTheList) {
  const std::vector<PlacedKey> keys = placed_keys(tables());
  std::set<std::string> listed;
  for (const PlacedKey& placed : keys) listed.insert(placed.path);
  const std::set<std::string> names = known_names();
  std::set<std::string> asked;
  for (const PlacedKey& placed : keys) {
    if (placed.any) continue;
    const std::string section = placed.path.substr(0, placed.path.rfind("::"));
    if (!asked.insert(section).second) continue;
    for (const std::string& name : keys_of(placed, section, names)) {
      EXPECT_TRUE(listed.count(section + "::" + name)) << section << "::" << name;
    }
  }
  EXPECT_GT(asked.size(), 40U);
}

TEST(CollectorKeysTest, DocumentHasTheTablesOfTheList) {
  const std::string path = kSource + "/docs/collector.md";
  const std::string begin = "<!-- tables of tests/golden/collector/keys.txt -->\n\n";
  const std::string end = "<!-- end of the tables -->\n";
  std::string document = content_of(path);
  const std::size_t from = document.find(begin);
  const std::size_t to = document.find(end);
  ASSERT_TRUE(from != std::string::npos && to != std::string::npos);
  const std::size_t first = from + begin.size();
  const std::string expected = render_tables(tables());
  if (std::getenv("HOLDFAST_WRITE_DOCUMENTS") != nullptr) {
    std::ofstream(path, std::ios::binary) << document.replace(first, to - first, expected);
    return;
  }
  EXPECT_EQ(document.substr(first, to - first), expected)
      << "HOLDFAST_WRITE_DOCUMENTS=1 writes them anew";
}

}  // namespace
}  // namespace holdfast
