#include "agent/http_server_parser.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <utility>  // Asio of Boost 1.74 needs it in C++20 and does not include it

namespace holdfast {

namespace beast = boost::beast;
namespace http = boost::beast::http;

struct HttpRequestParser::Impl {
  http::request_parser<http::string_body> parser;
  std::size_t header_bytes_max;
};

namespace {

std::string to_string(beast::string_view text) { return {text.data(), text.size()}; }

HttpResponse objection(int status, std::string_view text) {
  HttpResponse response;
  response.status = status;
  response.content_type = "text/plain; charset=utf-8";
  response.body = text;
  response.close = true;
  return response;
}

/// Beast knows chunked and the lengths that contradict it; a coding that it does not know would
/// leave the body to be read as the next request.
std::optional<HttpResponse> object_to(const http::request<http::string_body>& head, bool chunked) {
  const bool http_1_1 = head.version() >= 11;
  const std::size_t codings = head.count(http::field::transfer_encoding);
  if (codings != 0 && (!http_1_1 || codings > 1)) return objection(400, "400 Bad Request");
  if (codings != 0 &&
      (!chunked || !beast::iequals(head[http::field::transfer_encoding], "chunked"))) {
    return objection(501, "501 Not Implemented: unsupported transfer encoding");
  }
  const std::size_t hosts = head.count(http::field::host);
  if (hosts > 1) return objection(400, "400 Bad Request: too many Host headers");
  if (hosts == 0 && http_1_1) {
    return objection(400, "400 Bad Request: missing required Host header");
  }
  const beast::string_view expect = head[http::field::expect];
  if (!expect.empty() && !beast::iequals(expect, "100-continue")) {
    return objection(417, "417 Expectation Failed");
  }
  return std::nullopt;
}

HttpRequestParser::State state_after(const beast::error_code& error) {
  using State = HttpRequestParser::State;
  if (!error) return State::done;
  if (error == http::error::need_more) return State::need_more;
  if (error == http::error::header_limit) return State::header_too_large;
  return State::bad;
}

}  // namespace

HttpRequestParser::HttpRequestParser(std::size_t header_bytes_max)
    : impl_(std::make_unique<Impl>()) {
  impl_->header_bytes_max = header_bytes_max;
  impl_->parser.header_limit(static_cast<std::uint32_t>(header_bytes_max));
  // The connection has a limit of its own. boost::none would refuse every length in Boost 1.74.
  impl_->parser.body_limit(std::numeric_limits<std::uint64_t>::max());
}

HttpRequestParser::~HttpRequestParser() = default;

HttpRequestParser::Progress HttpRequestParser::parse_head(std::string_view input) {
  beast::error_code error;
  std::size_t consumed = 0;
  // put() stops after the start line when it has come alone, so it is asked again.
  while (!impl_->parser.is_header_done()) {
    const std::string_view rest = input.substr(consumed);
    const std::size_t taken =
        impl_->parser.put(boost::asio::const_buffer(rest.data(), rest.size()), error);
    consumed += taken;
    if (error) break;
  }
  State state = state_after(error);
  if (state == State::need_more && input.size() - consumed >= impl_->header_bytes_max) {
    state = State::header_too_large;
  }
  return {state, consumed};
}

HttpHeadInfo HttpRequestParser::take_head(HttpRequest& request) {
  auto& parser = impl_->parser;
  auto& head = parser.get();
  HttpHeadInfo info;
  info.keep_alive = parser.keep_alive();
  info.http_1_0 = head.version() < 11;
  info.expects_continue =
      !info.http_1_0 && beast::iequals(head[http::field::expect], "100-continue");
  info.objection = object_to(head, parser.chunked());
  if (parser.chunked()) {
    info.framing = BodyFraming::chunked;
  } else if (parser.content_length() && *parser.content_length() != 0) {
    info.framing = BodyFraming::length;
    info.content_length = *parser.content_length();
  }
  request.method = to_string(head.method_string());
  request.target = to_string(head.target());
  for (const auto& field : head) {
    request.headers.emplace_back(to_string(field.name_string()), to_string(field.value()));
  }
  head.clear();
  parser.eager(true);
  return info;
}

HttpRequestParser::Progress HttpRequestParser::parse_chunks(std::string_view input,
                                                            std::string& body) {
  auto& parser = impl_->parser;
  beast::error_code error;
  std::size_t consumed = 0;
  while (!parser.is_done() && consumed < input.size()) {
    const std::string_view rest = input.substr(consumed);
    const std::size_t taken =
        parser.put(boost::asio::const_buffer(rest.data(), rest.size()), error);
    consumed += taken;
    if (error || taken == 0) break;
  }
  std::string& part = parser.get().body();
  body += part;
  part.clear();
  if (parser.is_done()) return {State::done, consumed};
  State state = error ? state_after(error) : State::need_more;
  // Chunk extensions and trailers have no length: one that fills the room for a header is hostile.
  if (state == State::need_more && input.size() - consumed >= impl_->header_bytes_max) {
    state = State::bad;
  }
  return {state, consumed};
}

}  // namespace holdfast
