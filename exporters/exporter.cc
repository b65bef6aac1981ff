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
    case ContentCoding::lz4:
      return "lz4";
  }
  return "";
}

}  // namespace holdfast
