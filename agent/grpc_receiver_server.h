// The gRPC server of the receiver: where it listens and with which limits. Used at start, by one
// thread.
#pragma once

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <memory>

#include "agent/config.h"
#include "buffer/result.h"

namespace holdfast {

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
