// The gRPC server of the receiver: where it listens and with which limits. Used at start, by one
// thread.
#pragma once

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "agent/config.h"
#include "buffer/result.h"

namespace holdfast {

/// Numeric addresses ("127.0.0.1:4317", "[::1]:4317"), all with one port, each found free.
struct ListenAddresses {
  std::vector<std::string> addresses;
  std::uint16_t port = 0;
};

/// "localhost" is loopback, v4 and v6 where the machine has it; no host is every address; port 0 is
/// a free one. Fails with what the system said, since gRPC itself only says that it failed.
Result<ListenAddresses> listen_addresses(const std::string& endpoint);

struct GrpcServer {
  std::unique_ptr<grpc::ServerCompletionQueue> queue;
  std::unique_ptr<grpc::Server> server;
  std::uint16_t port = 0;
};

/// Builds and starts. `memory_bytes_max` is the backstop behind the receiver's own bounds: gRPC
/// drops connections beyond it.
Result<GrpcServer> start_grpc_server(const GrpcReceiverConfig& config,
                                     grpc::AsyncGenericService& service,
                                     std::size_t memory_bytes_max);

}  // namespace holdfast
