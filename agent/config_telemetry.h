// The parts of service::telemetry, each in a file of its own. Single-threaded, used by
// read_telemetry().
#pragma once

#include "agent/config_parts.h"

namespace holdfast {

/// `metrics`; a null value stands for its defaults.
void read_own_metrics(const Value& value, Service& service);

/// `resource`, as a list of attributes or as the Collector's older map.
void read_own_resource(const Value& value, ResourceConfig& resource);

}  // namespace holdfast
