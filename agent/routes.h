// Who gets what: several pipelines of one signal share its log, and each record bears the receiver
// it came from.
//
// Pure functions of a configuration. Thread-safe.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "agent/config.h"
#include "buffer/log.h"
#include "proto/signal.h"

namespace holdfast {

/// The number that stands for a receiver in records (docs/format.md, "Sources"). Never 0.
std::uint16_t source_of(std::string_view receiver);

/// Some exporter of the pipeline has a queue.
bool is_stored(const Config& config, const PipelineConfig& pipeline);

/// The exporters of a signal's pipelines as readers of its log: each skips the receivers that only
/// pipelines of others name. Those without a queue are none; where none of the signal's has one
/// nothing is stored, and all are readers still, of what they had queued before their queue was
/// taken away. Empty: the signal has no pipeline.
std::vector<ReaderSpec> readers_of(const Config& config, Signal signal);

/// Is the exporter among them?
bool reads(const Config& config, Signal signal, std::string_view exporter);

/// The first pipeline of the signal that names the exporter: its batch processor counts. Null:
/// there is none.
const PipelineConfig* pipeline_of(const Config& config, Signal signal, std::string_view exporter);

}  // namespace holdfast
