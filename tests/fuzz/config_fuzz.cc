// Any bytes as a configuration: an answer, never a crash.
#include <cstdint>
#include <string>

#include "agent/config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  holdfast::ConfigSources sources;
  sources.files.push_back("yaml:" + std::string(reinterpret_cast<const char*>(data), size));
  (void)holdfast::load_config(sources);
  (void)holdfast::print_config(sources);
  return 0;
}
