#include "agent/config_findings.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>

namespace holdfast {

namespace {

auto order_of(const Place& place) { return std::tie(place.source, place.line, place.column); }

}  // namespace

std::string Diagnostic::text() const {
  std::string out = file;
  if (line > 0) out += fmt::format("{}{}:{}", file.empty() ? "" : ":", line, column);
  if (!out.empty()) out += ": ";
  if (!key.empty()) out += key + ": ";
  out += message;
  if (!hint.empty()) out += " (" + hint + ")";
  return out;
}

int Findings::add_source(std::string name) {
  sources_.push_back(std::move(name));
  return static_cast<int>(sources_.size()) - 1;
}

Findings::Finding Findings::make(const Place& place, std::string key, std::string message,
                                 std::string hint) const {
  const bool known = place.source >= 0 && static_cast<std::size_t>(place.source) < sources_.size();
  return {place,
          {known ? sources_[static_cast<std::size_t>(place.source)] : "", place.line, place.column,
           std::move(key), std::move(message), std::move(hint)}};
}

void Findings::error(const Place& place, std::string key, std::string message, std::string hint) {
  if (full()) {
    ++errors_left_out_;
    return;
  }
  errors_.push_back(make(place, std::move(key), std::move(message), std::move(hint)));
}

void Findings::warning(const Place& place, std::string key, std::string message) {
  warnings_.push_back(make(place, std::move(key), std::move(message), {}));
}

std::vector<Findings::Finding> Findings::in_order(std::vector<Finding> findings) {
  std::stable_sort(findings.begin(), findings.end(), [](const Finding& a, const Finding& b) {
    return order_of(a.place) < order_of(b.place);
  });
  return findings;
}

std::vector<Diagnostic> Findings::errors() const {
  std::vector<Diagnostic> out;
  std::set<std::string> told;
  for (Finding& finding : in_order(errors_)) {
    // The same fault of a general key shows once for each signal that it holds for.
    if (told.insert(finding.diagnostic.text()).second) out.push_back(std::move(finding.diagnostic));
  }
  if (errors_left_out_ > 0) {
    out.push_back({"", 0, 0, "", fmt::format("and {} more errors", errors_left_out_), ""});
  }
  return out;
}

std::vector<std::string> Findings::warnings() const {
  std::vector<std::string> out;
  std::set<std::string> told;
  for (const Finding& finding : in_order(warnings_)) {
    std::string text = finding.diagnostic.text();
    if (told.insert(text).second) out.push_back(std::move(text));
  }
  return out;
}

std::string printable(std::string_view text) {
  constexpr std::size_t kShownMax = 80;
  std::string out;
  for (const char c : text.substr(0, kShownMax)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  if (text.size() > kShownMax) out += "…";
  return out;
}

std::string quoted(std::string_view text) { return '"' + printable(text) + '"'; }

}  // namespace holdfast
