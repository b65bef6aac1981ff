// OTLP/JSON to protobuf wire bytes, in one pass over the text, driven by tables that are generated
// from the descriptors.
//
// Source: OTLP specification, "JSON Protobuf Encoding": lowerCamelCase names, ids in hex, enums as
// integers, 64-bit integers as numbers or strings, bytes in base64, unknown fields ignored (their
// JSON must still be well-formed), null means unset.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "buffer/result.h"
#include "proto/signal.h"

namespace holdfast {

/// Keeps its parser's memory between calls: one a thread. Not thread-safe.
class OtlpJsonParser {
 public:
  OtlpJsonParser();
  ~OtlpJsonParser();
  OtlpJsonParser(const OtlpJsonParser&) = delete;
  OtlpJsonParser& operator=(const OtlpJsonParser&) = delete;

  /// Appends the wire bytes of an Export*ServiceRequest to `out`. `json` need not be padded. On
  /// error `out` is as before.
  Status to_wire(Signal signal, std::string_view json, std::string& out);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast
