#include "agent/config_section.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "agent/config_values.h"

namespace holdfast {

namespace {

std::string_view kind_name(const Node& node) {
  switch (node.kind) {
    case Node::Kind::null:
      return "nothing";
    case Node::Kind::scalar:
      return node.quoted ? "a string" : "a value";
    case Node::Kind::sequence:
      return "a list";
    case Node::Kind::map:
      return "a map";
  }
  return "";
}

/// "must be an integer, but is "ten"".
void fail_type(const Value& value, std::string_view wanted, std::string hint = {}) {
  const Node& node = value.node;
  if (node.kind == Node::Kind::scalar) {
    value.fail(fmt::format("must be {}, but is {}{}", wanted, node.quoted ? "the string " : "",
                           quoted(node.text)),
               std::move(hint));
  } else {
    value.fail(fmt::format("must be {}, but is {}", wanted, kind_name(node)), std::move(hint));
  }
}

bool is_scalar(const Value& value) { return value.node.kind == Node::Kind::scalar; }
bool is_plain(const Value& value) { return is_scalar(value) && !value.node.quoted; }

bool is_off(const Node& node) {
  if (node.kind == Node::Kind::scalar) {
    return node.text.empty() || node.text == "0" || node.text == "0s" ||
           parse_boolean(node.text) == false;
  }
  return node.items.empty() && node.members.empty();
}

bool is_token(std::string_view name) {
  if (name.empty()) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return letter || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

void read_header(const Value& value, std::string_view name,
                 std::vector<std::pair<std::string, std::string>>& out) {
  if (!is_token(name)) {
    value.fail(fmt::format("{} is not the name of a header", quoted(name)));
    return;
  }
  const std::optional<std::string> content =
      value.is_null() ? std::optional<std::string>("") : text_of(value);
  if (!content) return;
  if (content->find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) {
    value.fail("the value of a header must be a single line");
    return;
  }
  out.emplace_back(name, *content);
}

}  // namespace

void Value::fail(std::string message, std::string hint) const {
  findings.error(node.place, key, std::move(message), std::move(hint));
}

void Value::warn(std::string message) const {
  findings.warning(node.place, key, std::move(message));
}

Place Value::place_of(std::string_view name) const {
  const Member* member = node.find(name);
  return member != nullptr ? member->place : node.place;
}

void Value::fail_at(std::string_view name, std::string message, std::string hint) const {
  const Member* member = node.find(name);
  findings.error(member != nullptr ? member->value.place : node.place, join_key(key, name),
                 std::move(message), std::move(hint));
}

void read_section(const Value& section, const Keys& keys) {
  if (section.is_null()) return;
  if (section.node.kind != Node::Kind::map) {
    fail_type(section, "a map");
    return;
  }
  for (const Member& member : section.node.members) {
    const auto row = std::find_if(keys.begin(), keys.end(),
                                  [&](const Key& key) { return key.name == member.key; });
    const std::string path = join_key(section.key, member.key);
    if (row != keys.end()) {
      row->read(Value{member.value, path, section.findings, &section.node});
      continue;
    }
    if (section.findings.full()) {
      section.findings.error(member.place, path, "unknown key");
      continue;
    }
    std::vector<std::string> names;
    for (const Key& key : keys) names.push_back(key.name);
    section.findings.error(member.place, path, "unknown key", suggest(member.key, names));
  }
}

std::optional<std::string> text_of(const Value& value) {
  if (value.node.whole) return value.node.whole;
  if (is_scalar(value)) return value.node.text;
  fail_type(value, "a string");
  return std::nullopt;
}

Reader text(std::string& out) {
  return [&out](const Value& value) {
    if (value.is_null()) return;
    if (auto content = text_of(value)) out = std::move(*content);
  };
}

Reader boolean(bool& out) {
  return [&out](const Value& value) {
    if (value.is_null()) return;
    const auto parsed = is_plain(value) ? parse_boolean(value.node.text) : std::nullopt;
    if (!parsed) return fail_type(value, "true or false");
    out = *parsed;
  };
}

Reader integer(std::function<void(std::int64_t)> take, Limits limits) {
  return [take = std::move(take), limits](const Value& value) {
    if (value.is_null()) return;
    const auto parsed = is_plain(value) ? parse_integer(value.node.text) : std::nullopt;
    if (!parsed) return fail_type(value, "an integer");
    if (*parsed < limits.min) return value.fail(fmt::format("must be at least {}", limits.min));
    if (*parsed > limits.max) return value.fail(fmt::format("must be at most {}", limits.max));
    take(*parsed);
  };
}

Reader number(double& out, double min, double max) {
  return [&out, min, max](const Value& value) {
    if (value.is_null()) return;
    const auto parsed = is_plain(value) ? parse_number(value.node.text) : std::nullopt;
    if (!parsed) return fail_type(value, "a number");
    if (*parsed < min) return value.fail(fmt::format("must be at least {}", min));
    if (*parsed > max) return value.fail(fmt::format("must be at most {}", max));
    out = *parsed;
  };
}

Reader duration(std::chrono::milliseconds& out, std::chrono::milliseconds min) {
  return [&out, min](const Value& value) {
    if (value.is_null()) return;
    const auto parsed = is_scalar(value) ? parse_duration(value.node.text) : std::nullopt;
    if (!parsed) {
      const bool number = is_scalar(value) && parse_number(value.node.text).has_value();
      return fail_type(
          value, "a duration",
          number ? "the unit is missing, as in \"30s\"" : "as in \"1m30s\", \"200ms\"");
    }
    if (*parsed < min) {
      const bool positive = min.count() > 0;
      return value.fail(positive ? "must not be zero or negative" : "must not be negative");
    }
    out = *parsed;
  };
}

Reader size(std::function<void(std::uint64_t)> take, std::uint64_t min, std::uint64_t max) {
  return [take = std::move(take), min, max](const Value& value) {
    if (value.is_null()) return;
    const auto parsed = is_scalar(value) ? parse_size(value.node.text) : std::nullopt;
    if (!parsed) return fail_type(value, "a size", "bytes, or as in \"8MiB\", \"10MB\"");
    if (*parsed < min) return value.fail(fmt::format("must be at least {}", size_text(min)));
    if (*parsed > max) return value.fail(fmt::format("must be at most {}", size_text(max)));
    take(*parsed);
  };
}

Reader endpoint(std::string& out) {
  return [&out](const Value& value) {
    if (value.is_null()) return;
    const auto content = text_of(value);
    if (!content) return;
    if (!parse_endpoint(*content)) {
      EndpointFault fault = explain_endpoint(*content);
      return value.fail(std::move(fault.message), std::move(fault.hint));
    }
    out = *content;
  };
}

Reader strings(std::vector<std::string>& out) {
  return [&out](const Value& value) {
    if (value.is_null()) return;
    if (value.node.kind != Node::Kind::sequence) return fail_type(value, "a list");
    out.clear();
    for (const Node& item : value.node.items) {
      // `[pprof, ]`: nothing after the last comma is nothing.
      if (item.kind == Node::Kind::null) continue;
      if (auto content = text_of(Value{item, value.key, value.findings})) {
        out.push_back(std::move(*content));
      }
    }
  };
}

Reader headers(std::vector<std::pair<std::string, std::string>>& out) {
  return [&out](const Value& value) {
    if (value.is_null()) return;
    out.clear();
    if (value.node.kind == Node::Kind::map) {
      for (const Member& member : value.node.members) {
        const Value header{member.value, join_key(value.key, member.key), value.findings};
        read_header(header, member.key, out);
      }
      return;
    }
    if (value.node.kind != Node::Kind::sequence) return fail_type(value, "a map");
    for (const Node& item : value.node.items) {
      const Member* name = item.find("name");
      const Member* content = item.find("value");
      if (name == nullptr || content == nullptr || item.members.size() != 2) {
        value.findings.error(item.place, value.key, "must be a map of `name` and `value`");
        continue;
      }
      const Value header{content->value, join_key(value.key, name->value.text), value.findings};
      read_header(header, name->value.text, out);
    }
  };
}

Reader permissions(unsigned& out) {
  return [&out](const Value& value) {
    if (value.is_null()) return;
    const std::string& digits = value.node.text;
    const bool octal = is_scalar(value) && digits.size() >= 3 && digits.size() <= 4 &&
                       digits.find_first_not_of("01234567") == std::string::npos;
    if (!octal) return fail_type(value, "permissions in octal", "as in \"0750\"");
    const auto bits = static_cast<unsigned>(std::stoul(digits, nullptr, 8));
    if ((bits & 0700U) != 0700U) {
      return value.fail("must let the owner read, write and enter", "as in \"0750\"");
    }
    out = bits;
  };
}

Reader choice(std::vector<std::string> words, std::function<void(std::size_t)> take) {
  return [words = std::move(words), take = std::move(take)](const Value& value) {
    if (value.is_null()) return;
    const auto content = text_of(value);
    if (!content) return;
    const auto word = std::find(words.begin(), words.end(), *content);
    if (word == words.end()) {
      std::vector<std::string> named;
      for (const std::string& w : words) {
        if (!w.empty()) named.push_back(w);
      }
      const auto near = nearest(*content, named);
      return value.fail(
          fmt::format("{} is not one of {}", quoted(*content), fmt::join(named, ", ")),
          near ? fmt::format("did you mean {}?", quoted(*near)) : "");
    }
    take(static_cast<std::size_t>(word - words.begin()));
  };
}

Reader section(Keys keys) {
  return [keys = std::move(keys)](const Value& value) { read_section(value, keys); };
}

Reader optional(Reader read) {
  return [read = std::move(read)](const Value& value) {
    const Member* enabled = value.node.find("enabled");
    if (enabled == nullptr) return read(value);
    bool on = true;
    boolean(on)(Value{enabled->value, join_key(value.key, "enabled"), value.findings});
    if (!on) return;
    Node rest = value.node;
    std::erase_if(rest.members, [](const Member& member) { return member.key == "enabled"; });
    read(Value{rest, value.key, value.findings});
  };
}

Reader refused(std::string reason) {
  return [reason = std::move(reason)](const Value& value) {
    value.fail("is not supported in this version" + (reason.empty() ? "" : ": " + reason));
  };
}

Reader refused_unless_off(std::string reason) {
  return [reason = std::move(reason)](const Value& value) {
    if (!is_off(value.node)) {
      value.fail("is not supported in this version" + (reason.empty() ? "" : ": " + reason));
    }
  };
}

Reader no_effect(std::string reason) {
  return [reason = std::move(reason)](const Value& value) {
    if (!value.is_null()) value.warn("has no effect: " + reason);
  };
}

Reader accepted() {
  return [](const Value&) {};
}

}  // namespace holdfast
