// The head of a response as it goes over the wire, and answers that need no handler.
//
// Pure functions; HttpDate belongs to the server's thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "agent/http_server.h"

namespace holdfast {

/// The Date header's value, made once a second.
class HttpDate {
 public:
  std::string_view now();

 private:
  std::int64_t second_ = -1;
  std::string text_;
};

struct ResponseFraming {
  bool close = false;
  bool http_1_0 = false;  // then a connection that stays must be announced
};

/// Status line and headers with the empty line; the body is written beside it.
std::string render_head(const HttpResponse& response, std::string_view date,
                        ResponseFraming framing);

/// The answer where the owner of the server has none of its own.
HttpResponse default_refusal(HttpServer::Refusal::Reason reason);

}  // namespace holdfast
