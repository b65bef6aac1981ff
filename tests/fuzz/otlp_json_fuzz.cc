// The JSON reader on any bytes: what it takes must be JSON and make a message that protobuf reads.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "agent/otlp_json.h"
#include "tests/support/otlp_json_reference.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static holdfast::OtlpJsonParser parser;  // kept, as a receiver's thread keeps it
  if (size == 0) return 0;
  const holdfast::Signal signal = holdfast::kSignals[data[0] % holdfast::kSignalCount];
  const std::string_view json(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::string wire;
  if (!parser.to_wire(signal, json, wire).ok()) {
    if (!wire.empty()) std::abort();
    return 0;
  }
  if (!holdfast::new_request(signal)->ParseFromString(wire)) std::abort();
  const auto verdict = holdfast::dom_verdict(json);
  if (verdict != simdjson::SUCCESS && !holdfast::is_matter_of_opinion(verdict)) std::abort();
  return 0;
}
