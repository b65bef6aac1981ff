// Who may send to a receiver, and what an exporter says of itself: the Collector's extensions
// basicauth (RFC 7617) and bearertokenauth (RFC 6750).
//
// Secrets never leave this file but in the header that an exporter sends: no message, log or error
// has a part of one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "buffer/result.h"

namespace holdfast {

struct AuthenticatorConfig {
  enum class Kind : std::uint8_t { basic_server, basic_client, bearer };
  std::string name;  // of the extension: "basicauth/edge"
  Kind kind = Kind::bearer;
  // basic_server: the lines of both, those in the configuration win
  std::string htpasswd_file;
  std::string htpasswd_inline;
  // basic_client: a file wins over the text
  std::string username;
  std::string username_file;
  std::string password;
  std::string password_file;
  // bearer
  std::string header = "Authorization";
  std::string scheme = "Bearer";
  std::vector<std::string> tokens;  // a receiver takes any of them, an exporter sends the first
  std::string token_file;           // a token a line; wins over `tokens`

  bool operator==(const AuthenticatorConfig&) const = default;
};

/// Judges what clients bring. A file that is replaced is read again with the next request; one that
/// makes no sense is told in the log, and what was there before holds. On one thread.
class Authenticator {
 public:
  /// For a receiver. Errors name the file.
  static Result<std::unique_ptr<Authenticator>> load(const AuthenticatorConfig& config);
  virtual ~Authenticator() = default;

  /// The header to look at, and its name in gRPC's metadata.
  virtual const std::string& header() const = 0;
  virtual const std::string& metadata_key() const = 0;
  /// Nothing: may come. Else why not, in the Collector's words. `credentials`: the header's value,
  /// "" if it is missing.
  virtual std::optional<std::string> refuse(std::string_view credentials) = 0;
  /// For WWW-Authenticate.
  virtual std::string challenge() const = 0;
};

/// The header of an exporter's requests, as it is at the time of the call: files are read each
/// time. Its name is empty if there is nothing to send (a file is missing); that is told in the
/// log. Thread-safe.
std::function<std::pair<std::string, std::string>()> credentials_of(
    const AuthenticatorConfig& config);

}  // namespace holdfast
