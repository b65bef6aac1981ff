#include "agent/request_body.h"

#include <utility>

#include "agent/content_coding.h"

namespace holdfast {

Result<std::string_view> RequestBody::make(std::string_view request) {
  if (form_.encoding == BodyEncoding::json) {
    json_.clear();
    if (Status written = writer_.write(signal_, request, json_); !written) return written.error();
    request = json_;
  }
  if (form_.coding == ContentCoding::identity) return request;
  auto coded = encode_content(form_.coding, request, form_.level);
  if (!coded) return coded.error();
  coded_ = std::move(*coded);
  return std::string_view(coded_);
}

}  // namespace holdfast
