// ${…} in configuration values.
#include <fmt/format.h>

#include <cstdlib>
#include <string>

#include "agent/config_tree.h"
#include "agent/config_values.h"

namespace holdfast {

namespace {

constexpr int kNestingMax = 32;
constexpr std::size_t kExpansionsMax = 10'000;
constexpr std::size_t kExpandedBytesMax = 16ULL << 20;

bool is_variable_name(std::string_view name) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) return false;
  for (const char c : name) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!letter && !(c >= '0' && c <= '9') && c != '_') return false;
  }
  return true;
}

/// Length of the ${…} at the start of `text`, 0 if it has no end.
std::size_t end_of(std::string_view text) {
  int open = 0;
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '{') ++open;
    if (text[i] == '}' && --open == 0) return i + 1;
  }
  return 0;
}

bool is_one_expression(std::string_view text) {
  return text.substr(0, 2) == "${" && end_of(text) == text.size();
}

/// What one value's ${…} stand for. Expressions that lead to themselves, or to ever more of
/// themselves, run into the limits.
class Expander {
 public:
  explicit Expander(Findings& findings) : findings_(findings) {}

  bool stopped() const { return stopped_; }

  void expand(Node& node, const std::string& key, std::size_t depth) {
    if (++nodes_ > kTreeNodesMax || depth > kTreeDepthMax) {
      over_limit(node.place, key);
      node = Node{.place = node.place};
      return;
    }
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      expand(node.items[i], fmt::format("{}[{}]", key, i), depth + 1);
    }
    for (Member& member : node.members) {
      expand(member.value, join_key(key, member.key), depth + 1);
    }
    if (node.kind != Node::Kind::scalar || node.text.find('$') == std::string::npos) return;
    place_ = node.place;
    key_ = key;
    if (is_one_expression(node.text)) {
      expand_whole(node, key, depth);
    } else {
      const std::size_t before = expansions_;
      node.text = as_text(node.text, 0);
      // A part of a longer text makes that a string whatever it looks like.
      node.quoted = node.quoted || expansions_ > before;
    }
  }

 private:
  /// A value that is one ${…}: typed as YAML.
  void expand_whole(Node& node, const std::string& key, std::size_t depth) {
    std::string raw = node.text;
    for (int nesting = 0; is_one_expression(raw) && !stopped_; ++nesting) {
      raw = resolve(std::string_view(raw).substr(2, raw.size() - 3), nesting);
    }
    const Place place = node.place;
    std::optional<Node> parsed = parse_yaml_value(raw, place);
    node = parsed ? std::move(*parsed) : Node{.kind = Node::Kind::scalar, .place = place};
    if (node.kind == Node::Kind::null) return;
    if (node.kind == Node::Kind::scalar) {
      // A string is taken as it is, quotes and " #" included.
      const bool typed = parsed && !node.quoted && is_typed_scalar(node.text);
      if (!typed) node.text = as_text(raw, 1);
      node.quoted = raw.find("${") != std::string::npos;
      node.whole = typed ? raw : node.text;
      return;
    }
    expand(node, key, depth + 1);
    place_ = place;
    key_ = key;
    node.whole = as_text(raw, 1);
  }

  /// `text` with everything filled in, as a string.
  std::string as_text(std::string_view text, int nesting) {
    std::string out;
    while (!text.empty()) {
      const std::size_t dollar = text.find('$');
      out += text.substr(0, dollar);
      if (dollar == std::string_view::npos) break;
      text.remove_prefix(dollar);
      if (text.substr(0, 2) == "$$") {
        out += '$';
        text.remove_prefix(2);
      } else if (text.substr(0, 2) == "${") {
        const std::size_t end = end_of(text);
        if (end == 0) {
          fail("\"${\" without its \"}\"", "write $$ for a dollar sign");
          return out;
        }
        out += as_text(resolve(text.substr(2, end - 3), nesting), nesting + 1);
        text.remove_prefix(end);
      } else {
        out += '$';
        text.remove_prefix(1);
      }
    }
    return out;
  }

  /// What ${expression} stands for, not yet filled in itself.
  std::string resolve(std::string_view expression, int nesting) {
    if (stopped_) return {};
    if (nesting > kNestingMax || ++expansions_ > kExpansionsMax || bytes_ > kExpandedBytesMax) {
      over_limit(place_, key_);
      return {};
    }
    if (expression.substr(0, 5) == "yaml:") return std::string(expression.substr(5));
    const std::string inner = as_text(expression, nesting + 1);
    const std::string_view view = inner;
    if (view.substr(0, 5) == "file:") return counted(file(inner.substr(5)));
    if (view.substr(0, 4) == "env:") return counted(variable(view.substr(4)));
    const std::size_t colon = view.find(':');
    if (colon == std::string_view::npos || view.substr(colon, 2) == ":-") {
      return counted(variable(view));
    }
    fail(fmt::format("scheme {} in ${{…}} is not supported in this version",
                     quoted(view.substr(0, colon))),
         "supported: env, file, yaml");
    return {};
  }

  std::string variable(std::string_view expression) {
    const std::size_t dash = expression.find(":-");
    const std::string name(expression.substr(0, dash));
    if (!is_variable_name(name)) {
      fail(fmt::format("{} is not the name of an environment variable", quoted(name)),
           "write $$ for a dollar sign");
      return {};
    }
    if (const char* value = std::getenv(name.c_str())) return value;
    if (dash != std::string_view::npos) return std::string(expression.substr(dash + 2));
    findings_.warning(
        place_, key_,
        fmt::format("environment variable {} is not set, it is taken as empty", quoted(name)));
    return {};
  }

  std::string file(const std::string& path) {
    findings_.note_file(path);
    Result<std::string> text = read_config_file(path);
    if (!text) {
      fail(fmt::format("file {} {}", quoted(path), text.error().message));
      return {};
    }
    if (text->size() > kSourceBytesMax) {
      fail(fmt::format("file {} is larger than {} bytes", quoted(path), kSourceBytesMax));
      return {};
    }
    // Editors and secret stores end files with a newline that is not meant.
    if (!text->empty() && text->back() == '\n') text->pop_back();
    return std::move(text).value();
  }

  std::string counted(std::string value) {
    bytes_ += value.size();
    return value;
  }

  void fail(std::string message, std::string hint = {}) {
    findings_.error(place_, key_, std::move(message), std::move(hint));
  }

  void over_limit(const Place& place, const std::string& key) {
    if (!stopped_) findings_.error(place, key, "${…} leads to itself, or to too much");
    stopped_ = true;
  }

  Findings& findings_;
  Place place_;
  std::string key_;
  std::size_t nodes_ = 0;
  std::size_t expansions_ = 0;
  std::size_t bytes_ = 0;
  bool stopped_ = false;
};

}  // namespace

bool expand_tree(Node& root, Findings& findings) {
  Expander expander(findings);
  expander.expand(root, "", 0);
  return !expander.stopped();
}

}  // namespace holdfast
