// A real gRPC server as upstream that answers as a test says: statuses with details, silence, no
// message.
#pragma once

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tests/support/grpc_client.h"

namespace holdfast {

struct GrpcUpstreamRequest {
  std::string method;
  std::string message;  // as sent, still compressed, unless the upstream inflates
  std::multimap<std::string, std::string> metadata;
  std::string peer;
  std::string authority;

  std::string header(const std::string& name) const {
    const auto found = metadata.find(name);
    return found == metadata.end() ? "" : found->second;
  }
};

struct GrpcUpstreamReply {
  grpc::Status status;
  std::string message;
  bool silent = false;           // until the client gives up
  bool without_message = false;  // a status alone, be it OK
};

struct GrpcUpstreamOptions {
  std::string address = "127.0.0.1:0";
  std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials();
  bool inflates = false;
  int message_bytes_max = 64 << 20;
};

/// The handler runs on gRPC's threads, one call at a time.
class ScriptedGrpcUpstream {
 public:
  using Handler = std::function<GrpcUpstreamReply(const GrpcUpstreamRequest&)>;

  explicit ScriptedGrpcUpstream(Handler handler, const GrpcUpstreamOptions& options = {})
      : handler_(std::move(handler)), service_(*this) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(options.address, options.credentials, &port_);
    builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, options.inflates ? 1 : 0);
    builder.SetMaxReceiveMessageSize(options.message_bytes_max);
    builder.RegisterCallbackGenericService(&service_);
    server_ = builder.BuildAndStart();
  }
  ~ScriptedGrpcUpstream() { server_->Shutdown(std::chrono::system_clock::now()); }

  int port() const { return port_; }
  std::string target() const { return "dns:///127.0.0.1:" + std::to_string(port_); }

  std::vector<GrpcUpstreamRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  /// Blocks until that many have come; false after ten seconds without.
  bool wait_for_requests(std::size_t count) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10),
                             [&] { return requests_.size() >= count; });
  }

 private:
  class Reactor : public grpc::ServerGenericBidiReactor {
   public:
    Reactor(ScriptedGrpcUpstream& upstream, grpc::GenericCallbackServerContext& context)
        : upstream_(upstream), context_(context) {
      StartRead(&message_);
    }
    void OnReadDone(bool ok) override {
      if (!ok) return finish(grpc::Status(grpc::StatusCode::INTERNAL, "no request"));
      GrpcUpstreamRequest request{context_.method(), to_string(message_), {}, context_.peer(), {}};
      for (const auto& [name, value] : context_.client_metadata()) {
        request.metadata.emplace(std::string(name.data(), name.size()),
                                 std::string(value.data(), value.size()));
      }
      const grpc::string_ref authority = context_.ExperimentalGetAuthority();
      request.authority.assign(authority.data(), authority.size());
      const GrpcUpstreamReply reply = upstream_.handle(std::move(request));
      if (reply.silent) return;  // OnCancel ends it
      if (reply.without_message || !reply.status.ok()) return finish(reply.status);
      answer_ = to_buffer(reply.message);
      if (!finished_.exchange(true)) StartWriteAndFinish(&answer_, {}, reply.status);
    }
    void OnCancel() override { finish(grpc::Status::CANCELLED); }
    void OnDone() override { delete this; }

   private:
    void finish(const grpc::Status& status) {
      if (!finished_.exchange(true)) Finish(status);
    }

    ScriptedGrpcUpstream& upstream_;
    grpc::GenericCallbackServerContext& context_;
    grpc::ByteBuffer message_;
    grpc::ByteBuffer answer_;
    std::atomic<bool> finished_{false};
  };

  class Service : public grpc::CallbackGenericService {
   public:
    explicit Service(ScriptedGrpcUpstream& upstream) : upstream_(upstream) {}
    grpc::ServerGenericBidiReactor* CreateReactor(
        grpc::GenericCallbackServerContext* context) override {
      return new Reactor(upstream_, *context);  // which deletes itself
    }

   private:
    ScriptedGrpcUpstream& upstream_;
  };

  GrpcUpstreamReply handle(GrpcUpstreamRequest request) {
    const std::lock_guard lock(mutex_);
    GrpcUpstreamReply reply = handler_(request);
    requests_.push_back(std::move(request));
    changed_.notify_all();
    return reply;
  }

  Handler handler_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<GrpcUpstreamRequest> requests_;
  Service service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;  // last: it calls the service
};

}  // namespace holdfast
