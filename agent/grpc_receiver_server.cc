#include "agent/grpc_receiver_server.h"

#include <sys/stat.h>

#include <algorithm>
#include <climits>
#include <vector>

#include "agent/grpc_library.h"
#include "agent/grpc_receiver_tls.h"
#include "agent/listen.h"

namespace holdfast {
namespace {

constexpr mode_t kSocketFileMode = 0660;
constexpr int kMetadataBytesMax = 64 << 10;  // gRPC's own default of 8 KiB refuses long tokens

int to_int(std::chrono::milliseconds duration) {
  return static_cast<int>(std::min<std::int64_t>(duration.count(), INT_MAX));
}

void set_arguments(const GrpcReceiverConfig& config, grpc::ServerBuilder& builder) {
  const auto set = [&](const char* name, int value) { builder.AddChannelArgument(name, value); };
  const auto set_unless_zero = [&](const char* name, std::chrono::milliseconds duration) {
    if (duration.count() > 0) set(name, to_int(duration));
  };
  // With SO_REUSEPORT a second process would share the port and take half of the connections.
  set(GRPC_ARG_ALLOW_REUSEPORT, 0);
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
  // gRPC itself only says that it failed, and takes a socket file from whoever listens behind it.
  auto found = listen_on(config.endpoint);
  if (!found.ok()) return Error{found.error().code, "OTLP/gRPC: " + found.error().message};
  std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials();
  if (config.tls) {
    auto secure = grpc_server_credentials(*config.tls);
    if (!secure.ok()) return Error{secure.error().code, "OTLP/gRPC: " + secure.error().message};
    credentials = *secure;
  }
  grpc::ServerBuilder builder;
  std::vector<int> bound(found->size(), 0);
  for (std::size_t i = 0; i < bound.size(); ++i) {
    (*found)[i].close();
    builder.AddListeningPort((*found)[i].address(), credentials, &bound[i]);
  }
  set_arguments(config, builder);
  builder.SetMaxReceiveMessageSize(
      static_cast<int>(std::min<std::size_t>(config.recv_message_bytes_max, INT_MAX)));
  builder.SetResourceQuota(grpc::ResourceQuota("otlp").Resize(memory_bytes_max));
  builder.RegisterAsyncGenericService(&service);
  GrpcServer started;
  started.queue = builder.AddCompletionQueue();
  started.server = builder.BuildAndStart();
  if (started.server == nullptr ||
      std::any_of(bound.begin(), bound.end(), [](int port) { return port == 0; })) {
    return Error{0, "OTLP/gRPC cannot listen on " + config.endpoint};
  }
  if (const std::string path = unix_path(config.endpoint); !path.empty()) {
    chmod(path.c_str(), kSocketFileMode);  // less until now: what the umask leaves
  }
  started.port = found->front().port();
  return started;
}

}  // namespace holdfast
