// Reads Prometheus text (format 0.0.4) line by line and is strict about it, as a scraper is.
#pragma once

#include <gtest/gtest.h>

#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "agent/utf8.h"

namespace holdfast {

class Exposition {
 public:
  using Labels = std::map<std::string, std::string>;

  explicit Exposition(std::string_view text) {
    EXPECT_TRUE(is_utf8(text));
    EXPECT_TRUE(text.empty() || text.back() == '\n');
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      read_line(text.substr(0, end));
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
  }

  /// None when there is no such sample.
  std::optional<double> value(const std::string& name, const Labels& labels = {}) const {
    const auto found = samples_.find({name, labels});
    return found == samples_.end() ? std::nullopt : std::optional(found->second);
  }
  double sum(const std::string& name, const Labels& some_labels) const {
    double total = 0;
    for (const auto& [key, value] : samples_) {
      if (key.first != name) continue;
      bool matches = true;
      for (const auto& label : some_labels) {
        const auto found = key.second.find(label.first);
        matches = matches && found != key.second.end() && found->second == label.second;
      }
      if (matches) total += value;
    }
    return total;
  }
  std::string type(const std::string& name) const {
    const auto found = types_.find(name);
    return found == types_.end() ? "" : found->second;
  }
  const std::map<std::string, std::string>& types() const { return types_; }
  const std::map<std::pair<std::string, Labels>, double>& samples() const { return samples_; }

 private:
  static bool is_name(std::string_view name) {
    if (name.empty() || (name[0] >= '0' && name[0] <= '9')) return false;
    return name.find_first_not_of(
               "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:") ==
           std::string_view::npos;
  }

  void read_line(std::string_view line) {
    SCOPED_TRACE(std::string(line));
    if (line.starts_with("# HELP ")) return read_help(line.substr(7));
    if (line.starts_with("# TYPE ")) return read_type(line.substr(7));
    ASSERT_FALSE(line.starts_with("#"));
    read_sample(line);
  }

  void read_help(std::string_view line) {
    const std::string name(line.substr(0, line.find(' ')));
    EXPECT_TRUE(is_name(name));
    EXPECT_GT(line.size(), name.size() + 1) << "an empty help";
    EXPECT_TRUE(helps_.insert(name).second) << "two helps";
    family_ = name;
  }

  void read_type(std::string_view line) {
    const std::size_t space = line.find(' ');
    ASSERT_NE(space, std::string_view::npos);
    const std::string name(line.substr(0, space));
    const std::string type(line.substr(space + 1));
    EXPECT_TRUE(type == "counter" || type == "gauge");
    EXPECT_TRUE(types_.emplace(name, type).second) << "two types";
    EXPECT_EQ(family_, name) << "a type without its help before it";
  }

  void read_sample(std::string_view line) {
    std::size_t at = line.find_first_of("{ ");
    ASSERT_NE(at, std::string_view::npos);
    const std::string name(line.substr(0, at));
    EXPECT_TRUE(is_name(name));
    EXPECT_EQ(family_, name) << "a sample outside its family";
    EXPECT_TRUE(types_.contains(name));
    Labels labels;
    const bool labels_are_well = line[at] != '{' || read_labels(line, ++at, labels);
    ASSERT_TRUE(labels_are_well);
    ASSERT_LT(at, line.size());
    ASSERT_EQ(line[at], ' ');
    double number = 0;
    const auto [end, error] =
        std::from_chars(line.data() + at + 1, line.data() + line.size(), number);
    EXPECT_EQ(error, std::errc{});
    EXPECT_EQ(end, line.data() + line.size()) << "something after the value";
    EXPECT_TRUE(samples_.emplace(std::pair(name, labels), number).second) << "two samples";
  }

  /// Leaves `at` behind the closing brace.
  static bool read_labels(std::string_view line, std::size_t& at, Labels& labels) {
    while (at < line.size() && line[at] != '}') {
      const std::size_t equals = line.find("=\"", at);
      if (equals == std::string_view::npos) return false;
      const std::string name(line.substr(at, equals - at));
      std::string value;
      at = equals + 2;
      while (at < line.size() && line[at] != '"') {
        if (line[at] == '\\') {
          const char escaped = ++at < line.size() ? line[at] : '\0';
          if (escaped != 'n' && escaped != '\\' && escaped != '"') return false;
          value += escaped == 'n' ? '\n' : escaped;
        } else {
          value += line[at];
        }
        ++at;
      }
      if (at >= line.size() || !is_name(name) || !labels.emplace(name, value).second) return false;
      ++at;
      if (at < line.size() && line[at] == ',') ++at;
    }
    return at++ < line.size();
  }

  std::string family_;
  std::set<std::string> helps_;
  std::map<std::string, std::string> types_;
  std::map<std::pair<std::string, Labels>, double> samples_;
};

}  // namespace holdfast
