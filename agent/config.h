// The configuration as the agent uses it, and how it comes from the Collector's YAML.
//
// load_config() reads, merges and checks; every error names file, line, column, key, what is wrong
// and what would be right, and all of them come in one go. Single-threaded, used at start.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "agent/auth.h"
#include "agent/telemetry_config.h"
#include "agent/tls_server.h"
#include "buffer/log.h"
#include "exporters/failover.h"
#include "exporters/file.h"
#include "exporters/local.h"
#include "exporters/otlp_grpc.h"
#include "exporters/otlp_http.h"
#include "proto/signal.h"

namespace holdfast {

using std::chrono::milliseconds;

struct GrpcReceiverConfig {
  std::uint16_t source = 0;  // what stands for the receiver in stored records (agent/routes.h)
  std::string endpoint = "localhost:4317";  // or "unix:PATH"; so for all servers
  std::size_t recv_message_bytes_max =
      4ULL << 20;  // max_recv_msg_size_mib; also the limit after inflation
  std::uint32_t concurrent_streams_max = 0;  // max_concurrent_streams; 0: gRPC's default
  milliseconds max_connection_idle{0};       // keepalive.server_parameters; 0: never
  milliseconds max_connection_age{0};
  milliseconds max_connection_age_grace{0};
  milliseconds keepalive_time{2 * 3600 * 1000};
  milliseconds keepalive_timeout{20'000};
  milliseconds keepalive_min_time{300'000};  // keepalive.enforcement_policy
  bool keepalive_permit_without_stream = false;
  std::optional<TlsServerOptions> tls;
  std::optional<AuthenticatorConfig> auth;

  bool operator==(const GrpcReceiverConfig&) const = default;
};

struct CorsConfig {
  std::vector<std::string> allowed_origins;  // "*" inside stands for anything
  std::vector<std::string> allowed_headers;
  std::vector<std::string> exposed_headers;
  int max_age_s = 0;

  bool operator==(const CorsConfig&) const = default;
};

/// What all HTTP servers of a configuration have in common (the Collector's confighttp).
struct HttpServerConfig {
  std::string endpoint;
  milliseconds read_timeout{60'000};  // of a body
  milliseconds read_header_timeout{60'000};
  milliseconds write_timeout{30'000};
  milliseconds idle_timeout{60'000};
  bool keep_alives = true;
  std::vector<std::pair<std::string, std::string>> response_headers;
  std::optional<TlsServerOptions> tls;

  bool operator==(const HttpServerConfig&) const = default;
};

struct HttpReceiverConfig : HttpServerConfig {
  HttpReceiverConfig() { endpoint = "localhost:4318"; }

  std::uint16_t source = 0;  // as for gRPC
  std::array<std::string, kSignalCount> paths{"/v1/traces", "/v1/metrics", "/v1/logs",
                                              "/v1development/profiles"};
  std::size_t request_body_bytes_max = 20ULL << 20;  // max_request_body_size, coded and decoded
  std::vector<std::string> compression_algorithms;   // "": a body as it is; none named: all
  CorsConfig cors;
  std::optional<AuthenticatorConfig> auth;

  bool operator==(const HttpReceiverConfig&) const = default;
};

struct OtlpReceiverConfig {
  std::string name;  // "otlp"
  std::optional<GrpcReceiverConfig> grpc;
  std::optional<HttpReceiverConfig> http;

  bool operator==(const OtlpReceiverConfig&) const = default;
};

/// How a drain merges requests. From the pipeline's `batch` processor or the exporter's
/// sending_queue.batch.
struct BatchConfig {
  std::uint64_t items_target = 8192;  // send_batch_size: sent at once when reached
  std::uint64_t items_max = 8192;     // send_batch_max_size; a single larger request goes as it is
  std::uint64_t raw_bytes_max = 4ULL << 20;
  milliseconds timeout{20};  // how long a smaller batch waits for more

  bool operator==(const BatchConfig&) const = default;
};

struct RetryConfig {
  bool enabled = true;  // false: a failed batch waits max_interval; it is still never discarded
  milliseconds initial_interval{5'000};
  milliseconds max_interval{30'000};
  milliseconds max_elapsed_time{300'000};  // of a request that is forwarded at once; 0: no limit
  double multiplier = 1.5;
  double randomization_factor = 0.5;

  bool operator==(const RetryConfig&) const = default;
};

struct ExporterConfig {
  enum class Kind : std::uint8_t { otlp_http, otlp_grpc, file, debug, nop };
  std::string name;  // "otlp_http/backup" as written
  Kind kind = Kind::nop;
  OtlpHttpOptions otlp_http;
  OtlpGrpcOptions otlp_grpc;
  FileOptions file;
  /// `endpoints`, if there are several: base URLs, or gRPC targets. The options above have the
  /// first.
  std::vector<std::string> endpoints;
  EndpointStrategy endpoint_strategy = EndpointStrategy::failover;
  DebugVerbosity debug_verbosity = DebugVerbosity::basic;
  RetryConfig retry;
  std::optional<BatchConfig> batch;  // sending_queue.batch
  bool queued = true;       // sending_queue.enabled; false: forwarded at once, see forwarder.h
  unsigned consumers = 10;  // sending_queue.num_consumers, for what is forwarded at once
  std::optional<AuthenticatorConfig> auth;

  bool operator==(const ExporterConfig&) const = default;
};

struct PipelineConfig {
  std::string name;  // "traces" or "traces/edge"
  Signal signal = Signal::traces;
  std::vector<std::string> receivers;
  std::vector<std::string> exporters;
  BatchConfig batch;

  bool operator==(const PipelineConfig&) const = default;
};

/// Which errors of a component make it unhealthy.
struct ComponentHealthConfig {
  bool include_permanent = false;
  bool include_recoverable = false;  // once they last longer than `recovery`
  milliseconds recovery{0};

  bool operator==(const ComponentHealthConfig&) const = default;
};

/// The Collector's health check, version 2.
struct HealthV2Config {
  std::string extension;  // "healthcheckv2/edge"
  bool status_enabled = true;
  std::string status_path = "/status";
  bool verbose = false;  // for every request, not only where the query says so
  std::optional<ComponentHealthConfig> component_health;

  bool operator==(const HealthV2Config&) const = default;
};

struct HealthConfig : HttpServerConfig {
  HealthConfig() {
    endpoint = "localhost:13133";
    read_timeout = read_header_timeout = write_timeout = milliseconds(10'000);
  }

  std::string path = "/";
  std::optional<std::string> body_healthy;
  std::optional<std::string> body_unhealthy;
  std::optional<HealthV2Config> v2;  // then without the three above

  bool operator==(const HealthConfig&) const = default;
};

/// Directories of opentelemetry-java-contrib's disk-buffering that are drained.
struct ImportConfig {
  std::array<std::vector<std::string>, kSignalCount> directories;
  milliseconds age_min{33'000};  // import_min_age

  bool operator==(const ImportConfig&) const = default;
};

struct BufferConfig {
  std::string directory;
  std::string
      directory_source;  // why this one, for the log: "disk_buffer.directory", "STATE_DIRECTORY", …
  unsigned directory_permissions = 0750;
  std::array<LogOptions, kSignalCount> logs;  // their `directory` is <directory>/<signal>
  ImportConfig import;
  bool new_exporters_start_at_newest = false;
};

struct Config {
  std::vector<OtlpReceiverConfig> receivers;  // those that a pipeline uses
  std::vector<ExporterConfig> exporters;      // those that a pipeline uses
  std::vector<PipelineConfig> pipelines;      // several of a signal share its log
  std::optional<HealthConfig> health;
  BufferConfig buffer;
  TelemetryConfig telemetry;
  std::size_t in_flight_bytes_max = 64ULL << 20;  // memory_limiter: limit less spike
  std::vector<std::string> files;                 // that it was read from: --config and ${file:…}
  std::vector<std::string> warnings;  // accepted, but to be told: one sentence each, with its place
};

struct Diagnostic {
  std::string file;
  int line = 0;     // from 1; 0: not in a file (--set)
  int column = 0;   // from 1
  std::string key;  // "exporters::otlp_http::endpoint"
  std::string message;
  std::string hint;  // what would be right; may be empty

  /// "agent.yaml:12:5: exporters::otlp_http::endpiont: unknown key (did you mean "endpoint"?)"
  std::string text() const;
};

struct ConfigSources {
  std::vector<std::string> files;  // --config, in order; also "env:NAME" and "yaml:TEXT"
  std::vector<std::pair<std::string, std::string>> sets;  // --set a.b=v or a::b=v, in order
};

/// The configuration or all that is wrong with it.
std::variant<Config, std::vector<Diagnostic>> load_config(const ConfigSources& sources);

/// The merged YAML with environment filled in and secrets hidden, for `holdfast print-config`.
std::variant<std::string, std::vector<Diagnostic>> print_config(const ConfigSources& sources);

/// What `holdfast components` lists: kind, name, stability, one a line, YAML as the Collector
/// prints it.
std::string components_yaml();

}  // namespace holdfast
