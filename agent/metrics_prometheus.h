// Metrics as Prometheus text (format 0.0.4), named as the Collector's own exporter does it
// (OpenTelemetry specification, "Prometheus and OpenMetrics Compatibility"). Pure; thread-safe.
#pragma once

#include <string>

#include "agent/attributes.h"
#include "agent/metrics_families.h"
#include "agent/telemetry_config.h"

namespace holdfast {

/// An empty resource has no target_info. Label values may hold anything: what is not UTF-8 is
/// replaced, since one bad byte makes a scraper refuse all.
std::string prometheus_text(const std::vector<MetricFamily>& families, const PrometheusStyle& style,
                            const Attributes& resource);

}  // namespace holdfast
