#include "agent/rpc_status.h"

#include <array>
#include <cstdint>

#include "agent/utf8.h"

namespace holdfast {
namespace {

constexpr std::string_view kRetryInfoType = "type.googleapis.com/google.rpc.RetryInfo";

void append_varint(std::uint64_t value, std::string& out) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

void append_integer(std::uint32_t field, std::int64_t value, std::string& out) {
  append_varint(field << 3, out);
  append_varint(static_cast<std::uint64_t>(value), out);
}

void append_bytes(std::uint32_t field, std::string_view bytes, std::string& out) {
  append_varint((field << 3) | 2, out);
  append_varint(bytes.size(), out);
  out.append(bytes);
}

/// google.protobuf.Any{type_url = 1, value = 2} around RetryInfo{retry_delay = 1} around
/// Duration{seconds = 1}.
std::string retry_info_any(std::chrono::seconds retry) {
  std::string duration;
  append_integer(1, retry.count(), duration);
  std::string info;
  append_bytes(1, duration, info);
  std::string any;
  append_bytes(1, kRetryInfoType, any);
  append_bytes(2, info, any);
  return any;
}

void append_json_string(std::string_view text, std::string& out) {
  constexpr char kHex[] = "0123456789abcdef";
  out.push_back('"');
  for (const char c : to_utf8(text)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (c == '\n') {
      out.append("\\n");
    } else if (byte < 0x20 || byte == 0x7F) {
      out.append("\\u00");
      out.push_back(kHex[byte >> 4]);
      out.push_back(kHex[byte & 15]);
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
}

}  // namespace

std::string encode_rpc_status(int code, std::string_view message,
                              std::optional<std::chrono::seconds> retry) {
  std::string out;
  if (code != 0) append_integer(1, code, out);
  if (!message.empty()) append_bytes(2, to_utf8(message), out);
  if (retry) append_bytes(3, retry_info_any(*retry), out);
  return out;
}

std::string rpc_status_json(int code, std::string_view message,
                            std::optional<std::chrono::seconds> retry) {
  std::string out = "{";
  if (code != 0) out += "\"code\":" + std::to_string(code);
  if (!message.empty()) {
    if (out.size() > 1) out.push_back(',');
    out += "\"message\":";
    append_json_string(message, out);
  }
  if (retry) {
    if (out.size() > 1) out.push_back(',');
    out += "\"details\":[{\"@type\":\"";
    out += kRetryInfoType;
    out += "\",\"retryDelay\":\"" + std::to_string(retry->count()) + "s\"}]";
  }
  out.push_back('}');
  return out;
}

std::string encode_export_response(std::uint64_t rejected_items, std::string_view message) {
  std::string partial;
  if (rejected_items != 0) append_integer(1, static_cast<std::int64_t>(rejected_items), partial);
  if (!message.empty()) append_bytes(2, to_utf8(message), partial);
  std::string out;
  append_bytes(1, partial, out);
  return out;
}

std::string export_response_json(Signal signal, std::uint64_t rejected_items,
                                 std::string_view message) {
  static constexpr std::array<std::string_view, kSignalCount> kRejected{
      "rejectedSpans", "rejectedDataPoints", "rejectedLogRecords", "rejectedProfiles"};
  std::string out = R"({"partialSuccess":{)";
  if (rejected_items != 0) {
    out.append("\"").append(kRejected[index_of(signal)]).append("\":\"");
    out += std::to_string(rejected_items) + '"';
  }
  if (!message.empty()) {
    if (rejected_items != 0) out.push_back(',');
    out += "\"errorMessage\":";
    append_json_string(message, out);
  }
  return out + "}}";
}

int http_status_of(int code) {
  switch (code) {
    case kRpcOk:
      return 200;
    case kRpcCancelled:
    case kRpcDeadlineExceeded:
    case kRpcAborted:
    case kRpcOutOfRange:
    case kRpcUnavailable:
    case kRpcDataLoss:
      return 503;
    case kRpcResourceExhausted:
      return 429;
    case kRpcInvalidArgument:
      return 400;
    case kRpcUnauthenticated:
      return 401;
    case kRpcPermissionDenied:
      return 403;
    case kRpcUnimplemented:
      return 404;
    default:
      return 500;
  }
}

}  // namespace holdfast
