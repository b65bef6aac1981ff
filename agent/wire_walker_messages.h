// The fields of the OTLP messages as the wire walker sees them: number, wire form, and the name
// that the Collector uses in its errors.
//
// Source: opentelemetry-proto 1.x; the names are the Collector's. Field 1000 of the Resource*
// messages is the scope list of before OTLP 0.9, which the Collector still reads. Constants only;
// a unit test compares them with the descriptors.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace holdfast::wire {

enum class Message : std::uint8_t {
  export_traces,
  export_metrics,
  export_logs,
  export_profiles,
  resource_spans,
  resource_metrics,
  resource_logs,
  resource_profiles,
  scope_spans,
  scope_metrics,
  scope_logs,
  scope_profiles,
  resource,
  scope,
  key_value,
  any_value,
  array_value,
  key_value_list,
  entity_ref,
  span,
  event,
  link,
  status,
  metric,
  number_data,  // Gauge and the points of Sum
  sum,
  histogram,
  exponential_histogram,
  summary,
  number_point,
  histogram_point,
  exponential_point,
  buckets,
  summary_point,
  quantile,
  exemplar,
  log_record,
  profile,
  sample,
  value_type,
  dictionary,
  mapping,
  location,
  line,
  function,
  profile_link,
  key_value_and_unit,
  stack,
  none,
};
inline constexpr std::size_t kMessageCount = static_cast<std::size_t>(Message::none);

enum class Form : std::uint8_t {
  unknown,
  varint,
  fixed64,
  fixed32,
  bytes,
  text,  // proto3 string
  trace_id,
  span_id,
  profile_id,
  message,
  attribute,  // a KeyValue: a message, by far the most frequent one
  item,       // a message that counts: span, data point, log record, sample
  packed_fixed64,
  packed_varint,
  old_scopes,  // field 1000
};

struct FieldRule {
  std::uint32_t number;
  Form form;
  const char* name;
  Message child = Message::none;
};

// clang-format off
inline constexpr FieldRule kExportTraces[] = {{1, Form::message, "ResourceSpans", Message::resource_spans}};
inline constexpr FieldRule kExportMetrics[] = {{1, Form::message, "ResourceMetrics", Message::resource_metrics}};
inline constexpr FieldRule kExportLogs[] = {{1, Form::message, "ResourceLogs", Message::resource_logs}};
inline constexpr FieldRule kExportProfiles[] = {
    {1, Form::message, "ResourceProfiles", Message::resource_profiles},
    {2, Form::message, "Dictionary", Message::dictionary}};
inline constexpr FieldRule kResourceSpans[] = {
    {1, Form::message, "Resource", Message::resource},
    {2, Form::message, "ScopeSpans", Message::scope_spans},
    {3, Form::text, "SchemaUrl"},
    {1000, Form::old_scopes, "DeprecatedScopeSpans", Message::scope_spans}};
inline constexpr FieldRule kResourceMetrics[] = {
    {1, Form::message, "Resource", Message::resource},
    {2, Form::message, "ScopeMetrics", Message::scope_metrics},
    {3, Form::text, "SchemaUrl"},
    {1000, Form::old_scopes, "DeprecatedScopeMetrics", Message::scope_metrics}};
inline constexpr FieldRule kResourceLogs[] = {
    {1, Form::message, "Resource", Message::resource},
    {2, Form::message, "ScopeLogs", Message::scope_logs},
    {3, Form::text, "SchemaUrl"},
    {1000, Form::old_scopes, "DeprecatedScopeLogs", Message::scope_logs}};
inline constexpr FieldRule kResourceProfiles[] = {
    {1, Form::message, "Resource", Message::resource},
    {2, Form::message, "ScopeProfiles", Message::scope_profiles},
    {3, Form::text, "SchemaUrl"}};
inline constexpr FieldRule kScopeSpans[] = {
    {1, Form::message, "Scope", Message::scope},
    {2, Form::item, "Spans", Message::span},
    {3, Form::text, "SchemaUrl"}};
inline constexpr FieldRule kScopeMetrics[] = {
    {1, Form::message, "Scope", Message::scope},
    {2, Form::message, "Metrics", Message::metric},
    {3, Form::text, "SchemaUrl"}};
inline constexpr FieldRule kScopeLogs[] = {
    {1, Form::message, "Scope", Message::scope},
    {2, Form::item, "LogRecords", Message::log_record},
    {3, Form::text, "SchemaUrl"}};
inline constexpr FieldRule kScopeProfiles[] = {
    {1, Form::message, "Scope", Message::scope},
    {2, Form::message, "Profiles", Message::profile},
    {3, Form::text, "SchemaUrl"}};
inline constexpr FieldRule kResource[] = {
    {1, Form::attribute, "Attributes", Message::key_value},
    {2, Form::varint, "DroppedAttributesCount"},
    {3, Form::message, "EntityRefs", Message::entity_ref}};
inline constexpr FieldRule kScope[] = {
    {1, Form::text, "Name"},
    {2, Form::text, "Version"},
    {3, Form::attribute, "Attributes", Message::key_value},
    {4, Form::varint, "DroppedAttributesCount"}};
inline constexpr FieldRule kKeyValue[] = {
    {1, Form::text, "Key"},
    {2, Form::message, "Value", Message::any_value},
    {3, Form::varint, "KeyStrindex"}};
inline constexpr FieldRule kAnyValue[] = {
    {1, Form::text, "StringValue"},
    {2, Form::varint, "BoolValue"},
    {3, Form::varint, "IntValue"},
    {4, Form::fixed64, "DoubleValue"},
    {5, Form::message, "ArrayValue", Message::array_value},
    {6, Form::message, "KvlistValue", Message::key_value_list},
    {7, Form::bytes, "BytesValue"},
    {8, Form::varint, "StringValueStrindex"}};
inline constexpr FieldRule kArrayValue[] = {{1, Form::message, "Values", Message::any_value}};
inline constexpr FieldRule kKeyValueList[] = {{1, Form::attribute, "Values", Message::key_value}};
inline constexpr FieldRule kEntityRef[] = {
    {1, Form::text, "SchemaUrl"},
    {2, Form::text, "Type"},
    {3, Form::text, "IdKeys"},
    {4, Form::text, "DescriptionKeys"}};
inline constexpr FieldRule kSpan[] = {
    {1, Form::trace_id, "TraceId"},
    {2, Form::span_id, "SpanId"},
    {3, Form::text, "TraceState"},
    {4, Form::span_id, "ParentSpanId"},
    {5, Form::text, "Name"},
    {6, Form::varint, "Kind"},
    {7, Form::fixed64, "StartTimeUnixNano"},
    {8, Form::fixed64, "EndTimeUnixNano"},
    {9, Form::attribute, "Attributes", Message::key_value},
    {10, Form::varint, "DroppedAttributesCount"},
    {11, Form::message, "Events", Message::event},
    {12, Form::varint, "DroppedEventsCount"},
    {13, Form::message, "Links", Message::link},
    {14, Form::varint, "DroppedLinksCount"},
    {15, Form::message, "Status", Message::status},
    {16, Form::fixed32, "Flags"}};
inline constexpr FieldRule kEvent[] = {
    {1, Form::fixed64, "TimeUnixNano"},
    {2, Form::text, "Name"},
    {3, Form::attribute, "Attributes", Message::key_value},
    {4, Form::varint, "DroppedAttributesCount"}};
inline constexpr FieldRule kLink[] = {
    {1, Form::trace_id, "TraceId"},
    {2, Form::span_id, "SpanId"},
    {3, Form::text, "TraceState"},
    {4, Form::attribute, "Attributes", Message::key_value},
    {5, Form::varint, "DroppedAttributesCount"},
    {6, Form::fixed32, "Flags"}};
inline constexpr FieldRule kStatus[] = {
    {2, Form::text, "Message"},
    {3, Form::varint, "Code"}};
inline constexpr FieldRule kMetric[] = {
    {1, Form::text, "Name"},
    {2, Form::text, "Description"},
    {3, Form::text, "Unit"},
    {5, Form::message, "Gauge", Message::number_data},
    {7, Form::message, "Sum", Message::sum},
    {9, Form::message, "Histogram", Message::histogram},
    {10, Form::message, "ExponentialHistogram", Message::exponential_histogram},
    {11, Form::message, "Summary", Message::summary},
    {12, Form::attribute, "Metadata", Message::key_value}};
inline constexpr FieldRule kNumberData[] = {{1, Form::item, "DataPoints", Message::number_point}};
inline constexpr FieldRule kSum[] = {
    {1, Form::item, "DataPoints", Message::number_point},
    {2, Form::varint, "AggregationTemporality"},
    {3, Form::varint, "IsMonotonic"}};
inline constexpr FieldRule kHistogram[] = {
    {1, Form::item, "DataPoints", Message::histogram_point},
    {2, Form::varint, "AggregationTemporality"}};
inline constexpr FieldRule kExponentialHistogram[] = {
    {1, Form::item, "DataPoints", Message::exponential_point},
    {2, Form::varint, "AggregationTemporality"}};
inline constexpr FieldRule kSummary[] = {{1, Form::item, "DataPoints", Message::summary_point}};
inline constexpr FieldRule kNumberPoint[] = {
    {2, Form::fixed64, "StartTimeUnixNano"},
    {3, Form::fixed64, "TimeUnixNano"},
    {4, Form::fixed64, "AsDouble"},
    {5, Form::message, "Exemplars", Message::exemplar},
    {6, Form::fixed64, "AsInt"},
    {7, Form::attribute, "Attributes", Message::key_value},
    {8, Form::varint, "Flags"}};
inline constexpr FieldRule kHistogramPoint[] = {
    {2, Form::fixed64, "StartTimeUnixNano"},
    {3, Form::fixed64, "TimeUnixNano"},
    {4, Form::fixed64, "Count"},
    {5, Form::fixed64, "Sum"},
    {6, Form::packed_fixed64, "BucketCounts"},
    {7, Form::packed_fixed64, "ExplicitBounds"},
    {8, Form::message, "Exemplars", Message::exemplar},
    {9, Form::attribute, "Attributes", Message::key_value},
    {10, Form::varint, "Flags"},
    {11, Form::fixed64, "Min"},
    {12, Form::fixed64, "Max"}};
inline constexpr FieldRule kExponentialPoint[] = {
    {1, Form::attribute, "Attributes", Message::key_value},
    {2, Form::fixed64, "StartTimeUnixNano"},
    {3, Form::fixed64, "TimeUnixNano"},
    {4, Form::fixed64, "Count"},
    {5, Form::fixed64, "Sum"},
    {6, Form::varint, "Scale"},
    {7, Form::fixed64, "ZeroCount"},
    {8, Form::message, "Positive", Message::buckets},
    {9, Form::message, "Negative", Message::buckets},
    {10, Form::varint, "Flags"},
    {11, Form::message, "Exemplars", Message::exemplar},
    {12, Form::fixed64, "Min"},
    {13, Form::fixed64, "Max"},
    {14, Form::fixed64, "ZeroThreshold"}};
inline constexpr FieldRule kBuckets[] = {
    {1, Form::varint, "Offset"},
    {2, Form::packed_varint, "BucketCounts"}};
inline constexpr FieldRule kSummaryPoint[] = {
    {2, Form::fixed64, "StartTimeUnixNano"},
    {3, Form::fixed64, "TimeUnixNano"},
    {4, Form::fixed64, "Count"},
    {5, Form::fixed64, "Sum"},
    {6, Form::message, "QuantileValues", Message::quantile},
    {7, Form::attribute, "Attributes", Message::key_value},
    {8, Form::varint, "Flags"}};
inline constexpr FieldRule kQuantile[] = {
    {1, Form::fixed64, "Quantile"},
    {2, Form::fixed64, "Value"}};
inline constexpr FieldRule kExemplar[] = {
    {2, Form::fixed64, "TimeUnixNano"},
    {3, Form::fixed64, "AsDouble"},
    {4, Form::span_id, "SpanId"},
    {5, Form::trace_id, "TraceId"},
    {6, Form::fixed64, "AsInt"},
    {7, Form::attribute, "FilteredAttributes", Message::key_value}};
inline constexpr FieldRule kLogRecord[] = {
    {1, Form::fixed64, "TimeUnixNano"},
    {2, Form::varint, "SeverityNumber"},
    {3, Form::text, "SeverityText"},
    {5, Form::message, "Body", Message::any_value},
    {6, Form::attribute, "Attributes", Message::key_value},
    {7, Form::varint, "DroppedAttributesCount"},
    {8, Form::fixed32, "Flags"},
    {9, Form::trace_id, "TraceId"},
    {10, Form::span_id, "SpanId"},
    {11, Form::fixed64, "ObservedTimeUnixNano"},
    {12, Form::text, "EventName"}};
inline constexpr FieldRule kProfile[] = {
    {1, Form::message, "SampleType", Message::value_type},
    {2, Form::item, "Samples", Message::sample},
    {3, Form::fixed64, "TimeUnixNano"},
    {4, Form::varint, "DurationNano"},
    {5, Form::message, "PeriodType", Message::value_type},
    {6, Form::varint, "Period"},
    {7, Form::profile_id, "ProfileId"},
    {8, Form::varint, "DroppedAttributesCount"},
    {9, Form::text, "OriginalPayloadFormat"},
    {10, Form::bytes, "OriginalPayload"},
    {11, Form::packed_varint, "AttributeIndices"}};
inline constexpr FieldRule kSample[] = {
    {1, Form::varint, "StackIndex"},
    {2, Form::packed_varint, "AttributeIndices"},
    {3, Form::varint, "LinkIndex"},
    {4, Form::packed_varint, "Values"},
    {5, Form::packed_fixed64, "TimestampsUnixNano"}};
inline constexpr FieldRule kValueType[] = {
    {1, Form::varint, "TypeStrindex"},
    {2, Form::varint, "UnitStrindex"}};
inline constexpr FieldRule kDictionary[] = {
    {1, Form::message, "MappingTable", Message::mapping},
    {2, Form::message, "LocationTable", Message::location},
    {3, Form::message, "FunctionTable", Message::function},
    {4, Form::message, "LinkTable", Message::profile_link},
    {5, Form::text, "StringTable"},
    {6, Form::message, "AttributeTable", Message::key_value_and_unit},
    {7, Form::message, "StackTable", Message::stack}};
inline constexpr FieldRule kMapping[] = {
    {1, Form::varint, "MemoryStart"},
    {2, Form::varint, "MemoryLimit"},
    {3, Form::varint, "FileOffset"},
    {4, Form::varint, "FilenameStrindex"},
    {5, Form::packed_varint, "AttributeIndices"}};
inline constexpr FieldRule kLocation[] = {
    {1, Form::varint, "MappingIndex"},
    {2, Form::varint, "Address"},
    {3, Form::message, "Lines", Message::line},
    {4, Form::packed_varint, "AttributeIndices"}};
inline constexpr FieldRule kLine[] = {
    {1, Form::varint, "FunctionIndex"},
    {2, Form::varint, "Line"},
    {3, Form::varint, "Column"}};
inline constexpr FieldRule kFunction[] = {
    {1, Form::varint, "NameStrindex"},
    {2, Form::varint, "SystemNameStrindex"},
    {3, Form::varint, "FilenameStrindex"},
    {4, Form::varint, "StartLine"}};
inline constexpr FieldRule kProfileLink[] = {
    {1, Form::trace_id, "TraceId"},
    {2, Form::span_id, "SpanId"}};
inline constexpr FieldRule kKeyValueAndUnit[] = {
    {1, Form::varint, "KeyStrindex"},
    {2, Form::message, "Value", Message::any_value},
    {3, Form::varint, "UnitStrindex"}};
inline constexpr FieldRule kStack[] = {{1, Form::packed_varint, "LocationIndices"}};

/// By Message.
inline constexpr std::array<std::span<const FieldRule>, kMessageCount> kRules{
    kExportTraces, kExportMetrics, kExportLogs, kExportProfiles, kResourceSpans, kResourceMetrics,
    kResourceLogs, kResourceProfiles, kScopeSpans, kScopeMetrics, kScopeLogs, kScopeProfiles,
    kResource, kScope, kKeyValue, kAnyValue, kArrayValue, kKeyValueList,
    kEntityRef, kSpan, kEvent, kLink, kStatus, kMetric,
    kNumberData, kSum, kHistogram, kExponentialHistogram, kSummary, kNumberPoint,
    kHistogramPoint, kExponentialPoint, kBuckets, kSummaryPoint, kQuantile, kExemplar,
    kLogRecord, kProfile, kSample, kValueType, kDictionary, kMapping,
    kLocation, kLine, kFunction, kProfileLink, kKeyValueAndUnit, kStack};
// clang-format on

constexpr std::span<const FieldRule> rules_of(Message type) {
  return kRules[static_cast<std::size_t>(type)];
}

}  // namespace holdfast::wire
