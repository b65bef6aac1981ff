// The health of each component as the Collector's health check, version 2, answers it.
// Source: opentelemetry-collector-contrib, extension/healthcheckv2extension, README.
//
// An exporter that is away for now has StatusRecoverableError, one that refuses until somebody
// mends it StatusPermanentError, a receiver whose buffer is full StatusRecoverableError. The status
// of a pipeline, and of the whole, is that of what is worst in it. Thread-safe.
#pragma once

#include "agent/config.h"
#include "agent/health.h"
#include "agent/http_server.h"

namespace holdfast {

/// `query` is what stands behind the ?: `pipeline=NAME`, `verbose`. An unknown pipeline: 404.
HttpResponse component_status_response(const HealthV2Config& config, std::string_view query,
                                       const Telemetry& telemetry);

}  // namespace holdfast
