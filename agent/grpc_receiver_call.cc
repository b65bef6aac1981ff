#include "agent/grpc_receiver_call.h"

namespace holdfast {

/// A service is known when one of its methods is: each of OTLP's has one.
std::string unknown_method(std::string_view path, const IngestBatch& batch) {
  const std::string_view name = path.starts_with('/') ? path.substr(1) : path;
  const std::size_t slash = name.rfind('/');
  if (slash == std::string_view::npos) {
    return "malformed method name: \"" + std::string(path) + '"';
  }
  const std::string service(name.substr(0, slash));
  for (const Signal signal : kSignals) {
    if (batch.takes(signal) && traits(signal).grpc_method.starts_with('/' + service + '/')) {
      return "unknown method " + std::string(name.substr(slash + 1)) + " for service " + service;
    }
  }
  return "unknown service " + service;
}

}  // namespace holdfast
