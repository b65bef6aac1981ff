// The exporters of a configuration, made. Thread-safe; each exporter is then its owner's alone.
#pragma once

#include <memory>

#include "agent/config.h"
#include "agent/stats.h"
#include "exporters/exporter.h"

namespace holdfast {

/// Gives `stats` a place for each endpoint, if there are several. Before make_exporter().
void list_endpoints(const ExporterConfig& config, ExporterStats& stats);

/// Nothing is opened before its first send(). `stats`, if there is one, must outlive it: what
/// becomes of requests at each endpoint is counted there.
std::unique_ptr<Exporter> make_exporter(const ExporterConfig& config, Signal signal,
                                        ExporterStats* stats = nullptr);

}  // namespace holdfast
