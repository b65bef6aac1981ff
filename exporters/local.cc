#include "exporters/local.h"

#include <array>
#include <cstdint>
#include <string>

#include "exporters/wire_fields.h"

namespace holdfast {
namespace {

/// Where names and attributes lie in a span, metric, log record or profile (opentelemetry-proto
/// 1.x), and what they are called. 0: it has none.
struct ItemShape {
  std::string_view title;
  std::string_view resource_noun;
  std::string_view item_noun;
  std::string_view entry_noun;
  std::uint64_t name_field;
  std::uint64_t attributes_field;
  std::uint64_t body_field;
  std::uint64_t samples_field;  // counted
};

constexpr std::array<ItemShape, kSignalCount> kShapes{{
    {"Traces", "resource spans", "spans", "span", 5, 9, 0, 0},
    {"Metrics", "resource metrics", "data points", "metric", 1, 0, 0, 0},
    {"Logs", "resource logs", "log records", "log record", 3, 6, 5, 0},
    {"Profiles", "resource profiles", "sample records", "profile", 0, 0, 0, 2},
}};

/// Calls `visit` with the bytes of each field `number`.
template <typename Visit>
void for_each(std::string_view message, std::uint64_t number, Visit visit) {
  for (WireField field; take_field(message, field);) {
    if (field.number == number) visit(field.bytes);
  }
}

/// An AnyValue: strings, bools and integers as they are, the rest by a mark.
std::string any_value(std::string_view value) {
  WireField field;
  if (!take_field(value, field)) return "";
  switch (field.number) {
    case 1:
      return std::string(field.bytes);
    case 2:
      return field.integer != 0 ? "true" : "false";
    case 3:
      return std::to_string(static_cast<std::int64_t>(field.integer));
    default:
      return "…";
  }
}

std::string item_line(const ItemShape& shape, std::string_view item, bool attributes) {
  std::string line(shape.entry_noun);
  for_each(item, shape.name_field, [&](std::string_view name) { line.append(1, ' ') += name; });
  if (shape.body_field != 0) {
    for_each(item, shape.body_field,
             [&](std::string_view body) { line.append(1, ' ') += any_value(body); });
  }
  if (shape.samples_field != 0) {
    std::uint64_t samples = 0;
    for_each(item, shape.samples_field, [&](std::string_view) { ++samples; });
    line += " samples=" + std::to_string(samples);
  }
  if (!attributes || shape.attributes_field == 0) return line;
  for_each(item, shape.attributes_field, [&](std::string_view attribute) {
    line += ' ';
    for_each(attribute, 1, [&](std::string_view key) { line += key; });
    line += '=';
    for_each(attribute, 2, [&](std::string_view value) { line += any_value(value); });
  });
  return line;
}

/// A line a batch with its counts, as the Collector's; `normal` adds one for each item, `detailed`
/// their attributes.
class DebugExporter : public Exporter {
 public:
  DebugExporter(const DebugOptions& options, Signal signal)
      : options_(options), shape_(kShapes[index_of(signal)]) {}

  BodyForm form() const override { return {}; }

  SendResult send(const ExportBatch& batch, std::stop_token) override {
    std::uint64_t resources = 0;
    for_each(batch.body, 1, [&](std::string_view) { ++resources; });
    options_.write_line(std::string(shape_.title) + ": " + std::to_string(resources) + " " +
                        std::string(shape_.resource_noun) + ", " + std::to_string(batch.items) +
                        " " + std::string(shape_.item_noun));
    if (options_.verbosity != DebugVerbosity::basic) write_items(batch.body);
    return {.outcome = SendResult::Outcome::delivered};
  }

 private:
  void write_items(std::string_view request) {
    const bool attributes = options_.verbosity == DebugVerbosity::detailed;
    // All signals nest alike: resource (1), scope (2), item (2).
    for_each(request, 1, [&](std::string_view resource) {
      for_each(resource, 2, [&](std::string_view scope) {
        for_each(scope, 2, [&](std::string_view item) {
          options_.write_line(item_line(shape_, item, attributes));
        });
      });
    });
  }

  const DebugOptions options_;
  const ItemShape& shape_;
};

class NopExporter : public Exporter {
 public:
  BodyForm form() const override { return {.coding = ContentCoding::gzip}; }  // costs least
  SendResult send(const ExportBatch&, std::stop_token) override {
    return {.outcome = SendResult::Outcome::delivered};
  }
};

}  // namespace

std::unique_ptr<Exporter> make_debug_exporter(const DebugOptions& options, Signal signal) {
  return std::make_unique<DebugExporter>(options, signal);
}

std::unique_ptr<Exporter> make_nop_exporter() { return std::make_unique<NopExporter>(); }

}  // namespace holdfast
