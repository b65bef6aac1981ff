#include "agent/http_server_response.h"

#include <boost/beast/http/status.hpp>
#include <ctime>
#include <utility>  // before Boost: see http_server_parser.cc

namespace holdfast {
namespace {

bool has_body(int status) { return status >= 200 && status != 204 && status != 304; }

void append_header(std::string& head, std::string_view name, std::string_view value) {
  head.append(name).append(": ").append(value).append("\r\n");
}

std::string status_line(int status) {
  const auto reason = boost::beast::http::obsolete_reason(
      boost::beast::http::int_to_status(static_cast<unsigned>(status)));
  std::string line = "HTTP/1.1 " + std::to_string(status) + " ";
  line.append(reason.data(), reason.size()).append("\r\n");
  return line;
}

}  // namespace

std::string_view HttpDate::now() {
  const std::time_t second = std::time(nullptr);
  if (second != second_) {
    std::tm parts{};
    char text[40];
    gmtime_r(&second, &parts);
    // Names of days and months in English: the agent never leaves the "C" locale.
    text_.assign(text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts));
    second_ = second;
  }
  return text_;
}

std::string render_head(const HttpResponse& response, std::string_view date,
                        ResponseFraming framing) {
  std::string head = status_line(response.status);
  for (const auto& [name, value] : response.headers) append_header(head, name, value);
  if (!response.content_type.empty()) append_header(head, "Content-Type", response.content_type);
  append_header(head, "Date", date);
  if (has_body(response.status)) {
    append_header(head, "Content-Length", std::to_string(response.body.size()));
  }
  if (framing.close) {
    append_header(head, "Connection", "close");
  } else if (framing.http_1_0) {
    append_header(head, "Connection", "keep-alive");
  }
  return head.append("\r\n");
}

HttpResponse default_refusal(HttpServer::Refusal::Reason reason) {
  using Reason = HttpServer::Refusal::Reason;
  HttpResponse response;
  response.content_type = "text/plain; charset=utf-8";
  switch (reason) {
    case Reason::body_too_large:
      response.status = 413;
      response.body = "413 Request Entity Too Large";
      break;
    case Reason::budget:
      response.status = 503;
      response.body = "503 Service Unavailable";
      break;
    case Reason::header_too_large:
      response.status = 431;
      response.body = "431 Request Header Fields Too Large";
      break;
    case Reason::timeout:
      response.status = 408;
      response.body = "408 Request Timeout";
      break;
    case Reason::bad_http:
      response.status = 400;
      response.body = "400 Bad Request";
      break;
  }
  return response;
}

}  // namespace holdfast
