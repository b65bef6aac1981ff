#include "tests/support/collector_keys.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <stdexcept>

namespace holdfast {
namespace {

std::string trimmed(const std::string& text) {
  const std::size_t begin = text.find_first_not_of(' ');
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

std::vector<std::string> split(const std::string& text, const std::string& by) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (std::size_t end; (end = text.find(by, begin)) != std::string::npos;
       begin = end + by.size()) {
    parts.push_back(trimmed(text.substr(begin, end - begin)));
  }
  parts.push_back(trimmed(text.substr(begin)));
  return parts;
}

std::string joined(const std::string& left, const std::string& right) {
  return left.empty() || right.empty() ? left + right : left + "::" + right;
}

/// "name: rest" → rest, where the line begins with that name.
bool take(const std::string& line, const std::string& name, std::string& rest) {
  if (line.rfind(name + ":", 0) != 0) return false;
  rest = trimmed(line.substr(name.size() + 1));
  return true;
}

CollectorTable::Use read_use(const std::string& text) {
  const std::size_t at = text.rfind(" at");
  if (at == std::string::npos) throw std::invalid_argument("no place: " + text);
  return {trimmed(text.substr(0, at)), trimmed(text.substr(at + 3))};
}

CollectorKey read_row(const std::string& line) {
  std::vector<std::string> cells = split(line, "|");
  if (cells.size() < 6 || cells.size() > 7) throw std::invalid_argument("not a row: " + line);
  cells.resize(7);
  return {cells[0], cells[1], cells[2], cells[3], cells[4], cells[5], cells[6]};
}

void read_line(const std::string& line, CollectorTable& table) {
  std::string rest;
  if (take(line, "at", rest)) {
    table.bases = split(rest, " ");
  } else if (take(line, "in", rest)) {
    table.in.push_back(rest);
  } else if (take(line, "beside", rest)) {
    table.beside = rest;
  } else if (take(line, "says", rest)) {
    table.says = rest;
  } else if (take(line, "any", rest)) {
    table.any = rest;
  } else if (take(line, "use", rest)) {
    table.uses.push_back(read_use(rest));
  } else {
    table.keys.push_back(read_row(line));
  }
}

const CollectorTable& group_of(const std::vector<CollectorTable>& tables, const std::string& name) {
  const auto group = std::find_if(tables.begin(), tables.end(), [&](const CollectorTable& table) {
    return table.is_group && table.title == name;
  });
  if (group == tables.end()) throw std::invalid_argument("no group: " + name);
  return *group;
}

void place(const std::vector<CollectorTable>& tables, const CollectorTable& table,
           const std::string& base, std::vector<std::string> in, std::vector<PlacedKey>& out) {
  in.insert(in.end(), table.in.begin(), table.in.end());
  if (!table.beside.empty()) in.push_back(nested(base, "{" + table.beside + "}"));
  for (const CollectorKey& key : table.keys) {
    out.push_back({&key, base, joined(base, key.path), in, key.beside, !table.any.empty()});
  }
  for (const CollectorTable::Use& use : table.uses) {
    place(tables, group_of(tables, use.group), joined(base, use.at), in, out);
  }
}

std::string default_text(const CollectorKey& key) {
  if (key.fallback == "-" || key.fallback == "\"\"" || key.fallback == "[]" ||
      key.fallback == "{}") {
    return "";
  }
  return "`" + key.fallback + "`";
}

}  // namespace

std::string nested(const std::string& path, const std::string& value) {
  std::string text = value;
  std::vector<std::string> parts = split(path, "::");
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    const std::size_t bracket = part->find('[');
    const bool item = bracket != std::string::npos;
    text = "{" + part->substr(0, bracket) + ": " + (item ? "[" + text + "]" : text) + "}";
  }
  return text;
}

std::vector<CollectorTable> read_collector_keys(const std::string& text) {
  std::vector<CollectorTable> tables;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line.front() == '#') continue;
    if (line.front() != '[') {
      read_line(line, tables.at(tables.size() - 1));
      continue;
    }
    CollectorTable& table = tables.emplace_back();
    table.title = line.substr(1, line.size() - 2);
    table.is_group = take(table.title, "group", table.title);
  }
  return tables;
}

std::vector<PlacedKey> placed_keys(const std::vector<CollectorTable>& tables) {
  std::vector<PlacedKey> out;
  for (const CollectorTable& table : tables) {
    for (const std::string& base : table.bases) place(tables, table, base, {}, out);
  }
  return out;
}

std::string render_tables(const std::vector<CollectorTable>& tables) {
  std::string out;
  for (const CollectorTable& table : tables) {
    out += "### " + table.title + "\n\n";
    for (const std::string& base : table.bases)
      out += (&base == table.bases.data() ? "`" : ", `") + base + "`";
    if (!table.bases.empty()) out += ".\n\n";
    if (!table.says.empty()) out += table.says + "\n\n";
    if (!table.any.empty()) out += table.any + "\n\n";
    for (const CollectorTable::Use& use : table.uses) {
      if (use.at.empty()) out += "Also all keys of [" + use.group + "].\n\n";
    }
    if (table.keys.empty()) continue;
    out += "| key | default | | |\n|---|---|---|---|\n";
    for (const CollectorKey& key : table.keys) {
      out += "| `" + key.path + "` | " + default_text(key) + " | " + key.verdict + " | " + key.how +
             " |\n";
    }
    out += "\n";
  }
  return out;
}

}  // namespace holdfast
