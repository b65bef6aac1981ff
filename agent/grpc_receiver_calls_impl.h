// The insides of grpc_receiver_calls.cc: what the thread of a gRPC server knows.
#pragma once

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <latch>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "agent/grpc_receiver_call.h"
#include "agent/grpc_receiver_calls.h"
#include "agent/grpc_receiver_clients.h"
#include "agent/grpc_receiver_server.h"

namespace holdfast {

class GrpcCallsImpl final : public GrpcCalls {
 public:
  GrpcCallsImpl(const GrpcReceiverConfig& config, Settings settings, ReceiverStats& stats,
                ByteBudget& budget, SignalForwarders forwarders)
      : message_bytes_max_(config.recv_message_bytes_max),
        authenticator_(std::move(settings.authenticator)),
        stats_(stats),
        budget_(budget),
        forwarders_(std::move(forwarders)),
        notices_ends_(forwarded_signals(forwarders_) != decltype(forwarded_signals({})){}),
        batch_(settings.logs, config.source, forwarded_signals(forwarders_)),
        success_(response_message({})) {}
  ~GrpcCallsImpl() override { stop(std::chrono::milliseconds(0)); }

  Status start(const GrpcReceiverConfig& config) {
    Result<GrpcServer> started = start_grpc_server(config, service_, quota_bytes());
    if (!started.ok()) return started.error();
    grpc_ = std::move(*started);
    thread_ = std::jthread([this] { run(); });
    return {};
  }

  void serve(int fd, int listener_fd) override;
  bool has_clients() const override { return clients_.any_open(); }
  void change(Settings settings) override;
  void follow_budget() override { grpc_.quota->Resize(quota_bytes()); }
  void stop(std::chrono::milliseconds grace) override;

 private:
  using Call = GrpcCall;
  static constexpr std::size_t kQuotaBytesMin = 64 << 20;
  /// An Export*ServiceResponse; a partial_success is always there, as the Collector sends it.
  static grpc::ByteBuffer response_message(const ForwardAnswer& answer);
  std::size_t quota_bytes() const { return std::max(2 * budget_.limit(), kQuotaBytesMin); }

  // All below on the receiver's thread.
  void run() noexcept;
  bool next_event();
  void on_event(Call& call, bool ok);
  void on_end(Call& call);
  void on_matched(Call& call);
  std::optional<std::string> refuse_stranger(const Call& call);
  void on_message(Call& call);
  std::optional<std::string_view> contiguous(grpc::ByteBuffer& message);
  void arm();
  bool may_arm() const;
  void give_up_oldest();
  void answer(Call& call, const IngestResult& result);
  void forward(Call& call, ForwardRequest request);
  void answer_forwarded(Call& call);
  void succeed(Call& call, const grpc::ByteBuffer& response);
  void finish(Call& call, int code, const std::string& message,
              std::optional<std::chrono::seconds> retry = std::nullopt);
  void finished(Call& call);

  const std::size_t message_bytes_max_;
  std::unique_ptr<Authenticator> authenticator_;
  ReceiverStats& stats_;
  ByteBudget& budget_;
  grpc::AsyncGenericService service_;
  GrpcServer grpc_;
  const SignalForwarders forwarders_;
  const bool notices_ends_;  // of calls, so that a client's takes its forwarded request along
  IngestBatch batch_;
  const grpc::ByteBuffer success_;  // not static: a slice must go before gRPC's own globals
  std::list<Call> armed_;
  std::list<Call> under_way_;  // in the order in which they came
  std::size_t reading_ = 0;
  int idle_polls_ = 0;
  std::vector<grpc::Slice> slices_;
  std::string joined_;
  std::string inflated_;
  GrpcClients clients_;
  std::function<void()> change_;  // its address is the tag of its alarm
  std::atomic<bool> stopping_{false};
  std::latch drained_{1};
  std::once_flag stopped_;
  std::jthread thread_;
};

}  // namespace holdfast
