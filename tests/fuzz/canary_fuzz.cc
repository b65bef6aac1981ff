// The canary: the walker's fuzzer with a walker that is wrong in one place. It must fail within
// seconds; if it does not, a quiet wire_walker_fuzz proves nothing.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "tests/support/walker_check.h"

namespace {

/// Takes span ids of any length.
holdfast::WalkResult wrong_walk(holdfast::Signal signal, std::string_view bytes) {
  holdfast::WalkResult result = holdfast::walk_export_request(signal, bytes);
  if (result.error == holdfast::WalkError::bad_span_id) result = {};
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using holdfast::reference::broken_promise;
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const holdfast::Signal signal = holdfast::kSignals[data[0] % holdfast::kSignalCount];
  const std::string broken = broken_promise(signal, bytes, wrong_walk);
  // A mistake of the walker itself must not pass for the planted one.
  if (!broken.empty() && broken_promise(signal, bytes).empty()) {
    std::fprintf(stderr, "the canary died, as it must: %s\n", broken.c_str());
    std::abort();
  }
  return 0;
}
