// The body of one export request, as its exporter wants it: protobuf or JSON, in a content coding.
//
// Keeps its memory between calls. Not thread-safe: its owner's alone.
#pragma once

#include <string>
#include <string_view>

#include "agent/otlp_json_writer.h"
#include "buffer/result.h"
#include "exporters/exporter.h"

namespace holdfast {

class RequestBody {
 public:
  RequestBody(Signal signal, const BodyForm& form) : signal_(signal), form_(form) {}

  /// Of the wire bytes of an Export*ServiceRequest; valid until the next call, and as long as
  /// `request`, which it may be itself. Fails where the bytes make no sense as JSON.
  Result<std::string_view> make(std::string_view request);

 private:
  const Signal signal_;
  const BodyForm form_;
  OtlpJsonWriter writer_;
  std::string json_;
  std::string coded_;
};

}  // namespace holdfast
