// The parts of service::telemetry, each in a file of its own. Single-threaded, used by
// read_telemetry().
#pragma once

#include "agent/config_parts.h"

namespace holdfast {

/// `metrics`; a null value stands for its defaults.
void read_own_metrics(const Value& value, Service& service);

/// `traces`.
void read_own_traces(const Value& value, OwnTracesConfig& traces);

/// `processors` of `traces` and `logs`.
Reader own_processors(std::vector<OwnRecordsConfig>& out, Signal signal);

/// `exporter` of a reader or processor of `signal`; nothing if it names none.
Reader own_exporter(std::optional<OwnExporterConfig>& out, Signal signal);

/// A time as the declarative configuration has it: a number of milliseconds.
Reader milliseconds_number(milliseconds& out);

/// A scalar of that type ("string", "bool", "int", "double"; "": as YAML reads it); nothing, and an
/// error, if it is none.
std::optional<AttributeValue> attribute_value(const Value& value, std::string_view type);

/// `resource`, as a list of attributes or as the Collector's older map.
void read_own_resource(const Value& value, ResourceConfig& resource);

}  // namespace holdfast
