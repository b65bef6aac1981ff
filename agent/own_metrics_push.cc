#include "agent/own_metrics_push.h"

#include "agent/own_otlp.h"

namespace holdfast {
namespace {

constexpr std::chrono::milliseconds kLastPush{1'000};

}  // namespace

OwnMetricsPush::OwnMetricsPush(const MetricsPushConfig& config, const Telemetry& telemetry)
    : config_(config),
      telemetry_(telemetry),
      exporter_(config.exporter, Signal::metrics),
      thread_([this](const std::stop_token& stop) noexcept { run(stop); }) {}

OwnMetricsPush::~OwnMetricsPush() {
  thread_.request_stop();
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, kLastPush, [this] { return ended_; })) cut_.request_stop();
}

void OwnMetricsPush::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, stop, config_.interval, [] { return false; });
    }
    push();
  }
  std::lock_guard lock(mutex_);
  ended_ = true;
  changed_.notify_all();
}

void OwnMetricsPush::push() {
  MetricFamilies families = collect_metrics(telemetry_);
  families.drop(config_.dropped);
  std::uint64_t points = 0;
  for (const MetricFamily& family : families.families()) points += family.samples.size();
  const std::string request =
      encode_own_metrics(families.families(), telemetry_.resource,
                         {telemetry_.start_unix_ns, telemetry_.clock->unix_ns()});
  exporter_.send(request, points, cut_.get_token());
}

}  // namespace holdfast
