#include "agent/exporter_factory.h"

#include <string>
#include <utility>
#include <vector>

#include "agent/auth.h"
#include "agent/grpc_library.h"
#include "agent/logging.h"

namespace holdfast {

namespace {

/// "https://user:secret@host" is nobody's business but the host's.
std::string without_credentials(const std::string& endpoint) {
  const std::size_t scheme = endpoint.find("://");
  const std::size_t begin = scheme == std::string::npos ? 0 : scheme + 3;
  const std::size_t at = endpoint.substr(0, endpoint.find('/', begin)).rfind('@');
  if (at == std::string::npos || at < begin) return endpoint;
  return endpoint.substr(0, begin) + endpoint.substr(at + 1);
}

void note(EndpointStats& stats, const SendResult& result) {
  const bool delivered = result.outcome == SendResult::Outcome::delivered;
  const auto failure = result.upstream_down ? UpstreamState::retrying : UpstreamState::holding;
  stats.state.store(static_cast<std::uint8_t>(delivered ? UpstreamState::ok : failure),
                    std::memory_order_relaxed);
  (delivered ? stats.delivered : stats.failed).fetch_add(1, std::memory_order_relaxed);
  stats.last_error.set(delivered ? "" : describe(result));
}

std::unique_ptr<Exporter> make_for_one(const ExporterConfig& config, Signal signal) {
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

}  // namespace

void list_endpoints(const ExporterConfig& config, ExporterStats& stats) {
  for (ExporterSignalStats& of_signal : stats.signals) {
    for (const std::string& endpoint : config.endpoints) {
      of_signal.endpoints.push_back(std::make_unique<EndpointStats>());
      of_signal.endpoints.back()->endpoint = without_credentials(endpoint);
    }
  }
}

std::unique_ptr<Exporter> make_exporter(const ExporterConfig& config, Signal signal,
                                        ExporterStats* stats) {
  if (config.endpoints.size() < 2) return make_for_one(config, signal);
  std::vector<std::unique_ptr<Exporter>> exporters;
  for (const std::string& endpoint : config.endpoints) {
    ExporterConfig one = config;
    one.otlp_http.urls[index_of(signal)] = endpoint + std::string(traits(signal).http_path);
    one.otlp_grpc.target = endpoint;
    exporters.push_back(make_for_one(one, signal));
  }
  FailoverOptions options;
  options.strategy = config.endpoint_strategy;
  options.pause = config.retry.max_interval;
  if (stats != nullptr) {
    options.report = [&of_signal = stats->signals[index_of(signal)]](std::size_t place,
                                                                     const SendResult& result) {
      note(*of_signal.endpoints[place], result);
    };
  }
  return make_failover_exporter(std::move(options), std::move(exporters));
}

}  // namespace holdfast
