// The exporters of a configuration, made. Thread-safe; each exporter is then its owner's alone.
#pragma once

#include <memory>

#include "agent/config.h"
#include "exporters/exporter.h"

namespace holdfast {

/// Nothing is opened before its first send().
std::unique_ptr<Exporter> make_exporter(const ExporterConfig& config, Signal signal);

}  // namespace holdfast
