// Cross-origin requests (Fetch standard, CORS protocol) as the Collector's receiver answers them:
// credentials allowed, methods GET, POST and HEAD.
//
// Owned by the receiver; only replaced as a whole.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/config.h"
#include "agent/http_server.h"

namespace holdfast {

class CorsPolicy {
 public:
  using Headers = std::vector<std::pair<std::string, std::string>>;

  explicit CorsPolicy(const CorsConfig& config);

  /// Without allowed origins there is no policy: nothing is added, OPTIONS is a method as any.
  bool enabled() const { return !config_.allowed_origins.empty(); }
  static bool is_preflight(const HttpRequest& request);

  /// Headers of the answer (204) to a preflight request.
  Headers preflight(const HttpRequest& request) const;
  /// Headers for the answer to any other request.
  Headers actual(const HttpRequest& request) const;

 private:
  bool allows_origin(std::string_view origin) const;
  bool allows_headers(std::string_view names) const;
  void allow_origin(const HttpRequest& request, Headers& headers) const;

  CorsConfig config_;
  bool any_origin_ = false;
  bool any_header_ = false;
  std::vector<std::string> origins_;       // lower case
  std::vector<std::string> header_names_;  // lower case, sorted
  std::string exposed_;
};

}  // namespace holdfast
