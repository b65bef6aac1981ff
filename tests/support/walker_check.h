// What must hold between the walker, protobuf and the Collector for any bytes at all. Used by the
// unit test and the fuzzer. Thread safety: pure functions.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "agent/wire_walker.h"
#include "tests/support/wire_reference.h"

namespace holdfast::reference {

using Walk = std::function<WalkResult(Signal, std::string_view)>;

/// Field 1000 is unknown to protobuf, so its strings are not checked there. Good enough to know
/// that the bytes could hold one.
inline bool may_hold_old_scopes(std::string_view bytes) {
  return bytes.find("\xC2\x3E") != std::string_view::npos ||
         bytes.find("\xC2\xBE") != std::string_view::npos;
}

/// Texts of our own, for what the Collector takes and protobuf refuses or misreads.
inline bool is_stricter_than_the_collector(WalkError error) {
  return error == WalkError::too_deep || error == WalkError::long_tag ||
         error == WalkError::long_length || error == WalkError::bad_group;
}

/// "" or which promise is broken. `walk` is walk_export_request, or a wrong one to test the test.
inline std::string broken_promise(Signal signal, std::string_view bytes,
                                  const Walk& walk = walk_export_request) {
  const WalkResult walked = walk(signal, bytes);
  const bool protobuf = protobuf_parses_any_text(signal, bytes);
  const CollectorVerdict collector = CollectorDecoder::judge(signal, bytes);
  if (walked.ok()) {
    if (!protobuf) return "accepted what protobuf refuses";
    if (!collector.error.empty()) return "accepted what the Collector refuses: " + collector.error;
    if (walked.items != collector.items) return "counted other items than the Collector";
    const bool strict = protobuf_parses(signal, bytes);
    if (walked.invalid_utf8 == 0 && !strict) return "missed a string that is not UTF-8";
    if (walked.invalid_utf8 > 0 && strict && !may_hold_old_scopes(bytes)) {
      return "counted a string that is UTF-8";
    }
    return "";
  }
  if (walked.offset > bytes.size()) return "an error outside of the bytes";
  if (collector.error.empty()) {
    // A tag above 32 bits is the one thing that protobuf misreads and may take.
    if (protobuf && walked.error != WalkError::long_tag) return "refused what both accept";
    if (!is_stricter_than_the_collector(walked.error)) {
      return "refused what the Collector takes: " + describe(walked);
    }
    return "";
  }
  if (describe(walked) != collector.error && !is_stricter_than_the_collector(walked.error)) {
    return "said \"" + describe(walked) + "\" and the Collector \"" + collector.error + '"';
  }
  return "";
}

}  // namespace holdfast::reference
