#include "agent/receivers.h"

#include <algorithm>
#include <mutex>
#include <set>
#include <thread>
#include <type_traits>
#include <utility>

#include "agent/logging.h"
#include "agent/routes.h"

namespace holdfast {
namespace {

template <typename ReceiverConfig>
constexpr bool kIsGrpc = std::is_same_v<ReceiverConfig, GrpcReceiverConfig>;

template <typename ReceiverConfig>
constexpr std::string_view kTransport = kIsGrpc<ReceiverConfig> ? "grpc" : "http";

template <typename Receiver>
void announce(const std::string& name, const std::string& endpoint, const Receiver& receiver) {
  constexpr bool grpc = std::is_same_v<Receiver, GrpcReceiver>;
  log(LogLevel::info, grpc ? "receiving OTLP/gRPC" : "receiving OTLP/HTTP",
      {{"receiver", name}, {"endpoint", endpoint}, {"port", receiver.port()}});
}

template <typename ReceiverConfig>
Error with_name(const std::string& name, const Error& error) {
  if (kIsGrpc<ReceiverConfig>) return error;
  return Error{error.code, "OTLP/HTTP (receiver " + name + "): " + error.message};
}

/// Takes those out of `running` whose transport is not in `config` any longer.
template <typename Set, typename IsThere>
Set take_gone(Set& running, IsThere is_there) {
  Set gone;
  for (auto it = running.begin(); it != running.end();) {
    const auto next = std::next(it);
    if (!is_there(it->first)) gone.insert(running.extract(it));
    it = next;
  }
  return gone;
}

template <typename Set>
void stop_all(Set& set, std::chrono::milliseconds grace, std::vector<std::jthread>& stops) {
  for (auto& entry : set) {
    stops.emplace_back([&receiver = *entry.second.receiver, grace] { receiver.stop(grace); });
  }
}

}  // namespace

SignalLogs logs_for(const std::string& receiver, const Config& config, const SignalLogs& logs) {
  SignalLogs named{};
  for (const PipelineConfig& pipeline : config.pipelines) {
    const auto& names = pipeline.receivers;
    if (std::find(names.begin(), names.end(), receiver) == names.end()) continue;
    if (!is_stored(config, pipeline)) continue;
    named[index_of(pipeline.signal)] = logs[index_of(pipeline.signal)];
  }
  return named;
}

struct Receivers::Change {
  Receivers& owner;
  std::set<std::string> grpc_names;  // those of the configuration
  std::set<std::string> http_names;
  GrpcSet new_grpc;
  HttpSet new_http;
  std::vector<std::function<void()>> switches;
};

void Receivers::DropChange::operator()(Change* change) const {
  Receivers& owner = change->owner;
  delete change;
  owner.forget_unused_stats();
}

template <typename Running, typename ReceiverConfig>
Status Receivers::prepare_one(const std::string& name, const ReceiverConfig& config,
                              const SignalLogs& logs, const HeldSockets& held, Running& running,
                              Running& started, std::vector<std::function<void()>>& switches) {
  using Receiver = typename decltype(started[name].receiver)::element_type;
  const auto found = running.find(name);
  if (found == running.end()) {
    auto made = Receiver::start(config, logs, stats_of(name, kTransport<ReceiverConfig>), budget_,
                                forwards_.from(name), held);
    if (!made) return with_name<ReceiverConfig>(name, made.error());
    announce(name, config.endpoint, **made);
    started[name] = {config, logs, std::move(*made)};
    return {};
  }
  auto& active = found->second;
  if (active.config == config && active.logs == logs) return {};
  auto change = active.receiver->prepare(config, logs, held);
  if (!change) return with_name<ReceiverConfig>(name, change.error());
  switches.push_back([&active, name, config, logs, change = std::move(*change)] {
    change();
    const bool moved = active.config.endpoint != config.endpoint;
    active.config = config;
    active.logs = logs;
    if (moved) announce(name, config.endpoint, *active.receiver);
  });
  return {};
}

Result<Receivers::Prepared> Receivers::prepare(const Config& config, const SignalLogs& logs,
                                               const HeldSockets& held) {
  Prepared change(new Change{*this, {}, {}, {}, {}, {}});
  for (const OtlpReceiverConfig& receiver : config.receivers) {
    const std::string& name = receiver.name;
    const SignalLogs named = logs_for(name, config, logs);
    Status status;
    if (receiver.grpc) {
      change->grpc_names.insert(name);
      status =
          prepare_one(name, *receiver.grpc, named, held, grpc_, change->new_grpc, change->switches);
    }
    if (status && receiver.http) {
      change->http_names.insert(name);
      status =
          prepare_one(name, *receiver.http, named, held, http_, change->new_http, change->switches);
    }
    if (!status) return status.error();
  }
  return change;
}

void Receivers::apply(Prepared change, std::chrono::milliseconds grace) {
  {
    // At once: a change of the gRPC server waits for the calls that are under way.
    std::vector<std::jthread> threads;
    for (const auto& each : change->switches) threads.emplace_back(each);
  }
  GrpcSet gone_grpc =
      take_gone(grpc_, [&](const auto& name) { return change->grpc_names.contains(name); });
  HttpSet gone_http =
      take_gone(http_, [&](const auto& name) { return change->http_names.contains(name); });
  {
    std::vector<std::jthread> stops;
    stop_all(gone_grpc, grace, stops);
    stop_all(gone_http, grace, stops);
  }
  gone_grpc.clear();
  gone_http.clear();
  grpc_.merge(change->new_grpc);
  http_.merge(change->new_http);
}

HeldSockets Receivers::sockets() const {
  HeldSockets all;
  const auto add = [&all](const auto& set) {
    for (const auto& entry : set) {
      const HeldSockets its = entry.second.receiver->sockets();
      all.insert(all.end(), its.begin(), its.end());
    }
  };
  add(grpc_);
  add(http_);
  return all;
}

void Receivers::follow_budget() {
  for (const auto& entry : grpc_) entry.second.receiver->follow_budget();
}

void Receivers::stop(std::chrono::milliseconds grace) {
  {
    std::vector<std::jthread> stops;
    stop_all(grpc_, grace, stops);
    stop_all(http_, grace, stops);
  }
  grpc_.clear();
  http_.clear();
}

ReceiverStats& Receivers::stats_of(const std::string& receiver, std::string_view transport) {
  for (const auto& stats : telemetry_.receivers) {
    if (stats->receiver == receiver && stats->transport == transport) return *stats;
  }
  auto stats = std::make_unique<ReceiverStats>();
  stats->receiver = receiver;
  stats->transport = transport;
  stats->tracer = telemetry_.tracer;
  std::lock_guard lock(telemetry_.mutex);
  return *telemetry_.receivers.emplace_back(std::move(stats));
}

void Receivers::forget_unused_stats() {
  std::lock_guard lock(telemetry_.mutex);
  std::erase_if(telemetry_.receivers, [this](const auto& stats) {
    if (stats->transport == kTransport<GrpcReceiverConfig>) {
      return !grpc_.contains(stats->receiver);
    }
    return stats->transport == kTransport<HttpReceiverConfig> && !http_.contains(stats->receiver);
  });
}

}  // namespace holdfast
