#include "exporters/exporter.h"

namespace holdfast {

std::string_view coding_name(ContentCoding coding) {
  switch (coding) {
    case ContentCoding::identity:
      return "";
    case ContentCoding::gzip:
      return "gzip";
    case ContentCoding::zlib:
      return "deflate";  // RFC 9110 section 8.4.1.2: the zlib format goes by this name
    case ContentCoding::zstd:
      return "zstd";
    case ContentCoding::snappy:
      return "snappy";
    case ContentCoding::snappy_framed:
      return "x-snappy-framed";
    case ContentCoding::lz4:
      return "lz4";
  }
  return "";
}

std::string describe(const SendResult& result) {
  if (result.status == 0) return result.message;
  std::string text(result.rpc_code);
  if (text.empty()) text = "HTTP " + std::to_string(result.status);
  return result.message.empty() ? text : text + ": " + result.message;
}

}  // namespace holdfast
