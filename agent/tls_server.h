// TLS for the servers: certificate and key, who may connect, which versions and ciphers, and
// files that are replaced while it runs.
//
// On OpenSSL itself; nothing of it shows here. A process with these sessions must ignore SIGPIPE.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "buffer/result.h"

namespace holdfast {

/// As the Collector's `tls` section of a server. Certificate and key each from a file or as text.
struct TlsServerOptions {
  std::string cert_file;
  std::string cert_pem;
  std::string key_file;
  std::string key_pem;
  std::string client_ca_file;  // not empty: clients need a certificate of one of these authorities
  bool with_system_cas = false;  // clients of the system's authorities as well
  bool only_1_2 = false;         // max_version 1.2
  bool only_1_3 = false;         // min_version 1.3; below 1.2 there is nothing
  std::string ciphers;           // for TLS 1.2, in OpenSSL's names with colons; "": its defaults
  std::string groups;            // likewise the curves
  std::chrono::milliseconds reload_interval{0};  // how often to look at the files; 0: always

  bool operator==(const TlsServerOptions&) const = default;
};

/// The content of `file`, or `pem` where no file is named.
Result<std::string> read_pem(const std::string& file, const std::string& pem);

/// One connection's TLS. Non-blocking; never touches a socket that its owner has closed.
class TlsSession {
 public:
  enum class Progress : std::uint8_t { done, wants_read, wants_write, ended, failed };
  struct Outcome {
    Progress progress = Progress::failed;
    std::size_t bytes = 0;
  };

  explicit TlsSession(void* ssl) : ssl_(ssl) {}  // owns an SSL
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  Outcome handshake();
  Outcome read(char* into, std::size_t size);
  Outcome write(std::string_view bytes);
  /// Decrypted bytes are here although the socket may have none.
  bool has_pending() const;
  /// Says that nothing follows, if the socket takes it.
  void close_notify();
  /// Why it failed, for the log; "" if the peer just went.
  const std::string& failure() const { return failure_; }
  /// The handshake failed since the client spoke HTTP.
  bool met_plain_http() const { return met_plain_http_; }

 private:
  Outcome outcome_of(int result, std::size_t bytes);

  void* const ssl_;
  bool established_ = false;
  bool failed_ = false;
  bool met_plain_http_ = false;
  std::string failure_;
};

/// Makes sessions. On one thread.
class TlsServerContext {
 public:
  /// Reads the files. Errors name the file and say what is wrong with it.
  static Result<std::unique_ptr<TlsServerContext>> load(const TlsServerOptions& options);
  virtual ~TlsServerContext() = default;

  /// For a connection on `fd`, which stays its owner's. Looks first whether files have been
  /// replaced; connections that there are keep what they began with. Files that make no sense
  /// (half of a pair is replaced so far) are told in the log and change nothing.
  virtual std::unique_ptr<TlsSession> accept(int fd) = 0;
};

}  // namespace holdfast
