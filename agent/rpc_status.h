// What both receivers answer with. google.rpc.Status: protobuf for gRPC's status details and for
// OTLP/HTTP, JSON for OTLP/JSON, with a RetryInfo where the client shall come again. And
// Export*ServiceResponse in both.
//
// Source: google/rpc/status.proto, google/rpc/error_details.proto, protobuf's JSON mapping; OTLP
// specification 1.x, "Partial Success".
// Thread safety: pure functions.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "proto/signal.h"

namespace holdfast {

/// The codes of gRPC. Unscoped, since they travel as plain integers on the wire and in google.rpc.
enum RpcCode : int {
  kRpcOk = 0,
  kRpcCancelled = 1,
  kRpcUnknown = 2,
  kRpcInvalidArgument = 3,
  kRpcDeadlineExceeded = 4,
  kRpcNotFound = 5,
  kRpcAlreadyExists = 6,
  kRpcPermissionDenied = 7,
  kRpcResourceExhausted = 8,
  kRpcFailedPrecondition = 9,
  kRpcAborted = 10,
  kRpcOutOfRange = 11,
  kRpcUnimplemented = 12,
  kRpcInternal = 13,
  kRpcUnavailable = 14,
  kRpcDataLoss = 15,
  kRpcUnauthenticated = 16,
};

/// The wire form. `message` is made valid UTF-8 where it is not: a proto3 string must be.
std::string encode_rpc_status(int code, std::string_view message,
                              std::optional<std::chrono::seconds> retry = std::nullopt);

/// `{"code":14,"message":"…","details":[{"@type":"…RetryInfo","retryDelay":"1s"}]}`. Members with
/// default values are left out, as protobuf's JSON does.
std::string rpc_status_json(int code, std::string_view message,
                            std::optional<std::chrono::seconds> retry = std::nullopt);

/// An Export*ServiceResponse with its partial_success, which is there even when all is well.
std::string encode_export_response(std::uint64_t rejected_items, std::string_view message);
std::string export_response_json(Signal signal, std::uint64_t rejected_items,
                                 std::string_view message);

/// The HTTP status that the Collector's OTLP/HTTP receiver gives for a gRPC code.
int http_status_of(int code);

}  // namespace holdfast
