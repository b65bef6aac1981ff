// YAML that nobody writes by hand: each ends in an error, none in a crash or in minutes of work.
#include <gtest/gtest.h>

#include <string>

#include "agent/config.h"
#include "tests/support/config_text.h"

namespace holdfast {
namespace {

std::string repeat(const std::string& text, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i) out += text;
  return out;
}

TEST(ConfigHostileTest, DeepNestingEnds) {
  for (const char* opening : {"[", "{a: ", "- ", "? ", "a:\n "}) {
    const Lines errors = errors_of(repeat(opening, 50'000));
    EXPECT_FALSE(errors.empty()) << opening;
  }
  EXPECT_EQ(errors_of(repeat("[", 50'000)), Lines{"yaml:1:33: not YAML: nested more than 64 deep"});
}

TEST(ConfigHostileTest, AliasBombEnds) {
  std::string text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n";
  for (char name = 'b'; name < 'm'; ++name) {
    const std::string below(1, static_cast<char>(name - 1));
    text += std::string(1, name) + ": &" + name + " [" + repeat("*" + below + ", ", 10) + "]\n";
  }
  EXPECT_EQ(errors_of(text), Lines{"yaml:5:20: not YAML: more than 50000 values, aliases counted"});
}

TEST(ConfigHostileTest, DeepAliasesEnd) {
  std::string text = "a0: &a0 [x]\n";
  for (int i = 1; i < 100; ++i) {
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [*a" + std::to_string(i - 1) +
            "]\n";
  }
  const Lines errors = errors_of(text);
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_NE(errors[0].find("not YAML: nested more than 64 deep"), std::string::npos) << errors[0];
}

TEST(ConfigHostileTest, AliasToItselfEnds) {
  EXPECT_EQ(errors_of("a: &a\n  b: *a\n"),
            Lines{"yaml:2:6: not YAML: an alias stands inside of what it stands for"});
}

TEST(ConfigHostileTest, HugeTextEnds) {
  EXPECT_EQ(errors_of(repeat("x", (1U << 20) + 1)),
            Lines{"yaml:1:1: larger than 1048576 bytes: not a configuration"});
}

TEST(ConfigHostileTest, ManyKeysEnd) {
  std::string text;
  for (int i = 0; i < 5'000; ++i) text += "k" + std::to_string(i) + ": 1\n";
  EXPECT_EQ(errors_of(text),
            Lines{"yaml:1:1: not YAML: more than 1000 keys in the map that ends in line 1001"});
}

TEST(ConfigHostileTest, ManyErrorsAreCut) {
  std::string text = "receivers:\n";
  for (int i = 0; i < 900; ++i) text += "  k" + std::to_string(i) + ": 1\n";
  const Lines errors = errors_of(text);
  ASSERT_EQ(errors.size(), 201U);
  EXPECT_EQ(errors.back(), "and 701 more errors");
}

TEST(ConfigHostileTest, BinaryEnds) {
  EXPECT_EQ(errors_of(std::string("a: 1\nb\0c", 8)),
            Lines{"yaml:2:2: not YAML: a byte that no UTF-8 text has"});
  EXPECT_EQ(errors_of("\x7f"
                      "ELF\x02"),
            Lines{"yaml:1:1: not YAML: a byte that no UTF-8 text has"});
  EXPECT_EQ(errors_of(std::string("\xff\xfe"
                                  "a\0",
                                  4)),
            Lines{"yaml:1:1: not YAML: a byte that no UTF-8 text has"});
}

TEST(ConfigHostileTest, StrangeKeysAreErrors) {
  EXPECT_EQ(errors_of("? [a]\n: b\n"),
            (Lines{"yaml:1:1: service: is missing: it says which pipelines there are",
                   "yaml:1:3: a key must be a word"}));
  EXPECT_EQ(errors_of(minimal_config() + "\"a\\nb\": 1\n"),
            Lines{"yaml:4:1: a\\x0ab: unknown key (there is: connectors, exporters, extensions, "
                  "processors, receivers, service)"});
  EXPECT_EQ(errors_of(minimal_config() + "<<: 1\n"),
            Lines{"yaml:4:1: <<: must name a map or a list of maps"});
}

TEST(ConfigHostileTest, WrongTypesEverywhereAreErrors) {
  for (const char* value : {"1", "[]", "[1]", "text", "true", "{a: {b: {c: 1}}}", "[[[]]]"}) {
    for (const char* key :
         {"receivers", "receivers::otlp", "receivers::otlp::protocols", "exporters::otlp_http",
          "exporters::otlp_http::headers", "exporters::otlp_http::sending_queue::batch",
          "processors::batch", "processors::memory_limiter", "extensions::disk_buffer",
          "extensions::disk_buffer::traces", "extensions::health_check", "service",
          "service::pipelines", "service::pipelines::traces", "service::telemetry",
          "service::telemetry::metrics::readers", "connectors"}) {
      ConfigSources sources;
      sources.sets = {{key, value}};
      EXPECT_FALSE(errors_of(sources).empty()) << key << "=" << value;
    }
  }
}

}  // namespace
}  // namespace holdfast
