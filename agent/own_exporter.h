// Sends the agent's own telemetry to an OTLP upstream, over the same exporters as everything else,
// but beside the buffer: it is not kept, and it is not traced.
//
// Not thread-safe; owned by the thread that sends.
#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string_view>

#include "agent/telemetry_config.h"
#include "exporters/exporter.h"

namespace holdfast {

class OwnExporter {
 public:
  OwnExporter(const OwnExporterConfig& config, Signal signal);

  /// One attempt, within the configured timeout or until `stop` is requested. `request` are the
  /// bytes of an Export*ServiceRequest. False, and a word in the log: not delivered.
  bool send(std::string_view request, std::uint64_t items, const std::stop_token& stop);

 private:
  const Signal signal_;
  const std::unique_ptr<Exporter> exporter_;
};

}  // namespace holdfast
