#include "agent/grpc_receiver_body.h"

#include "agent/content_coding.h"
#include "agent/rpc_status.h"

namespace holdfast {
namespace {

// An OTLP request starts with 0A, or with a field that no version of OTLP has.
constexpr std::string_view kGzip = "\x1F\x8B";  // 1F: wire type 7
constexpr std::string_view kZstd = "\x28\xB5\x2F\xFD";
constexpr std::string_view kSnappyFramed{"\xFF\x06\x00\x00sNaPpY", 10};

bool looks_like_zlib(std::string_view body) {
  if (body.size() < 2) return false;
  const auto method = static_cast<unsigned char>(body[0]);
  const auto flags = static_cast<unsigned char>(body[1]);
  return (method & 0x0F) == 8 && (method >> 4) <= 7 && (method * 256U + flags) % 31 == 0;
}

PlainBody too_large(std::size_t limit_bytes) {
  return {
      kRpcResourceExhausted,
      "grpc: received message after decompression larger than max " + std::to_string(limit_bytes),
      {}};
}

/// The coding that the body's first bytes are of; "" without one.
const char* coding_of(std::string_view body) {
  if (body.starts_with(kGzip)) return "gzip";
  if (body.starts_with(kZstd)) return "zstd";
  if (body.starts_with(kSnappyFramed)) return "x-snappy-framed";
  return looks_like_zlib(body) ? "zlib" : "";
}

}  // namespace

PlainBody plain_body(std::string_view body, std::size_t limit_bytes, std::string& inflated) {
  const std::string_view coding = coding_of(body);
  if (coding.empty()) return {0, {}, body};
  inflated.clear();
  switch (decode_content(coding, body, limit_bytes, inflated)) {
    case DecodeError::none:
      return {0, {}, inflated};
    case DecodeError::too_large:
      return too_large(limit_bytes);
    default:
      // Two bytes are weak evidence of zlib: an unknown field may start like that.
      if (coding == "zlib") return {0, {}, body};
      return {kRpcInternal,
              "grpc: failed to decompress the received message: invalid " + std::string(coding),
              {}};
  }
}

}  // namespace holdfast
