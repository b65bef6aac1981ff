#include "agent/config_values.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "agent/config_findings.h"

namespace holdfast {

namespace {

struct Unit {
  std::string_view name;
  double factor;
};

// Longer names first: "ms" must not be read as "m".
constexpr std::array<Unit, 8> kDurationUnits{{{"ns", 1e-6},
                                              {"us", 1e-3},
                                              {"µs", 1e-3},
                                              {"μs", 1e-3},
                                              {"ms", 1},
                                              {"s", 1e3},
                                              {"m", 60e3},
                                              {"h", 3600e3}}};

constexpr std::array<Unit, 9> kSizeUnits{{{"b", 1},
                                          {"kb", 1e3},
                                          {"mb", 1e6},
                                          {"gb", 1e9},
                                          {"tb", 1e12},
                                          {"kib", 1024.0},
                                          {"mib", 1048576.0},
                                          {"gib", 1073741824.0},
                                          {"tib", 1099511627776.0}}};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Takes "12", "1.5" or ".5" off the front of `text`.
std::optional<double> take_decimal(std::string_view& text) {
  std::size_t length = 0;
  std::size_t digits = 0;
  bool point = false;
  while (length < text.size() && (is_digit(text[length]) || (text[length] == '.' && !point))) {
    if (text[length] == '.') {
      point = true;
    } else {
      ++digits;
    }
    ++length;
  }
  if (digits == 0 || digits > 18) return std::nullopt;
  double value = 0;
  const std::string copy(text.substr(0, length));
  value = std::strtod(copy.c_str(), nullptr);
  text.remove_prefix(length);
  return value;
}

const Unit* take_unit(std::string_view& text) {
  for (const Unit& unit : kDurationUnits) {
    if (text.substr(0, unit.name.size()) == unit.name) {
      text.remove_prefix(unit.name.size());
      return &unit;
    }
  }
  return nullptr;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

/// Levenshtein's, with a swap of neighbours as one edit.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

std::string join_key(std::string_view parent, std::string_view key) {
  if (parent.empty()) return printable(key);
  return fmt::format("{}::{}", parent, printable(key));
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  constexpr double kDurationMax = 100.0 * 365 * 24 * 3600e3;
  const bool negative = !text.empty() && text[0] == '-';
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  if (text == "0") return std::chrono::milliseconds(0);
  if (text.empty()) return std::nullopt;
  double total = 0;
  while (!text.empty()) {
    const std::optional<double> value = take_decimal(text);
    const Unit* unit = value ? take_unit(text) : nullptr;
    if (unit == nullptr) return std::nullopt;
    total += *value * unit->factor;
  }
  if (total > kDurationMax) return std::nullopt;
  if (total > 0 && total < 1) total = 1;
  const auto count = static_cast<std::int64_t>(std::llround(total));
  return std::chrono::milliseconds(negative ? -count : count);
}

std::string duration_text(std::chrono::milliseconds duration) {
  std::int64_t ms = duration.count();
  if (ms == 0) return "0s";
  std::string out = ms < 0 ? "-" : "";
  ms = std::abs(ms);
  if (ms >= 3'600'000) out += fmt::format("{}h", ms / 3'600'000);
  if (ms / 60'000 % 60 != 0) out += fmt::format("{}m", ms / 60'000 % 60);
  if (ms / 1'000 % 60 != 0) out += fmt::format("{}s", ms / 1'000 % 60);
  if (ms % 1'000 != 0) out += fmt::format("{}ms", ms % 1'000);
  return out;
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  constexpr double kSizeMax = 9e18;
  if (const std::optional<std::int64_t> bytes = parse_integer(text)) {
    if (*bytes < 0) return std::nullopt;
    return static_cast<std::uint64_t>(*bytes);
  }
  const std::optional<double> value = take_decimal(text);
  if (!value) return std::nullopt;
  while (!text.empty() && text[0] == ' ') text.remove_prefix(1);
  const std::string name = lower(text);
  for (const Unit& unit : kSizeUnits) {
    if (name != unit.name) continue;
    const double bytes = *value * unit.factor;
    if (bytes > kSizeMax) return std::nullopt;
    return static_cast<std::uint64_t>(std::llround(bytes));
  }
  return std::nullopt;
}

std::string size_text(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 4> kNames{"GiB", "MiB", "KiB", ""};
  std::uint64_t factor = 1ULL << 30;
  for (const std::string_view name : kNames) {
    if (bytes >= factor && bytes % factor == 0) {
      return name.empty() ? fmt::format("{} bytes", bytes)
                          : fmt::format("{}{}", bytes / factor, name);
    }
    factor >>= 10;
  }
  return "0 bytes";
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  if (!text.empty() && text[0] == '+') text.remove_prefix(1);
  std::int64_t value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<double> parse_number(std::string_view text) {
  std::string_view rest = text;
  const bool negative = !rest.empty() && rest[0] == '-';
  if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) rest.remove_prefix(1);
  const std::optional<double> value = take_decimal(rest);
  if (!value) return std::nullopt;
  double scale = 1;
  if (!rest.empty() && (rest[0] == 'e' || rest[0] == 'E')) {
    rest.remove_prefix(1);
    const std::optional<std::int64_t> exponent = parse_integer(rest);
    if (!exponent || *exponent < -300 || *exponent > 300) return std::nullopt;
    scale = std::pow(10.0, static_cast<double>(*exponent));
    rest = {};
  }
  if (!rest.empty()) return std::nullopt;
  return (negative ? -*value : *value) * scale;
}

std::optional<bool> parse_boolean(std::string_view text) {
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  return std::nullopt;
}

bool is_typed_scalar(std::string_view text) {
  return parse_boolean(text).has_value() || parse_number(text).has_value();
}

std::optional<Endpoint> parse_endpoint(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  if (digits.empty() || digits.size() > 5) return std::nullopt;
  if (!std::all_of(digits.begin(), digits.end(), is_digit)) return std::nullopt;
  const int port = std::atoi(std::string(digits).c_str());
  if (port > 65535) return std::nullopt;
  if (!host.empty() && host.front() == '[') {
    if (host.back() != ']' || host.size() < 4) return std::nullopt;
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return std::nullopt;
  }
  if (host.find_first_of("/[]@ \t") != std::string_view::npos) return std::nullopt;
  return Endpoint{std::string(host), static_cast<std::uint16_t>(port)};
}

EndpointFault explain_endpoint(std::string_view text) {
  const std::string message = fmt::format("{} is not host:port", quoted(text));
  const std::size_t scheme = text.find("://");
  if (scheme != std::string_view::npos) {
    const std::string_view rest = text.substr(scheme + 3);
    const std::string bare(rest.substr(0, rest.find('/')));
    if (parse_endpoint(bare)) return {message, fmt::format("did you mean {}?", quoted(bare))};
    return {message, "an address to listen on is not a URL"};
  }
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    return {message, "the port is missing, as in \"localhost:4317\""};
  }
  if (text.find(':') != colon && text.find('[') == std::string_view::npos) {
    return {message, "an IPv6 address stands in brackets, as in \"[::1]:4317\""};
  }
  return {message, "a port is a number from 0 to 65535"};
}

bool is_http_url(std::string_view text) {
  std::string_view rest;
  if (text.substr(0, 7) == "http://") {
    rest = text.substr(7);
  } else if (text.substr(0, 8) == "https://") {
    rest = text.substr(8);
  } else {
    return false;
  }
  for (const char c : rest) {
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f) return false;
  }
  std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
  const std::size_t at = authority.rfind('@');
  if (at != std::string_view::npos) authority.remove_prefix(at + 1);
  if (authority.empty() || authority.front() == ':') return false;
  const bool bracketed = authority.front() == '[';
  const bool has_port =
      bracketed ? authority.back() != ']' : authority.find(':') != std::string_view::npos;
  if (!has_port) return true;
  const std::optional<Endpoint> endpoint = parse_endpoint(authority);
  return endpoint && endpoint->port != 0;
}

std::optional<std::string> nearest(std::string_view word,
                                   const std::vector<std::string>& candidates) {
  constexpr std::size_t kWordMax = 64;
  if (word.empty() || word.size() > kWordMax) return std::nullopt;
  const std::string wanted = lower(word);
  std::optional<std::string> best;
  std::size_t best_distance = std::max<std::size_t>(1, wanted.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > kWordMax) continue;
    const std::size_t distance = edit_distance(wanted, lower(candidate));
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

std::string suggest(std::string_view word, std::vector<std::string> candidates,
                    std::string_view lead) {
  constexpr std::size_t kListedMax = 30;
  if (const auto best = nearest(word, candidates)) {
    return fmt::format("did you mean {}?", quoted(*best));
  }
  if (candidates.empty() || candidates.size() > kListedMax) return {};
  std::sort(candidates.begin(), candidates.end());
  for (std::string& candidate : candidates) candidate = printable(candidate);
  return fmt::format("{}: {}", lead, fmt::join(candidates, ", "));
}

}  // namespace holdfast
