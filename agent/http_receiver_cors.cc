#include "agent/http_receiver_cors.h"

#include <algorithm>

namespace holdfast {
namespace {

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return lower;
}

/// "x-request-id" → "X-Request-Id", the form in which a Go server names its headers.
std::string canonical_name(std::string_view name) {
  std::string canonical = lower_case(name);
  bool first = true;
  for (char& c : canonical) {
    if (first && c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
    first = c == '-';
  }
  return canonical;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// One "*" stands for any text.
bool matches(std::string_view pattern, std::string_view origin) {
  const std::size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == origin;
  const std::string_view tail = pattern.substr(star + 1);
  return origin.size() + 1 >= pattern.size() && origin.starts_with(pattern.substr(0, star)) &&
         origin.ends_with(tail);
}

bool allows_method(std::string_view method) {
  return method == "POST" || method == "GET" || method == "HEAD" || method == "OPTIONS";
}

}  // namespace

CorsPolicy::CorsPolicy(const CorsConfig& config) : config_(config) {
  for (const std::string& origin : config.allowed_origins) {
    any_origin_ = any_origin_ || origin == "*";
    origins_.push_back(lower_case(origin));
  }
  header_names_ = {"accept", "content-type", "x-requested-with"};
  if (!config.allowed_headers.empty()) header_names_.clear();
  for (const std::string& name : config.allowed_headers) {
    any_header_ = any_header_ || name == "*";
    header_names_.push_back(lower_case(name));
  }
  std::sort(header_names_.begin(), header_names_.end());
  for (const std::string& name : config.exposed_headers) {
    if (!exposed_.empty()) exposed_ += ", ";
    exposed_ += canonical_name(name);
  }
}

bool CorsPolicy::is_preflight(const HttpRequest& request) {
  return request.method == "OPTIONS" && !request.header("Access-Control-Request-Method").empty();
}

bool CorsPolicy::allows_origin(std::string_view origin) const {
  if (origin.empty()) return false;
  if (any_origin_) return true;
  const std::string lower = lower_case(origin);
  return std::any_of(origins_.begin(), origins_.end(),
                     [&](const std::string& pattern) { return matches(pattern, lower); });
}

/// Browsers send the names in lower case, sorted and each once; anything else is not a browser's.
bool CorsPolicy::allows_headers(std::string_view names) const {
  if (any_header_) return true;
  std::string_view last;
  while (!names.empty()) {
    const std::size_t comma = names.find(',');
    const std::string_view name = trim(names.substr(0, comma));
    names.remove_prefix(comma == std::string_view::npos ? names.size() : comma + 1);
    if (name.empty()) continue;
    if (!std::binary_search(header_names_.begin(), header_names_.end(), name)) return false;
    if (name <= last) return false;
    last = name;
  }
  return true;
}

void CorsPolicy::allow_origin(const HttpRequest& request, Headers& headers) const {
  headers.emplace_back("Access-Control-Allow-Origin",
                       any_origin_ ? "*" : std::string(request.header("Origin")));
}

CorsPolicy::Headers CorsPolicy::preflight(const HttpRequest& request) const {
  Headers headers{
      {"Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}};
  const std::string_view method = request.header("Access-Control-Request-Method");
  const std::string_view names = request.header("Access-Control-Request-Headers");
  if (!allows_origin(request.header("Origin")) || !allows_method(method) ||
      !allows_headers(names)) {
    return headers;
  }
  allow_origin(request, headers);
  headers.emplace_back("Access-Control-Allow-Methods", method);
  if (!names.empty()) headers.emplace_back("Access-Control-Allow-Headers", names);
  headers.emplace_back("Access-Control-Allow-Credentials", "true");
  if (config_.max_age_s != 0) {
    headers.emplace_back("Access-Control-Max-Age", std::to_string(std::max(config_.max_age_s, 0)));
  }
  return headers;
}

CorsPolicy::Headers CorsPolicy::actual(const HttpRequest& request) const {
  Headers headers{{"Vary", "Origin"}};
  if (!allows_origin(request.header("Origin")) || !allows_method(request.method)) return headers;
  allow_origin(request, headers);
  if (!exposed_.empty()) headers.emplace_back("Access-Control-Expose-Headers", exposed_);
  headers.emplace_back("Access-Control-Allow-Credentials", "true");
  return headers;
}

}  // namespace holdfast
