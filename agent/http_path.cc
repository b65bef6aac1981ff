#include "agent/http_path.h"

#include <vector>

namespace holdfast {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

/// The byte that `path` has at `at`; moves behind it. -1: none that a path could be compared with.
int next_byte(std::string_view path, std::size_t& at) {
  const char c = path[at++];
  if (c != '%') return static_cast<unsigned char>(c);
  if (path.size() - at < 2) return -1;
  const int high = hex_digit(path[at]);
  const int low = hex_digit(path[at + 1]);
  at += 2;
  const int byte = high < 0 || low < 0 ? -1 : high * 16 + low;
  return byte == '/' ? -1 : byte;
}

}  // namespace

bool is_path(std::string_view path, std::string_view wanted) {
  std::size_t at = 0;
  for (const char c : wanted) {
    if (at == path.size() || next_byte(path, at) != static_cast<unsigned char>(c)) return false;
  }
  return at == path.size();
}

std::string clean_path(std::string_view path) {
  std::vector<std::string_view> segments;
  std::string_view rest = path;
  while (!rest.empty()) {
    const std::size_t slash = rest.find('/');
    const std::string_view segment = rest.substr(0, slash);
    rest.remove_prefix(slash == std::string_view::npos ? rest.size() : slash + 1);
    if (segment.empty() || segment == ".") continue;
    if (segment != "..") {
      segments.push_back(segment);
    } else if (!segments.empty()) {
      segments.pop_back();
    }
  }
  std::string clean;
  for (const std::string_view segment : segments) clean.append("/").append(segment);
  if (clean.empty() || path.ends_with('/')) clean += '/';
  return clean;
}

}  // namespace holdfast
