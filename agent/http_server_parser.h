// HTTP/1.1 requests from bytes: Beast's parser, and what it leaves open (request smuggling, Host,
// Expect).
//
// Owned by one connection, for one request. Beast stays inside http_server_parser.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "agent/http_server.h"

namespace holdfast {

/// How a request says that its body is delimited.
enum class BodyFraming : std::uint8_t { none, length, chunked };

/// What the server needs to know of a head besides the request itself.
struct HttpHeadInfo {
  BodyFraming framing = BodyFraming::none;
  std::uint64_t content_length = 0;
  bool keep_alive = false;                // the client would go on
  bool http_1_0 = false;                  // must be told of a connection that stays
  bool expects_continue = false;          // holds its body back until told
  std::optional<HttpResponse> objection;  // well-formed and yet not to be served
};

class HttpRequestParser {
 public:
  enum class State : std::uint8_t { need_more, done, bad, header_too_large };
  struct Progress {
    State state = State::need_more;
    std::size_t consumed = 0;  // from the front of the input; the rest is to be given again
  };

  explicit HttpRequestParser(std::size_t header_bytes_max);
  ~HttpRequestParser();
  HttpRequestParser(const HttpRequestParser&) = delete;
  HttpRequestParser& operator=(const HttpRequestParser&) = delete;

  Progress parse_head(std::string_view input);

  /// After parse_head() was done. Moves the head out of the parser.
  HttpHeadInfo take_head(HttpRequest& request);

  /// Undoes the chunking of `input`; what comes out is appended to `body`.
  Progress parse_chunks(std::string_view input, std::string& body);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast
