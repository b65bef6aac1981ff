// Exporters that leave the machine alone: `debug` writes what it gets to a sink of lines, `nop`
// takes everything.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "exporters/exporter.h"

namespace holdfast {

enum class DebugVerbosity : std::uint8_t { basic, normal, detailed };

struct DebugOptions {
  DebugVerbosity verbosity = DebugVerbosity::basic;
  std::function<void(std::string_view)>
      write_line;  // where a line goes; called on the drain's thread
};

std::unique_ptr<Exporter> make_debug_exporter(const DebugOptions& options, Signal signal);
std::unique_ptr<Exporter> make_nop_exporter();

}  // namespace holdfast
