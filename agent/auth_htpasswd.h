// htpasswd files: who may come, and with which password.
//
// Source: Apache httpd, "Password Formats"; crypt(5). On one thread.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "buffer/result.h"

namespace holdfast {

/// Whether `password` is the one that `hash` was made of: bcrypt ("$2y$"), MD5 ("$apr1$", "$1$"),
/// SHA-2 ("$5$", "$6$"), "{SHA}", "{SSHA}", else the password itself. Takes as long for a wrong one
/// as for the right one.
bool password_matches(const std::string& password, const std::string& hash);

/// Nothing: it is no base64 (RFC 4648 section 4).
std::optional<std::string> from_base64(std::string_view text);

class Htpasswd {
 public:
  /// Lines of "user:hash"; a later one of the same user wins, empty ones are passed over. Errors
  /// give the number of a line, never its content.
  static Result<Htpasswd> parse(std::string_view text);

  /// A password that has been judged is known again at once: bcrypt takes a tenth of a second, and
  /// each request brings its password.
  bool admits(const std::string& user, const std::string& password);

 private:
  using Digest = std::array<unsigned char, 32>;
  struct Entry {
    std::string hash;
    Digest right{};  // keyed digest of what was judged last, either way; zeros: nothing yet
    Digest wrong{};
  };

  Digest digest_of(const std::string& password) const;

  std::map<std::string, Entry, std::less<>> users_;
  Digest key_{};
};

}  // namespace holdfast
