#include "agent/own_exporter.h"

#include "agent/content_coding.h"
#include "agent/grpc_library.h"
#include "agent/logging.h"

namespace holdfast {
namespace {

std::unique_ptr<Exporter> make_exporter(const OwnExporterConfig& config, Signal signal) {
  if (!config.over_grpc) return make_otlp_http_exporter(config.http, signal);
  prepare_grpc_library();
  return make_otlp_grpc_exporter(config.grpc, signal);
}

}  // namespace

OwnExporter::OwnExporter(const OwnExporterConfig& config, Signal signal)
    : signal_(signal), exporter_(make_exporter(config, signal)) {}

bool OwnExporter::send(std::string_view request, std::uint64_t items, const std::stop_token& stop) {
  const auto encoded = encode_content(exporter_->form().coding, request);
  std::string error = encoded ? "" : encoded.error().message;
  if (encoded) {
    const SendResult result = exporter_->send({.signal = signal_,
                                               .coding = exporter_->form().coding,
                                               .body = *encoded,
                                               .items = items,
                                               .raw_bytes = request.size()},
                                              stop);
    if (result.outcome == SendResult::Outcome::delivered) return true;
    error = describe(result);
  }
  log(LogLevel::warn, "the agent's own telemetry was not delivered",
      {{"signal", name_of(signal_)}, {"error", error}});
  return false;
}

}  // namespace holdfast
