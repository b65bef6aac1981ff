#include "agent/own_otlp.h"

#include <bit>
#include <type_traits>

#include "agent/utf8.h"

namespace holdfast {
namespace {

using wire::Type;

// Most messages here need two bytes for their length; others are moved by a few.
constexpr std::size_t kLengthBytes = 2;

// All three requests have the same outline: request → resource group → scope group → record.
constexpr std::uint32_t kResourceGroup = 1;
constexpr std::uint32_t kResource = 1;
constexpr std::uint32_t kScopeGroup = 2;
constexpr std::uint32_t kScope = 1;
constexpr std::uint32_t kRecord = 2;

void put_resource(WireBuffer& buffer, const Attributes& resource) {
  WireMessage message(buffer, kResource);
  for (const Attribute& attribute : resource) put_attribute(buffer, 1, attribute);
}

void put_scope(WireBuffer& buffer, std::string_view name) {
  WireMessage message(buffer, kScope);
  put_text(buffer, 1, name);
}

void put_point(WireBuffer& buffer, const MetricSample& sample, const MetricsTime& time) {
  WireMessage point(buffer, 1);
  put_fixed64(buffer, 2, static_cast<std::uint64_t>(time.start_unix_ns));
  put_fixed64(buffer, 3, static_cast<std::uint64_t>(time.unix_ns));
  if (const auto* number = std::get_if<double>(&sample.value)) {
    put_fixed64(buffer, 4, std::bit_cast<std::uint64_t>(*number));
  } else {
    put_fixed64(buffer, 6, std::get<std::uint64_t>(sample.value));
  }
  for (const auto& [name, text] : sample.labels) put_attribute(buffer, 7, {name, text});
}

void put_metric(WireBuffer& buffer, const MetricFamily& family, const MetricsTime& time) {
  constexpr std::uint32_t kGauge = 5;
  constexpr std::uint32_t kSum = 7;
  constexpr std::uint64_t kCumulative = 2;
  WireMessage metric(buffer, kRecord);
  put_text(buffer, 1, family.name);
  put_text(buffer, 2, family.help);
  put_text(buffer, 3, family.unit);
  WireMessage data(buffer, family.counter ? kSum : kGauge);
  for (const MetricSample& sample : family.samples) put_point(buffer, sample, time);
  if (!family.counter) return;
  buffer.put_tag(2, Type::varint);
  buffer.put_varint(kCumulative);
  buffer.put_tag(3, Type::varint);
  buffer.put_varint(1);
}

}  // namespace

WireMessage::WireMessage(WireBuffer& buffer, std::uint32_t field) : buffer_(buffer) {
  buffer_.put_tag(field, Type::length_delimited);
  begin_ = buffer_.open(kLengthBytes);
}

WireMessage::~WireMessage() { buffer_.close(begin_, kLengthBytes); }

void put_text(WireBuffer& buffer, std::uint32_t field, std::string_view text) {
  if (text.empty()) return;
  buffer.put_tag(field, Type::length_delimited);
  buffer.put_bytes(to_utf8(text));
}

void put_fixed64(WireBuffer& buffer, std::uint32_t field, std::uint64_t value) {
  buffer.put_tag(field, Type::fixed64);
  buffer.put_fixed(value);
}

void put_attribute(WireBuffer& buffer, std::uint32_t field, const Attribute& attribute) {
  WireMessage key_value(buffer, field);
  put_text(buffer, 1, attribute.name);
  WireMessage any_value(buffer, 2);
  std::visit(
      [&buffer](const auto& value) {
        using Content = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<Content, std::string>) {
          // A member of a oneof: there even if it is empty.
          buffer.put_tag(1, Type::length_delimited);
          buffer.put_bytes(to_utf8(value));
        } else if constexpr (std::is_same_v<Content, double>) {
          put_fixed64(buffer, 4, std::bit_cast<std::uint64_t>(value));
        } else {
          buffer.put_tag(std::is_same_v<Content, bool> ? 2 : 3, Type::varint);
          buffer.put_varint(static_cast<std::uint64_t>(value));
        }
      },
      attribute.value);
}

std::string encode_own_metrics(const std::vector<MetricFamily>& families,
                               const Attributes& resource, MetricsTime time) {
  WireBuffer buffer;
  {
    WireMessage group(buffer, kResourceGroup);
    put_resource(buffer, resource);
    for (std::size_t i = 0; i < families.size();) {
      const std::string_view scope = families[i].scope;
      WireMessage scope_group(buffer, kScopeGroup);
      put_scope(buffer, scope);
      for (; i < families.size() && families[i].scope == scope; ++i) {
        put_metric(buffer, families[i], time);
      }
    }
  }
  return std::string(buffer.view());
}

std::string encode_own_records(std::span<const std::string> records, const Attributes& resource,
                               std::string_view scope) {
  WireBuffer buffer;
  {
    WireMessage group(buffer, kResourceGroup);
    put_resource(buffer, resource);
    WireMessage scope_group(buffer, kScopeGroup);
    put_scope(buffer, scope);
    for (const std::string& record : records) {
      buffer.put_tag(kRecord, Type::length_delimited);
      buffer.put_bytes(record);
    }
  }
  return std::string(buffer.view());
}

}  // namespace holdfast
