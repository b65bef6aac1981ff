// The walker against protobuf's parser and the Collector's rules. The first byte picks the signal.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "tests/support/walker_check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const holdfast::Signal signal = holdfast::kSignals[data[0] % holdfast::kSignalCount];
  const std::string broken = holdfast::reference::broken_promise(signal, bytes);
  if (!broken.empty()) {
    std::fprintf(stderr, "%s: %s\n", std::string(holdfast::name_of(signal)).c_str(),
                 broken.c_str());
    std::abort();
  }
  return 0;
}
