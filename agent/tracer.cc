#include "agent/tracer.h"

#include <cstring>
#include <random>
#include <span>
#include <utility>

#include "agent/own_otlp.h"
#include "buffer/clock.h"

namespace holdfast {
namespace {

template <std::size_t N>
void fill_randomly(std::array<std::uint8_t, N>& id) {
  static_assert(N % sizeof(std::uint64_t) == 0);
  thread_local std::mt19937_64 random{(std::uint64_t{std::random_device{}()} << 32) ^
                                      std::random_device{}()};
  for (std::size_t at = 0; at < N; at += sizeof(std::uint64_t)) {
    const std::uint64_t bits = random() | 1U;  // an id of zeros is none
    std::memcpy(id.data() + at, &bits, sizeof bits);
  }
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

/// False: not lower-case hex, or all zeros.
bool read_id(std::string_view hex, std::span<std::uint8_t> id) {
  bool any = false;
  for (std::size_t i = 0; i < id.size(); ++i) {
    const int high = hex_value(hex[2 * i]);
    const int low = hex_value(hex[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    id[i] = static_cast<std::uint8_t>(high * 16 + low);
    any = any || id[i] != 0;
  }
  return any;
}

struct Parent {
  std::array<std::uint8_t, 16> trace_id{};
  std::array<std::uint8_t, 8> span_id{};
  bool sampled = false;
};

/// "00-<32 hex>-<16 hex>-<2 hex>"; a later version may have more behind it.
std::optional<Parent> parse_traceparent(std::string_view text) {
  constexpr std::size_t kLength = 55;
  if (text.size() < kLength || text[2] != '-' || text[35] != '-' || text[52] != '-') {
    return std::nullopt;
  }
  const std::string_view version = text.substr(0, 2);
  if (hex_value(version[0]) < 0 || hex_value(version[1]) < 0 || version == "ff") {
    return std::nullopt;
  }
  if (text.size() > kLength && (version == "00" || text[kLength] != '-')) return std::nullopt;
  Parent parent;
  const int flags = hex_value(text[54]);
  if (hex_value(text[53]) < 0 || flags < 0) return std::nullopt;
  parent.sampled = (flags & 1) != 0;
  if (!read_id(text.substr(3, 32), parent.trace_id)) return std::nullopt;
  if (!read_id(text.substr(36, 16), parent.span_id)) return std::nullopt;
  return parent;
}

/// As the SDKs decide by a ratio: by the last eight bytes of the trace id, so that all agree.
bool is_sampled(const std::array<std::uint8_t, 16>& trace_id, double ratio) {
  if (ratio >= 1) return true;
  std::uint64_t bits = 0;
  for (std::size_t i = 8; i < trace_id.size(); ++i) bits = bits << 8U | trace_id[i];
  return static_cast<double>(bits >> 1U) < ratio * 0x1p63;
}

template <std::size_t N>
void put_id(WireBuffer& buffer, std::uint32_t field, const std::array<std::uint8_t, N>& id) {
  buffer.put_tag(field, wire::Type::length_delimited);
  buffer.put_bytes({reinterpret_cast<const char*>(id.data()), id.size()});
}

std::string encode_span(const OpenSpan& span, const SpanEnd& end, std::int64_t end_unix_ns) {
  constexpr std::uint64_t kStatusError = 2;
  WireBuffer buffer;
  put_id(buffer, 1, span.trace_id);
  put_id(buffer, 2, span.span_id);
  if (span.parent_id) put_id(buffer, 4, *span.parent_id);
  put_text(buffer, 5, end.name);
  buffer.put_tag(6, wire::Type::varint);
  buffer.put_varint(static_cast<std::uint64_t>(end.kind));
  put_fixed64(buffer, 7, static_cast<std::uint64_t>(span.start_unix_ns));
  put_fixed64(buffer, 8, static_cast<std::uint64_t>(end_unix_ns));
  for (const Attribute& attribute : end.attributes) put_attribute(buffer, 9, attribute);
  if (end.failed) {
    WireMessage status(buffer, 15);
    put_text(buffer, 2, end.message);
    buffer.put_tag(3, wire::Type::varint);
    buffer.put_varint(kStatusError);
  }
  return std::string(buffer.view());
}

class TracedExporter final : public Exporter {
 public:
  TracedExporter(std::unique_ptr<Exporter> exporter, std::string name, Tracer& tracer)
      : exporter_(std::move(exporter)), name_(std::move(name)), tracer_(tracer) {}

  BodyForm form() const override { return exporter_->form(); }

  SendResult send(const ExportBatch& batch, std::stop_token stop) override {
    const std::optional<OpenSpan> span = tracer_.start();
    SendResult result = exporter_->send(batch, std::move(stop));
    if (span) tracer_.end(*span, end_of(batch, result));
    return result;
  }

 private:
  SpanEnd end_of(const ExportBatch& batch, const SendResult& result) const {
    const bool sent = result.outcome == SendResult::Outcome::delivered;
    const auto items = static_cast<std::int64_t>(batch.items);
    const std::string signal(name_of(batch.signal));
    SpanEnd end{.name = "exporter/" + name_ + "/" + signal, .kind = SpanEnd::Kind::client};
    end.attributes = {{"exporter", name_},
                      {"data_type", signal},
                      {"items.sent", sent ? items : std::int64_t{0}},
                      {"items.failed", sent ? std::int64_t{0} : items}};
    end.failed = !sent;
    if (!sent) end.message = describe(result);
    return end;
  }

  const std::unique_ptr<Exporter> exporter_;
  const std::string name_;
  Tracer& tracer_;
};

}  // namespace

Tracer::Tracer(const OwnTracesConfig& config, const Attributes& resource, Counter& dropped)
    : sampler_(config.sampler), trace_context_(config.trace_context) {
  for (const OwnRecordsConfig& processor : config.processors) {
    processors_.push_back(std::make_unique<OwnRecords>(
        processor, OwnRecords::Source{Signal::traces, "holdfast", resource}, dropped));
  }
}

std::optional<OpenSpan> Tracer::start(std::string_view traceparent) const {
  OpenSpan span;
  double ratio = sampler_.root;
  const auto parent = trace_context_ ? parse_traceparent(traceparent) : std::nullopt;
  if (parent) {
    span.trace_id = parent->trace_id;
    span.parent_id = parent->span_id;
    ratio = parent->sampled ? sampler_.remote_sampled : sampler_.remote_not_sampled;
  } else {
    fill_randomly(span.trace_id);
  }
  if (!is_sampled(span.trace_id, ratio)) return std::nullopt;
  fill_randomly(span.span_id);
  span.start_unix_ns = system_clock().unix_ns();
  return span;
}

void Tracer::end(const OpenSpan& span, const SpanEnd& end) {
  const std::string record = encode_span(span, end, system_clock().unix_ns());
  for (const auto& processor : processors_) processor->add(record);
}

SpanEnd received(std::string_view receiver, std::string_view transport, Signal signal) {
  // The Collector's names of operations.
  static constexpr std::array<std::string_view, kSignalCount> kOperations{
      "TraceDataReceived", "MetricsReceived", "LogsReceived", "ProfilesReceived"};
  const std::string_view operation = kOperations[index_of(signal)];
  SpanEnd end;
  end.name = std::string("receiver/").append(receiver).append("/").append(operation);
  end.attributes = {{"receiver", std::string(receiver)}, {"transport", std::string(transport)}};
  return end;
}

void end_request_span(const ReceiverStats& receiver, Signal signal,
                      const std::optional<OpenSpan>& span, const std::string& failure) {
  if (!span) return;
  SpanEnd end = received(receiver.receiver, receiver.transport, signal);
  end.failed = !failure.empty();
  end.message = failure;
  receiver.tracer->end(*span, end);
}

std::unique_ptr<Exporter> make_traced_exporter(std::unique_ptr<Exporter> exporter, std::string name,
                                               Tracer& tracer) {
  return std::make_unique<TracedExporter>(std::move(exporter), std::move(name), tracer);
}

}  // namespace holdfast
