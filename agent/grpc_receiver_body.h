// The message of a gRPC call as it came, made plain. With gRPC's own decompression off nothing says
// how a message is coded, but the first bytes do.
//
// Thread safety: pure function.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace holdfast {

struct PlainBody {
  int code = 0;  // RpcCode; 0: `bytes` are the request
  std::string message;
  std::string_view bytes;  // in `body` or in `inflated`
};

/// What the Collector's clients send (gzip, zstd, framed snappy) and gRPC's C++ clients (deflate,
/// which is zlib) is inflated into `inflated`, which is overwritten. `limit_bytes` bounds the plain
/// request.
PlainBody plain_body(std::string_view body, std::size_t limit_bytes, std::string& inflated);

}  // namespace holdfast
