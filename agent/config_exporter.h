// Between the files that read exporters: the sections that several kinds have, and the kinds that
// have a file of their own. Single-threaded, as all of config*.
#pragma once

#include "agent/config_parts.h"

namespace holdfast {

/// `retry_on_failure`.
void read_retry(const Value& value, RetryConfig& retry);

/// `sending_queue`. `exporter` must outlive it.
Reader sending_queue(DeclaredExporter& exporter);

/// `endpoint_strategy`.
Reader endpoint_strategy(EndpointStrategy& out);

/// `endpoints`, each read by `one`, which puts it into `out`.
Reader endpoint_list(std::function<void(const Value&, std::vector<std::string>&)> one,
                     std::vector<std::string>& out);

/// `endpoints` stand in place of `others`.
void check_endpoints(const Value& exporter, const std::vector<std::string>& others);

void read_otlp_grpc(const ComponentId& id, const Value& value, Declared& declared);
void read_file(const ComponentId& id, const Value& value, Declared& declared);

}  // namespace holdfast
