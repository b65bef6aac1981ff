// The OTLP signals with the names that the protocol, the Collector's metrics and the file system
// use.
//
// Source: OTLP specification 1.x, "OTLP/gRPC" and "OTLP/HTTP"; metric nouns as in the Collector's
// own telemetry. Profiles are still in development there (v1development). Thread safety: constants
// and pure functions only.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace holdfast {

/// The numbers are those in segment headers (docs/format.md).
enum class Signal : std::uint8_t { traces = 0, metrics = 1, logs = 2, profiles = 3 };

inline constexpr std::size_t kSignalCount = 4;
inline constexpr std::array<Signal, kSignalCount> kSignals{Signal::traces, Signal::metrics,
                                                           Signal::logs, Signal::profiles};

struct SignalTraits {
  std::string_view name;         // pipeline type, directory and label: "traces"
  std::string_view item_noun;    // suffix of otelcol_* metrics: "spans"
  std::string_view http_path;    // default path of OTLP/HTTP: "/v1/traces"
  std::string_view grpc_method;  // full gRPC path of Export
  bool requests_join;            // several, one after the other, are one valid request
};

inline constexpr std::array<SignalTraits, kSignalCount> kSignalTraits{{
    {"traces", "spans", "/v1/traces", "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
     true},
    {"metrics", "metric_points", "/v1/metrics",
     "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", true},
    {"logs", "log_records", "/v1/logs", "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
     true},
    // Its indices refer to the dictionary that each request has for itself.
    {"profiles", "profile_samples", "/v1development/profiles",
     "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export", false},
}};

constexpr std::size_t index_of(Signal signal) { return static_cast<std::size_t>(signal); }
constexpr const SignalTraits& traits(Signal signal) { return kSignalTraits[index_of(signal)]; }
constexpr std::string_view name_of(Signal signal) { return traits(signal).name; }

constexpr std::optional<Signal> signal_from_name(std::string_view name) {
  for (Signal signal : kSignals) {
    if (name_of(signal) == name) return signal;
  }
  return std::nullopt;
}

}  // namespace holdfast
