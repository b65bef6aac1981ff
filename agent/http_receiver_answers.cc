#include "agent/http_receiver_answers.h"

#include <chrono>
#include <optional>
#include <string>

#include "agent/rpc_status.h"

namespace holdfast {
namespace {

constexpr std::string_view kProtobuf = "application/x-protobuf";
constexpr std::string_view kJson = "application/json";

// Clients wait longer with each failure anyway; this keeps the first wait short.
constexpr std::chrono::seconds kRetryDelay{1};

HttpResponse answer(int status, std::string_view content_type, std::string body) {
  HttpResponse response;
  response.status = status;
  response.content_type = content_type;
  response.body = std::move(body);
  return response;
}

}  // namespace

OtlpEncoding encoding_of(std::string_view content_type) {
  std::string media(content_type.substr(0, content_type.find(';')));
  while (!media.empty() && (media.back() == ' ' || media.back() == '\t')) media.pop_back();
  for (char& c : media) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  if (media == kProtobuf) return OtlpEncoding::protobuf;
  if (media == kJson) return OtlpEncoding::json;
  return OtlpEncoding::other;
}

HttpResponse success_answer(OtlpEncoding encoding) {
  if (encoding == OtlpEncoding::json) return answer(200, kJson, R"({"partialSuccess":{}})");
  // partial_success, present and empty
  return answer(200, kProtobuf, std::string("\x0a\x00", 2));
}

HttpResponse partial_answer(OtlpEncoding encoding, Signal signal, std::uint64_t rejected_items,
                            std::string_view message) {
  if (encoding == OtlpEncoding::json) {
    return answer(200, kJson, export_response_json(signal, rejected_items, message));
  }
  return answer(200, kProtobuf, encode_export_response(rejected_items, message));
}

HttpResponse not_found_answer() {
  HttpResponse response = answer(404, "text/plain; charset=utf-8", "404 page not found\n");
  response.headers.emplace_back("X-Content-Type-Options", "nosniff");
  return response;
}

HttpResponse redirect_answer(std::string location) {
  HttpResponse response;
  response.status = 307;
  response.headers.emplace_back("Location", std::move(location));
  return response;
}

HttpResponse method_answer() {
  return answer(405, "text/plain", "405 method not allowed, supported: [POST]");
}

HttpResponse media_type_answer() {
  return answer(415, "text/plain",
                "415 unsupported media type, supported: "
                "[application/json, application/x-protobuf]");
}

HttpResponse status_answer(OtlpEncoding encoding, int rpc_code, std::string_view message,
                           std::optional<std::chrono::seconds> retry) {
  const int status = http_status_of(rpc_code);
  HttpResponse response =
      encoding == OtlpEncoding::protobuf
          ? answer(status, kProtobuf, encode_rpc_status(rpc_code, message, retry))
          : answer(status, kJson, rpc_status_json(rpc_code, message, retry));
  if (retry && (status == 429 || status == 503)) {
    response.headers.emplace_back("Retry-After", std::to_string(retry->count()));
  }
  return response;
}

HttpResponse unavailable_answer(OtlpEncoding encoding, std::string_view message) {
  return status_answer(encoding, kRpcUnavailable, message, kRetryDelay);
}

HttpResponse unauthenticated_answer(OtlpEncoding encoding, std::string_view message,
                                    const std::string& challenge) {
  HttpResponse response = status_answer(encoding, kRpcUnauthenticated, message);
  response.headers.emplace_back("WWW-Authenticate", challenge);
  return response;
}

HttpResponse coding_answer(OtlpEncoding encoding, std::string_view coding) {
  return status_answer(encoding, kRpcInvalidArgument,
                       "unsupported Content-Encoding: " + std::string(coding));
}

}  // namespace holdfast
