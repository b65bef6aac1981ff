// The resource of the agent's own telemetry (OpenTelemetry semantic conventions, "service").
#pragma once

#include "agent/attributes.h"
#include "agent/telemetry_config.h"

namespace holdfast {

/// service.instance.id, service.name and service.version with what the configuration adds, replaces
/// and removes, sorted by name. The instance is a random UUID, the same as long as the process
/// lives. Thread-safe.
Attributes own_resource(const ResourceConfig& config);

}  // namespace holdfast
