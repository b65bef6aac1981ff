#include "agent/grpc_receiver.h"

#include <algorithm>
#include <iterator>
#include <thread>
#include <utility>

namespace holdfast {
namespace {

// What a server has accepted last may still be shaking hands when it is to end.
constexpr std::chrono::milliseconds kHandshakeGrace{250};
constexpr std::chrono::milliseconds kCallsGrace{4'000};
// With other settings each, for clients that stay connected through as many changes.
constexpr std::size_t kServersMax = 4;

/// What a server cannot change while it runs.
bool same_server(GrpcReceiverConfig a, const GrpcReceiverConfig& b) {
  a.endpoint = b.endpoint;
  a.auth = b.auth;
  return a == b;
}

Result<GrpcCalls::Settings> load_settings(const GrpcReceiverConfig& config,
                                          const SignalLogs& logs) {
  GrpcCalls::Settings settings;
  settings.logs = logs;
  if (!config.auth) return settings;
  auto loaded = Authenticator::load(*config.auth);
  if (!loaded.ok()) return Error{loaded.error().code, "OTLP/gRPC: " + loaded.error().message};
  settings.authenticator = std::move(loaded).value();
  return settings;
}

Result<std::vector<ListenSocket>> listen_for_grpc(const std::string& endpoint,
                                                  const HeldSockets& held) {
  auto sockets = listen_on(endpoint, held);
  if (!sockets.ok()) return Error{sockets.error().code, "OTLP/gRPC: " + sockets.error().message};
  return sockets;
}

}  // namespace

/// What is made anew; else as it was.
struct GrpcReceiver::Change {
  GrpcReceiverConfig config;
  std::vector<GrpcCalls::Settings> settings;  // for the servers that there are
  std::unique_ptr<GrpcCalls> server;          // none: the last one is as it shall be
  std::vector<ListenSocket> sockets;          // none: the endpoint stays
};

Result<std::unique_ptr<GrpcReceiver>> GrpcReceiver::start(const GrpcReceiverConfig& config,
                                                          SignalLogs logs, ReceiverStats& stats,
                                                          ByteBudget& budget,
                                                          SignalForwarders forwarders,
                                                          const HeldSockets& held) {
  std::unique_ptr<GrpcReceiver> receiver(new GrpcReceiver(config, stats, budget, forwarders));
  auto settings = load_settings(config, logs);
  if (!settings.ok()) return settings.error();
  auto sockets = listen_for_grpc(config.endpoint, held);
  if (!sockets.ok()) return sockets.error();
  auto server =
      GrpcCalls::start(config, std::move(*settings), stats, budget, std::move(forwarders));
  if (!server.ok()) return server.error();
  receiver->servers_.push_back(std::move(*server));
  receiver->listen(std::move(*sockets));
  return receiver;
}

GrpcReceiver::~GrpcReceiver() { stop(std::chrono::milliseconds(0)); }

void GrpcReceiver::listen(std::vector<ListenSocket> sockets) {
  listener_ = std::make_unique<GrpcListener>(std::move(sockets), [this](int fd, int listener_fd) {
    std::lock_guard lock(serving_mutex_);
    servers_.back()->serve(fd, listener_fd);
  });
}

HeldSockets GrpcReceiver::sockets() const {
  HeldSockets sockets;
  for (const ListenSocket& socket : listener_->sockets()) sockets.push_back(&socket);
  return sockets;
}

Result<std::function<void()>> GrpcReceiver::prepare(const GrpcReceiverConfig& config,
                                                    SignalLogs logs, const HeldSockets& held) {
  // Shared since a std::function wants to be copied.
  const auto change = std::make_shared<Change>();
  change->config = config;
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    auto settings = load_settings(config, logs);
    if (!settings.ok()) return settings.error();
    change->settings.push_back(std::move(*settings));
  }
  if (config.endpoint != config_.endpoint) {
    auto sockets = listen_for_grpc(config.endpoint, held);
    if (!sockets.ok()) return sockets.error();
    change->sockets = std::move(*sockets);
  }
  if (!same_server(config, config_)) {
    auto settings = load_settings(config, logs);
    if (!settings.ok()) return settings.error();
    auto server = GrpcCalls::start(config, std::move(*settings), stats_, budget_, forwarders_);
    if (!server.ok()) return server.error();
    change->server = std::move(*server);
  }
  return std::function<void()>([this, change] { apply(*change); });
}

void GrpcReceiver::apply(Change& change) {
  const bool other_tls = change.config.tls != config_.tls;
  config_ = change.config;
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    servers_[i]->change(std::move(change.settings[i]));
  }
  if (change.server != nullptr) {
    std::lock_guard lock(serving_mutex_);
    servers_.push_back(std::move(change.server));
  }
  if (!change.sockets.empty()) {
    const auto before = std::move(listener_);
    listen(std::move(change.sockets));
    before->finish();
  }
  retire(other_tls);
}

/// Ends servers that have no clients any more, or are too many; `all`: each but the last.
void GrpcReceiver::retire(bool all) {
  std::vector<std::unique_ptr<GrpcCalls>> retired;
  {
    std::lock_guard lock(serving_mutex_);
    for (auto it = servers_.begin(); it != std::prev(servers_.end());) {
      if (all || servers_.size() > kServersMax || !(*it)->has_clients()) {
        retired.push_back(std::move(*it));
        it = servers_.erase(it);
      } else {
        ++it;
      }
    }
  }
  if (std::any_of(retired.begin(), retired.end(),
                  [](const auto& server) { return server->has_clients(); })) {
    std::this_thread::sleep_for(kHandshakeGrace);
  }
  for (const auto& server : retired) server->stop(kCallsGrace);
}

void GrpcReceiver::follow_budget() {
  for (const auto& server : servers_) server->follow_budget();
}

void GrpcReceiver::stop(std::chrono::milliseconds grace) {
  listener_.reset();
  std::vector<std::jthread> stops;
  for (const auto& server : servers_) {
    stops.emplace_back([&server, grace] { server->stop(grace); });
  }
}

}  // namespace holdfast
