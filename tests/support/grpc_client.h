// A gRPC client on raw bytes, with a connection of its own, for tests of the receiver.
#pragma once

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast {

struct GrpcReply {
  grpc::Status status;
  std::string message;
};

inline grpc::ByteBuffer to_buffer(std::string_view bytes) {
  const grpc::Slice slice(bytes.data(), bytes.size());
  return {&slice, 1};
}

inline std::string to_string(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string text;
  if (!buffer.Dump(&slices).ok()) return text;
  for (const grpc::Slice& slice : slices) {
    text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return text;
}

/// One thread at a time.
class GrpcClient {
 public:
  static constexpr std::chrono::seconds kPatience{20};

  explicit GrpcClient(const std::string& target) : channel_(connect(target)), stub_(channel_) {}
  explicit GrpcClient(std::uint16_t port) : GrpcClient("127.0.0.1:" + std::to_string(port)) {}
  /// `host`: what the server's certificate must be for.
  GrpcClient(std::uint16_t port, const std::shared_ptr<grpc::ChannelCredentials>& credentials,
             const std::string& host)
      : channel_(connect("127.0.0.1:" + std::to_string(port), credentials, host)),
        stub_(channel_) {}
  ~GrpcClient() {
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
  }

  GrpcReply call(std::string_view method, std::string_view request,
                 grpc_compression_algorithm compression = GRPC_COMPRESS_NONE) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    context.set_compression_algorithm(compression);
    for (const auto& [key, value] : metadata_) context.AddMetadata(key, value);
    const grpc::ByteBuffer sent = to_buffer(request);
    const auto reader = stub_.PrepareUnaryCall(&context, std::string(method), sent, &queue_);
    grpc::ByteBuffer response;
    GrpcReply reply;
    reader->StartCall();
    reader->Finish(&response, &reply.status, this);
    wait();
    reply.message = to_string(response);
    return reply;
  }

  /// For each call to come.
  void add_metadata(const std::string& key, const std::string& value) {
    metadata_.emplace_back(key, value);
  }

  /// A stream for clients that do not do as they should. Each operation's tag is `this`.
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> open(grpc::ClientContext& context,
                                                             std::string_view method) {
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    auto stream = stub_.PrepareCall(&context, std::string(method), &queue_);
    stream->StartCall(this);
    wait();
    return stream;
  }
  bool wait() {
    void* tag = nullptr;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }
  void* tag() { return this; }

 private:
  static std::shared_ptr<grpc::Channel> connect(
      const std::string& target,
      const std::shared_ptr<grpc::ChannelCredentials>& credentials =
          grpc::InsecureChannelCredentials(),
      const std::string& host = "") {
    grpc::ChannelArguments arguments;
    if (!host.empty()) arguments.SetSslTargetNameOverride(host);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // not shared with other clients
    arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    return grpc::CreateCustomChannel(target, credentials, arguments);
  }

  std::shared_ptr<grpc::Channel> channel_;
  grpc::GenericStub stub_;
  grpc::CompletionQueue queue_;
  std::vector<std::pair<std::string, std::string>> metadata_;
};

}  // namespace holdfast
