#include "agent/grpc_receiver_server.h"

#include <algorithm>
#include <climits>

#include "agent/grpc_library.h"
#include "agent/grpc_receiver_tls.h"

namespace holdfast {
namespace {

constexpr int kMetadataBytesMax = 64 << 10;  // gRPC's own default of 8 KiB refuses long tokens

int to_int(std::chrono::milliseconds duration) {
  return static_cast<int>(std::min<std::int64_t>(duration.count(), INT_MAX));
}

void set_arguments(const GrpcReceiverConfig& config, grpc::ServerBuilder& builder) {
  const auto set = [&](const char* name, int value) { builder.AddChannelArgument(name, value); };
  const auto set_unless_zero = [&](const char* name, std::chrono::milliseconds duration) {
    if (duration.count() > 0) set(name, to_int(duration));
  };
  // The probe widens every window to its megabytes: 300 MB for 64 connections.
  set(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  // Bodies as sent: gRPC's inflation costs six times ours.
  set(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  set(GRPC_ARG_MAX_METADATA_SIZE, kMetadataBytesMax);
  if (config.concurrent_streams_max > 0) {
    set(GRPC_ARG_MAX_CONCURRENT_STREAMS,
        static_cast<int>(std::min<std::uint32_t>(config.concurrent_streams_max, INT_MAX)));
  }
  set_unless_zero(GRPC_ARG_MAX_CONNECTION_IDLE_MS, config.max_connection_idle);
  set_unless_zero(GRPC_ARG_MAX_CONNECTION_AGE_MS, config.max_connection_age);
  set_unless_zero(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, config.max_connection_age_grace);
  set_unless_zero(GRPC_ARG_KEEPALIVE_TIME_MS, config.keepalive_time);
  set_unless_zero(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, config.keepalive_timeout);
  set(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, to_int(config.keepalive_min_time));
  set(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, config.keepalive_permit_without_stream ? 1 : 0);
}

}  // namespace

Result<GrpcServer> start_grpc_server(const GrpcReceiverConfig& config,
                                     grpc::AsyncGenericService& service,
                                     std::size_t memory_bytes_max) {
  prepare_grpc_library();
  std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials();
  if (config.tls) {
    auto secure = grpc_server_credentials(*config.tls);
    if (!secure.ok()) return Error{secure.error().code, "OTLP/gRPC: " + secure.error().message};
    credentials = *secure;
  }
  using FromOutside = grpc::ServerBuilder::experimental_type::ExternalConnectionType;
  grpc::ServerBuilder builder;
  GrpcServer started;
  started.acceptor = builder.experimental().AddExternalConnectionAcceptor(FromOutside::FROM_FD,
                                                                          std::move(credentials));
  set_arguments(config, builder);
  builder.SetMaxReceiveMessageSize(
      static_cast<int>(std::min<std::size_t>(config.recv_message_bytes_max, INT_MAX)));
  started.quota = std::make_unique<grpc::ResourceQuota>("otlp");
  builder.SetResourceQuota(started.quota->Resize(memory_bytes_max));
  builder.RegisterAsyncGenericService(&service);
  started.queue = builder.AddCompletionQueue();
  started.server = builder.BuildAndStart();
  if (started.server == nullptr) return Error{0, "OTLP/gRPC: the server cannot be started"};
  return started;
}

}  // namespace holdfast
