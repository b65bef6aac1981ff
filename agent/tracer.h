// The agent's own spans (service::telemetry::traces): one for each request that a receiver takes,
// one for each attempt of an exporter. Sampled when they start; where nothing asks for traces there
// is no tracer, and nothing is done.
//
// Thread-safe. Owned by the agent; outlives receivers and drains.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/own_records.h"
#include "exporters/exporter.h"

namespace holdfast {

/// A span that has started and is sampled.
struct OpenSpan {
  std::array<std::uint8_t, 16> trace_id{};
  std::array<std::uint8_t, 8> span_id{};
  std::optional<std::array<std::uint8_t, 8>> parent_id;
  std::int64_t start_unix_ns = 0;
};

struct SpanEnd {
  enum class Kind : std::uint8_t { server = 2, client = 3 };  // OTLP's numbers
  std::string name;
  Kind kind = Kind::server;
  Attributes attributes;
  bool failed = false;
  std::string message;  // of a failure
};

class Tracer {
 public:
  /// `dropped` must outlive it.
  Tracer(const OwnTracesConfig& config, const Attributes& resource, Counter& dropped);

  /// `traceparent` as the client sent it (W3C Trace Context, level 1), "" for none: the parent, if
  /// the configuration has that propagator and it is well-formed. Nothing: not sampled.
  std::optional<OpenSpan> start(std::string_view traceparent = {}) const;

  void end(const OpenSpan& span, const SpanEnd& end);

 private:
  const SamplerConfig sampler_;
  const bool trace_context_;
  std::vector<std::unique_ptr<OwnRecords>> processors_;
};

/// A span of the request that `receiver` ("otlp") took over `transport` for `signal`.
SpanEnd received(std::string_view receiver, std::string_view transport, Signal signal);

/// Ends the span of a request, if it has one. `failure`: why it was not taken, "" if it was.
void end_request_span(const ReceiverStats& receiver, Signal signal,
                      const std::optional<OpenSpan>& span, const std::string& failure);

/// `exporter` with a span around each send(). `tracer` must outlive it.
std::unique_ptr<Exporter> make_traced_exporter(std::unique_ptr<Exporter> exporter, std::string name,
                                               Tracer& tracer);

}  // namespace holdfast
