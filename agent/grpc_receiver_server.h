// The gRPC server of the receiver: with which limits and whose connections. Used at a start and by
// reloads, on one thread.
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
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor;
  std::unique_ptr<grpc::ResourceQuota> quota;
};

/// Builds and starts a server that does not listen: its connections are handed to `acceptor`.
/// `memory_bytes_max` is the backstop behind the receiver's own bounds: gRPC drops connections
/// beyond it.
Result<GrpcServer> start_grpc_server(const GrpcReceiverConfig& config,
                                     grpc::AsyncGenericService& service,
                                     std::size_t memory_bytes_max);

}  // namespace holdfast
