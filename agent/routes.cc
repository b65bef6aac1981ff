#include "agent/routes.h"

#include <algorithm>

#include "buffer/deflate.h"

namespace holdfast {
namespace {

bool names(const std::vector<std::string>& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

}  // namespace

std::uint16_t source_of(std::string_view receiver) {
  const auto low = static_cast<std::uint16_t>(crc32c(0, receiver));
  return low == 0 ? 1 : low;
}

bool is_stored(const Config& config, const PipelineConfig& pipeline) {
  return std::any_of(config.exporters.begin(), config.exporters.end(),
                     [&](const ExporterConfig& exporter) {
                       return exporter.queued && names(pipeline.exporters, exporter.name);
                     });
}

bool reads(const Config& config, Signal signal, std::string_view exporter) {
  bool is_queued = false;
  bool any_queued = false;
  for (const ExporterConfig& each : config.exporters) {
    if (!each.queued || pipeline_of(config, signal, each.name) == nullptr) continue;
    any_queued = true;
    is_queued = is_queued || each.name == exporter;
  }
  return is_queued || (!any_queued && pipeline_of(config, signal, exporter) != nullptr);
}

std::vector<ReaderSpec> readers_of(const Config& config, Signal signal) {
  std::vector<ReaderSpec> readers;
  for (const ExporterConfig& exporter : config.exporters) {
    if (!reads(config, signal, exporter.name)) continue;
    ReaderSpec reader{.name = exporter.name,
                      .starts_at_newest = config.buffer.new_exporters_start_at_newest};
    for (const OtlpReceiverConfig& receiver : config.receivers) {
      bool is_taken = false;
      bool is_given = false;
      for (const PipelineConfig& pipeline : config.pipelines) {
        if (pipeline.signal != signal || !names(pipeline.receivers, receiver.name)) continue;
        is_taken = true;
        is_given = is_given || names(pipeline.exporters, exporter.name);
      }
      if (is_taken && !is_given) reader.skipped_sources.push_back(source_of(receiver.name));
    }
    readers.push_back(std::move(reader));
  }
  return readers;
}

const PipelineConfig* pipeline_of(const Config& config, Signal signal, std::string_view exporter) {
  for (const PipelineConfig& pipeline : config.pipelines) {
    if (pipeline.signal == signal && names(pipeline.exporters, exporter)) return &pipeline;
  }
  return nullptr;
}

}  // namespace holdfast
