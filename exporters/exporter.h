// What the drain asks of an upstream: take one batch and say what became of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "proto/signal.h"

namespace holdfast {

/// Content codings of OTLP/HTTP bodies (RFC 9110 section 8.4). `zlib` goes by the name "deflate"
/// too.
enum class ContentCoding : std::uint8_t { identity, gzip, zlib, zstd, snappy, snappy_framed, lz4 };

/// The name in a Content-Encoding header; "" for identity.
std::string_view coding_name(ContentCoding coding);

/// Asked before each request for a header that may change, as with a token from a file; in place of
/// one of the same name. Empty: none. Thread-safe, since each signal's exporter asks.
class CredentialsSource {
 public:
  using Header = std::pair<std::string, std::string>;

  CredentialsSource() = default;
  template <typename Ask>
  requires(!std::is_same_v<Ask, CredentialsSource>) CredentialsSource(Ask ask)
      : ask_(std::move(ask)) {}

  explicit operator bool() const { return static_cast<bool>(ask_); }
  Header operator()() const { return ask_(); }

  /// What it asks cannot be compared; whoever compares options compares what it was made of.
  bool operator==(const CredentialsSource&) const { return true; }

 private:
  std::function<Header()> ask_;
};

/// What a body is before its coding (OTLP specification, "OTLP/HTTP Request").
enum class BodyEncoding : std::uint8_t { protobuf, json };

struct BodyForm {
  ContentCoding coding = ContentCoding::identity;
  BodyEncoding encoding = BodyEncoding::protobuf;
  int level = 0;  // of the coding, where it has any; 0: ours
};

/// One export request on its way out: an Export*ServiceRequest in the exporter's form.
struct ExportBatch {
  Signal signal = Signal::traces;
  ContentCoding coding = ContentCoding::identity;
  std::string_view body;
  std::uint64_t items = 0;
  std::uint64_t raw_bytes = 0;  // length of the body without its coding
};

/// What became of a batch. The drain acts on it; see response_policy.h for the one table behind it.
struct SendResult {
  enum class Outcome : std::uint8_t {
    delivered,  // upstream has it; `rejected_items` of a partial success are not sent again
    retry,      // send the same again after max(backoff, retry_after)
    rejected,  // upstream will never take this body: bisect, the one bad request goes to quarantine
    too_large,  // 413: split
    hold,       // 401, 403, 404, 408, …: keep and try again with the longest interval
  };
  Outcome outcome = Outcome::retry;
  bool upstream_down = false;  // it concerns all signals of the exporter, not this body or path
  bool unanswered = false;  // a body, or part of it, went out and nothing came back: too large for
                            // the line, or it broke the upstream
  std::optional<std::chrono::milliseconds> retry_after;  // as the upstream asked
  int status = 0;  // HTTP status, or the one that a gRPC code stands for; 0 when no answer came
  std::string_view rpc_code;  // the name of a gRPC code, a literal; "" over HTTP
  std::string message;        // for log and quarantine: transport error or body, cut to 1 KiB
  std::uint64_t rejected_items = 0;  // from partial_success
};

/// "HTTP 503: busy", "UNAVAILABLE: busy", or what went wrong when no answer came.
std::string describe(const SendResult& result);

/// The connection of one pipeline to one upstream, for one signal. Not thread-safe: its drain
/// thread owns it.
class Exporter {
 public:
  virtual ~Exporter() = default;

  /// In which send() wants its bodies; never changes.
  virtual BodyForm form() const = 0;

  /// Blocks until the upstream has answered, the timeout is over or `stop` is requested (then:
  /// retry).
  virtual SendResult send(const ExportBatch& batch, std::stop_token stop) = 0;
};

}  // namespace holdfast
