// From one configuration to the next while requests come in. All that can fail is made ready first
// and put in force at the end: an error changes nothing.
#include <algorithm>
#include <functional>
#include <iterator>
#include <mutex>
#include <utility>

#include "agent/agent.h"
#include "agent/log_settings.h"
#include "agent/logging.h"
#include "agent/own_resource.h"
#include "agent/routes.h"

namespace holdfast {
namespace {

constexpr std::chrono::milliseconds kReceiverGrace{4'000};

/// What the ports and the texts of own telemetry are made of.
bool same_own_telemetry(TelemetryConfig a, const TelemetryConfig& b) {
  a.log_level = b.log_level;
  a.log_encoding = b.log_encoding;
  return a == b;
}

std::vector<ExporterConfig> without_queue(const Config& config) {
  std::vector<ExporterConfig> found;
  std::copy_if(config.exporters.begin(), config.exporters.end(), std::back_inserter(found),
               [](const ExporterConfig& exporter) { return !exporter.queued; });
  return found;
}

/// Receivers know for good whose requests they forward.
bool same_forwarding(const Config& a, const Config& b) {
  const std::vector<ExporterConfig> forwarding = without_queue(a);
  if (forwarding != without_queue(b)) return false;
  return forwarding.empty() || a.pipelines == b.pipelines;
}

}  // namespace

struct Agent::Reload {
  Logs logs;               // of signals that had no pipeline
  SignalLogs next_logs{};  // all of the next configuration
  Receivers::Prepared receivers;
  std::unique_ptr<HealthPort> health;   // where there was none
  std::function<void()> health_change;  // where there is one
};

Status Agent::reload(Config next) {
  Reload reload;
  if (Status prepared = prepare(next, reload); !prepared) return prepared;
  if (Status changed = change_readers(next, reload); !changed) return changed;
  // From here on nothing fails.
  const Config before = std::exchange(config_, std::move(next));
  budget_.set_limit(config_.in_flight_bytes_max);
  configure_logging(config_.telemetry.log_level,
                    config_.telemetry.log_encoding == TelemetryConfig::Encoding::json);
  {
    std::lock_guard lock(telemetry_.mutex);
    telemetry_.pipelines = config_.pipelines;
  }
  take_up_logs(reload);
  flows_.start_missing(config_, reload.next_logs);
  receivers_.apply(std::move(reload.receivers), kReceiverGrace);
  receivers_.follow_budget();
  change_import(before.buffer.import, reload.next_logs);
  close_unused_logs(reload.next_logs);
  change_ports(before, reload);
  ConfigurationStats& shown = telemetry_.configuration;
  shown.loaded_unix_ns = shown.last_reload_unix_ns = system_clock().unix_ns();
  shown.last_error.set("");
  shown.taken.fetch_add(1, std::memory_order_relaxed);
  return {};
}

void Agent::note_refusal(std::string why) {
  ConfigurationStats& shown = telemetry_.configuration;
  shown.last_reload_unix_ns = system_clock().unix_ns();
  shown.last_error.set(std::move(why));
  shown.refused.fetch_add(1, std::memory_order_relaxed);
}

Status Agent::prepare(const Config& next, Reload& reload) {
  if (next.buffer.directory != config_.buffer.directory) {
    return Error{EINVAL, "the buffer directory cannot change from " + config_.buffer.directory +
                             " to " + next.buffer.directory + " (" + next.buffer.directory_source +
                             ") while the agent runs: restart it"};
  }
  if (!same_forwarding(config_, next)) {
    return Error{
        EINVAL,
        "an exporter without a queue, and pipelines beside it, cannot change while the agent "
        "runs: restart it"};
  }
  const bool traces = !(next.telemetry.traces == config_.telemetry.traces);
  if (traces || (tracer_ != nullptr && !(next.telemetry.resource == config_.telemetry.resource))) {
    return Error{EINVAL,
                 "service::telemetry::traces, and the resource of spans, cannot change while the "
                 "agent runs: restart it"};
  }
  for (const Signal signal : kSignals) {
    const std::size_t index = index_of(signal);
    if (readers_of(next, signal).empty()) continue;
    if (logs_[index] == nullptr) {
      auto opened = open_log(next, signal);
      if (!opened) return opened.error();
      reload.logs[index] = std::move(*opened);
    }
    reload.next_logs[index] = (logs_[index] ? logs_ : reload.logs)[index].get();
  }
  HeldSockets held = receivers_.sockets();
  if (health_ != nullptr) {
    const HeldSockets its = health_->sockets();
    held.insert(held.end(), its.begin(), its.end());
  }
  if (Status health = prepare_health(next, held, reload); !health) return health;
  // Last: those that are new take requests at once.
  auto receivers = receivers_.prepare(next, reload.next_logs, held);
  if (!receivers) return receivers.error();
  reload.receivers = std::move(*receivers);
  return {};
}

Status Agent::prepare_health(const Config& next, const HeldSockets& held, Reload& reload) {
  if (!next.health || next.health == config_.health) return {};
  Status status;
  if (health_ == nullptr) {
    auto started = HealthPort::start(*next.health, telemetry_, held);
    if (started) {
      reload.health = std::move(*started);
    } else {
      status = started.error();
    }
  } else {
    auto change = health_->prepare(*next.health, held);
    if (change) {
      reload.health_change = std::move(*change);
    } else {
      status = change.error();
    }
  }
  if (!status) return Error{status.error().code, "health_check: " + status.error().message};
  return {};
}

/// Stops the drains that are gone or other, and has the logs know their next readers and limits.
Status Agent::change_readers(const Config& next, const Reload& reload) {
  flows_.retire(flows_of(next));
  Status changed = set_up_logs(next, reload.next_logs);
  if (changed) return {};
  if (const Status undone = set_up_logs(config_, pointers_to(logs_)); !undone) {
    log(LogLevel::error, "the logs cannot be set up as before",
        {{"error", undone.error().message}});
  }
  flows_.start_missing(config_, pointers_to(logs_));
  return changed;
}

Status Agent::set_up_logs(const Config& config, const SignalLogs& logs) {
  for (const Signal signal : kSignals) {
    Log* const log = logs[index_of(signal)];
    if (log == nullptr) continue;
    Status status = log->set_limits(config.buffer.logs[index_of(signal)]);
    if (status) status = log->set_readers(readers_of(config, signal));
    if (!status) {
      return Error{status.error().code, "the buffer of " + std::string(name_of(signal)) +
                                            " cannot be changed: " + status.error().message};
    }
  }
  return {};
}

void Agent::take_up_logs(Reload& reload) {
  const bool grows = reload.logs != Logs{};
  if (grows) upkeep_.stop();
  for (std::size_t i = 0; i < kSignalCount; ++i) {
    if (reload.logs[i] != nullptr) logs_[i] = std::move(reload.logs[i]);
  }
  if (grows) start_upkeep();
  show_logs(reload.next_logs);
}

void Agent::close_unused_logs(const SignalLogs& used) {
  if (pointers_to(logs_) == used) return;
  upkeep_.stop();
  for (std::size_t i = 0; i < kSignalCount; ++i) {
    if (used[i] != nullptr || logs_[i] == nullptr) continue;
    logs_[i]->close();
    logs_[i].reset();
  }
  start_upkeep();
}

void Agent::change_import(const ImportConfig& before, const SignalLogs& logs) {
  const ImportTargets targets = import_targets(logs);
  if (config_.buffer.import == before && (import_ == nullptr || targets == import_targets_)) return;
  if (import_ != nullptr) import_->stop();
  import_.reset();
  {
    std::lock_guard lock(telemetry_.mutex);
    std::erase_if(telemetry_.imports, [&](const auto& stats) {
      const auto& paths = config_.buffer.import.directories[index_of(stats->signal)];
      return targets[index_of(stats->signal)].log == nullptr ||
             std::find(paths.begin(), paths.end(), stats->directory) == paths.end();
    });
    std::erase_if(telemetry_.receivers, [&](const auto& stats) {
      return stats->transport == kImportTransport && telemetry_.imports.empty();
    });
  }
  start_import(logs);
}

void Agent::change_ports(const Config& before, Reload& reload) {
  if (!config_.health && health_ != nullptr) {
    health_->stop();
    health_.reset();
  }
  if (reload.health_change) reload.health_change();
  if (reload.health != nullptr) health_ = std::move(reload.health);
  if (same_own_telemetry(before.telemetry, config_.telemetry)) return;
  own_telemetry_.reset();
  {
    std::lock_guard lock(telemetry_.mutex);
    telemetry_.resource = own_resource(config_.telemetry.resource);
  }
  if (const Status opened = holdfast::open_log(config_.telemetry, telemetry_.resource); !opened) {
    log(LogLevel::error, "the log goes where it went", {{"error", opened.error().message}});
  }
  own_telemetry_ = std::make_unique<OwnTelemetry>(config_.telemetry, telemetry_);
}

}  // namespace holdfast
