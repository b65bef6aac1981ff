#include "exporters/failover.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace holdfast {
namespace {

using TimePoint = std::chrono::steady_clock::time_point;

class FailoverExporter final : public Exporter {
 public:
  FailoverExporter(FailoverOptions options, std::vector<std::unique_ptr<Exporter>> endpoints)
      : options_(std::move(options)) {
    for (auto& exporter : endpoints) endpoints_.push_back({std::move(exporter), TimePoint::min()});
  }

  BodyForm form() const override { return endpoints_.front().exporter->form(); }

  SendResult send(const ExportBatch& batch, std::stop_token stop) override {
    SendResult result;
    for (const std::size_t place : order()) {
      result = try_one(place, batch, stop);
      if (!result.upstream_down || stop.stop_requested()) break;
    }
    return result;
  }

 private:
  struct Endpoint {
    std::unique_ptr<Exporter> exporter;
    TimePoint rests_until;
  };

  /// Those that rest come last: for when nobody else is there.
  std::vector<std::size_t> order() {
    std::vector<std::size_t> places(endpoints_.size());
    std::iota(places.begin(), places.end(), std::size_t{0});
    if (options_.strategy == EndpointStrategy::round_robin) {
      std::rotate(places.begin(), places.begin() + static_cast<std::ptrdiff_t>(next_),
                  places.end());
      next_ = (next_ + 1) % endpoints_.size();
    }
    std::stable_partition(places.begin(), places.end(), [this, now = options_.now()](auto place) {
      return endpoints_[place].rests_until <= now;
    });
    return places;
  }

  SendResult try_one(std::size_t place, const ExportBatch& batch, const std::stop_token& stop) {
    Endpoint& endpoint = endpoints_[place];
    SendResult result = endpoint.exporter->send(batch, stop);
    if (stop.stop_requested() && result.outcome != SendResult::Outcome::delivered) return result;
    const auto pause = std::max(options_.pause, result.retry_after.value_or(options_.pause));
    endpoint.rests_until = result.upstream_down ? options_.now() + pause : TimePoint::min();
    if (options_.report) options_.report(place, result);
    return result;
  }

  const FailoverOptions options_;
  std::vector<Endpoint> endpoints_;
  std::size_t next_ = 0;  // whose turn it is
};

}  // namespace

std::unique_ptr<Exporter> make_failover_exporter(FailoverOptions options,
                                                 std::vector<std::unique_ptr<Exporter>> endpoints) {
  return std::make_unique<FailoverExporter>(std::move(options), std::move(endpoints));
}

}  // namespace holdfast
