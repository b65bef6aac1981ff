// The metrics that the OpenTelemetry Collector exposes of itself, under its names, so that
// dashboards and alerts go on working. docs/operations.md says where a meaning differs.
#pragma once

#include "agent/health.h"
#include "agent/metrics_families.h"
#include "agent/status_snapshot.h"

namespace holdfast {

void add_collector_metrics(const Telemetry& telemetry, const StatusSnapshot& snapshot,
                           MetricFamilies& families);

}  // namespace holdfast
