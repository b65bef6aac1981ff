// Several sources, --set, ${…}, and what print-config shows of them.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "agent/config.h"
#include "tests/support/config_text.h"
#include "tests/support/temp_directory.h"

namespace holdfast {
namespace {

void write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  ASSERT_TRUE(file.good());
}

/// Sets a variable for the time of a test.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    ::setenv(name, value.c_str(), 1);
  }
  ~Variable() { ::unsetenv(name_); }

 private:
  const char* name_;
};

std::string printed(const ConfigSources& sources) {
  auto result = print_config(sources);
  if (auto* text = std::get_if<std::string>(&result)) return std::move(*text);
  for (const Diagnostic& diagnostic : std::get<1>(result)) ADD_FAILURE() << diagnostic.text();
  return {};
}

/// What `value` in YAML becomes.
std::string filled(const std::string& value) {
  const std::string text = printed({{"yaml:k: " + value}, {}});
  EXPECT_EQ(text.substr(0, 3), "k: ") << text;
  return text.substr(3, text.size() - 4);
}

TEST(ConfigMergeTest, MapsMergeListsReplaceTheLastWins) {
  EXPECT_EQ(printed({{"yaml:{a: {x: 1, y: [1, 2]}, b: 1}", "yaml:{a: {y: [3], z: 4}, b: {c: 2}}"},
                     {{"a.x", "9"}, {"n::e.w", "[true]"}}}),
            "a:\n  x: 9\n  y:\n    - 3\n  z: 4\nb:\n  c: 2\nn:\n  e.w:\n    - true\n");
}

TEST(ConfigMergeTest, NullOverAMapEmptiesIt) {
  EXPECT_EQ(printed({{"yaml:{a: {x: 1}}", "yaml:{a: }"}, {}}), "a: ~\n");
}

TEST(ConfigMergeTest, TopLevelKeysMayBePaths) {
  EXPECT_EQ(printed({{"yaml:a::b::c: 1", "yaml:a: {b: {d: 2}}"}, {}}),
            "a:\n  b:\n    c: 1\n    d: 2\n");
}

TEST(ConfigMergeTest, ErrorsNameTheFileThatTheKeyCameFrom) {
  TempDirectory directory;
  const std::string base = directory.path() + "/base.yaml";
  const std::string edge = directory.path() + "/edge.yaml";
  write_file(base, minimal_config() + "processors:\n  batch:\n    timeot: 1s\n");
  write_file(edge, "# none\nprocessors:\n  batch:\n\n    send_batch_size: x\n");
  ConfigSources sources{{base, "file:" + edge}, {{"processors.batch.timeout", "2"}}};
  EXPECT_EQ(errors_of(sources),
            (Lines{base + ":6:5: processors::batch::timeot: unknown key (did you mean "
                          "\"timeout\"?)",
                   edge + ":5:22: processors::batch::send_batch_size: must be an integer, but is "
                          "\"x\"",
                   "--set processors.batch.timeout: processors::batch::timeout: must be a "
                   "duration, but is \"2\" (the unit is missing, as in \"30s\")"}));
}

TEST(ConfigMergeTest, SourcesThatCannotBeReadAreAllNamed) {
  TempDirectory directory;
  EXPECT_EQ(
      errors_of(ConfigSources{{directory.path() + "/none.yaml", directory.path(),
                               "env:HOLDFAST_TEST_UNSET", "https://example.com/c.yaml"},
                              {{"a..b", "1"}, {"a.b", "["}}}),
      (Lines{directory.path() + "/none.yaml: cannot be opened: No such file or directory",
             directory.path() + ": cannot be read: Is a directory",
             "env:HOLDFAST_TEST_UNSET: the environment variable is not set",
             "https://example.com/c.yaml: https: is not supported in this version (supported: "
             "a path, file:, env:, yaml:)",
             "--set a..b: not a key (write --set processors.batch.timeout=2s)",
             "--set a.b: the value is not YAML"}));
}

TEST(ConfigMergeTest, NoSourceIsAnError) {
  EXPECT_EQ(errors_of(ConfigSources{}), Lines{"no configuration is given (write --config FILE)"});
}

TEST(ConfigMergeTest, WholeConfigurationMayStandInAVariable) {
  const Variable variable("HOLDFAST_TEST_CONFIG", minimal_config() + "processors: {batch: 1}\n");
  EXPECT_EQ(errors_of(ConfigSources{{"env:HOLDFAST_TEST_CONFIG"}, {}}),
            Lines{"env:HOLDFAST_TEST_CONFIG:4:21: processors::batch: must be a map, but is \"1\""});
}

TEST(ConfigExpandTest, VariablesAreTypedUnlessEmbedded) {
  const Variable number("HF_N", "42");
  const Variable list("HF_L", "[a, 1]");
  EXPECT_EQ(filled("${env:HF_N}"), "42");
  EXPECT_EQ(filled("${HF_N}"), "42");
  EXPECT_EQ(filled("\"${env:HF_N}\""), "42");
  EXPECT_EQ(filled("x${env:HF_N}y"), "\"x42y\"");
  EXPECT_EQ(filled("${env:HF_N}${env:HF_N}"), "\"4242\"");
  EXPECT_EQ(printed({{"yaml:k: ${env:HF_L}"}, {}}), "k:\n  - a\n  - 1\n");
}

TEST(ConfigExpandTest, DefaultsHoldForUnsetVariablesOnly) {
  const Variable empty("HF_EMPTY", "");
  const Variable other("HF_OTHER", "o");
  EXPECT_EQ(filled("${env:HF_UNSET:-7}"), "7");
  EXPECT_EQ(filled("${HF_UNSET:-7}"), "7");
  EXPECT_EQ(filled("${env:HF_UNSET:-}"), "~");
  EXPECT_EQ(filled("${env:HF_EMPTY:-7}"), "~");
  EXPECT_EQ(filled("a-${env:HF_UNSET:-${env:HF_OTHER}}"), "\"a-o\"");
  EXPECT_EQ(filled("${env:HF_UNSET:-http://x:1}"), "\"http://x:1\"");
}

TEST(ConfigExpandTest, DollarsAreEscapedByDoubling) {
  const Variable price("HF_PRICE", "5$$");
  EXPECT_EQ(filled("a$$b"), "a$$b");  // printed so that it reads back as a$b
  EXPECT_EQ(filled("$${env:HF_PRICE}"), "$${env:HF_PRICE}");
  EXPECT_EQ(filled("$x"), "$$x");
  EXPECT_EQ(filled("${env:HF_PRICE}"), "\"5$$\"");
}

TEST(ConfigExpandTest, FilesAndYamlAreFilledIn) {
  TempDirectory directory;
  write_file(directory.path() + "/secret", "abc\n");
  write_file(directory.path() + "/map.yaml", "x: 1\n");
  EXPECT_EQ(filled("${file:" + directory.path() + "/secret}"), "\"abc\"");
  EXPECT_EQ(printed({{"yaml:k: ${file:" + directory.path() + "/map.yaml}"}, {}}), "k:\n  x: 1\n");
  EXPECT_EQ(printed({{"yaml:k: '${yaml:{a: 1}}'"}, {}}), "k:\n  a: 1\n");
}

TEST(ConfigExpandTest, StringsThatLookLikeYamlStayWhole) {
  const Variable token("HF_TOKEN", "ab: c #d");
  const Config config = load_good(
      exporter_config("    endpoint: http://localhost:4318\n"
                      "    headers: {x-token: \"${env:HF_TOKEN}\", x-n: \"${env:HF_N:-007}\"}\n"));
  EXPECT_EQ(config.exporters[0].otlp_http.headers[0].second, "ab: c #d");
  EXPECT_EQ(config.exporters[0].otlp_http.headers[1].second, "007");
}

TEST(ConfigExpandTest, UnsetVariableIsEmptyWithAWarning) {
  const Config config =
      load_good(exporter_config("    endpoint: http://localhost:4318\n"
                                "    timeout: ${env:HF_UNSET}\n"));
  EXPECT_EQ(config.exporters[0].otlp_http.timeout, milliseconds(30'000));
  EXPECT_EQ(config.warnings,
            Lines{"yaml:6:14: exporters::otlp_http::timeout: environment variable \"HF_UNSET\" is "
                  "not set, it is taken as empty"});
}

TEST(ConfigExpandTest, WrongExpressionsAreErrorsWithTheirPlace) {
  const std::string text = exporter_config(
      "    endpoint: ${env:9X}\n"
      "    timeout: ${http://x}\n"
      "    compression: a${env:B\n"
      "    encoding: ${file:/nowhere}\n");
  const Lines errors = errors_of(text);
  const std::string e = "exporters::otlp_http::";
  EXPECT_EQ(
      errors,
      (Lines{
          "yaml:5:15: " + e +
              "endpoint: \"9X\" is not the name of an environment variable (write $$ for a "
              "dollar sign)",
          "yaml:6:14: " + e +
              "timeout: scheme \"http\" in ${…} is not supported in this version "
              "(supported: env, file, yaml)",
          "yaml:7:18: " + e + "compression: \"${\" without its \"}\" (write $$ for a dollar sign)",
          "yaml:7:18: " + e +
              "compression: \"a\" is not one of gzip, none, zstd, zlib, deflate, snappy, "
              "x-snappy-framed, lz4",
          "yaml:8:15: " + e +
              "encoding: file \"/nowhere\" cannot be opened: No such file or directory"}));
}

TEST(ConfigExpandTest, ExpressionsThatLeadToThemselvesEnd) {
  for (const char* value : {"${env:HF_LOOP}", "x${env:HF_LOOP}", "[${env:HF_LOOP}, ${env:HF_LOOP}]",
                            "${env:HF_LOOP}${env:HF_LOOP}"}) {
    const Variable loop("HF_LOOP", value);
    EXPECT_EQ(errors_of("service: ${env:HF_LOOP}\n"),
              Lines{"yaml:1:10: service: ${…} leads to itself, or to too much"})
        << value;
  }
}

TEST(ConfigExpandTest, MapThatHoldsItselfEnds) {
  const Variable loop("HF_LOOP", "{a: '${env:HF_LOOP}'}");
  const Lines errors = errors_of("service: ${env:HF_LOOP}\n");
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_NE(errors[0].find("leads to itself, or to too much"), std::string::npos) << errors[0];
}

TEST(ConfigPrintTest, SecretsAreHidden) {
  const Variable token("HF_SECRET", "hunter2");
  const std::string text = printed(
      {{"yaml:{headers: {authorization: \"${env:HF_SECRET}\", b: [hunter2]}, listed: {headers: "
        "[{name: x-key, value: hunter2}]}, my_password: hunter2, api_key: hunter2, key_pem: "
        "hunter2, url: \"http://user:hunter2@host/p@th\", plain: shown}"},
       {}});
  EXPECT_EQ(text.find("hunter2"), std::string::npos) << text;
  EXPECT_NE(text.find("url: \"http://user:[REDACTED]@host/p@th\"\n"), std::string::npos) << text;
  EXPECT_NE(text.find("name: x-key\n"), std::string::npos) << text;
  EXPECT_NE(text.find("authorization: \"[REDACTED]\"\n"), std::string::npos) << text;
  EXPECT_NE(text.find("plain: shown\n"), std::string::npos) << text;
}

TEST(ConfigPrintTest, WhatIsPrintedReadsBackTheSame) {
  const Variable variable("HF_V", "a$$${env:HF_UNSET:-b}: #c");
  const std::string once = printed(
      {{"yaml:{a: \"1\", b: 1, c: ['${env:HF_V}', \"$$x\"], d: {}, e: [], f: , g: \"true\"}"}, {}});
  EXPECT_EQ(printed(sources_of(once)), once);
}

}  // namespace
}  // namespace holdfast
