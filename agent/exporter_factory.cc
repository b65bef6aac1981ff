#include "agent/exporter_factory.h"

#include "agent/auth.h"
#include "agent/grpc_library.h"
#include "agent/logging.h"

namespace holdfast {

std::unique_ptr<Exporter> make_exporter(const ExporterConfig& config, Signal signal) {
  switch (config.kind) {
    case ExporterConfig::Kind::otlp_http: {
      OtlpHttpOptions options = config.otlp_http;
      if (config.auth) options.credentials = credentials_of(*config.auth);
      return make_otlp_http_exporter(options, signal);
    }
    case ExporterConfig::Kind::otlp_grpc: {
      prepare_grpc_library();
      OtlpGrpcOptions options = config.otlp_grpc;
      if (config.auth) options.credentials = credentials_of(*config.auth);
      return make_otlp_grpc_exporter(options, signal);
    }
    case ExporterConfig::Kind::file:
      return make_file_exporter(config.file);
    case ExporterConfig::Kind::debug:
      return make_debug_exporter({config.debug_verbosity,
                                  [](std::string_view line) {
                                    log(LogLevel::info, "debug exporter", {{"batch", line}});
                                  }},
                                 signal);
    case ExporterConfig::Kind::nop:
      break;
  }
  return make_nop_exporter();
}

}  // namespace holdfast
