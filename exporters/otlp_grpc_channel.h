// The channel of an OTLP/gRPC exporter: credentials, arguments, and when it is open.
//
// Thread safety: its exporter's alone.
#pragma once

#include <grpc/grpc.h>

#include <string>

#include "exporters/otlp_grpc.h"

namespace holdfast {

class GrpcChannel {
 public:
  explicit GrpcChannel(const OtlpGrpcOptions& options);
  ~GrpcChannel();
  GrpcChannel(const GrpcChannel&) = delete;
  GrpcChannel& operator=(const GrpcChannel&) = delete;

  /// Makes the channel if there is none; connecting is up to the first call. False: a file of the
  /// TLS options cannot be read, and error() says which.
  bool open();
  /// Forgets the connection, so that the next open() resolves, reads files and connects anew.
  void close();

  grpc_channel* get() const { return channel_; }
  const std::string& error() const { return error_; }
  /// Its connection lives: an UNAVAILABLE is then the upstream's own word.
  bool connected() const;

 private:
  const OtlpGrpcOptions options_;
  grpc_channel* channel_ = nullptr;
  std::string error_;
};

/// The host in a target is this machine: localhost, a loopback address, a Unix socket.
bool is_local_target(std::string_view target);

}  // namespace holdfast
