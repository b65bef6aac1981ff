// One exporter over several endpoints of equal standing: what one does not take for now goes to the
// next, within the same delivery.
//
// Only what says that an endpoint is away moves a batch on (SendResult::upstream_down: no
// connection, no answer, 502, 503, 504, UNAVAILABLE); an answer about the batch itself counts,
// whoever gave it. So nothing is delivered twice unless an answer was lost. An endpoint that was
// away is left alone for a pause.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "exporters/exporter.h"

namespace holdfast {

enum class EndpointStrategy : std::uint8_t {
  failover,     // the first that is not away
  round_robin,  // in turn
};

struct FailoverOptions {
  EndpointStrategy strategy = EndpointStrategy::failover;
  std::chrono::milliseconds pause{30'000};
  /// Told of each attempt, with the endpoint's place in the list; on the drain's thread. Or empty.
  std::function<void(std::size_t, const SendResult&)> report;
  std::function<std::chrono::steady_clock::time_point()> now = std::chrono::steady_clock::now;
};

/// `endpoints` are one at least, and want their bodies in one form.
std::unique_ptr<Exporter> make_failover_exporter(FailoverOptions options,
                                                 std::vector<std::unique_ptr<Exporter>> endpoints);

}  // namespace holdfast
