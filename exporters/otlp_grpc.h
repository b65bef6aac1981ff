// OTLP over gRPC (OTLP specification, "OTLP/gRPC"): one unary call a batch, on the bytes as they
// are.
//
// A gzip body goes out as it was joined from the pieces on disk: gRPC's core takes a message that
// is compressed already (grpc_raw_compressed_byte_buffer_create) and sends it with its compressed
// flag. The C++ wrapper has no way to that, so this speaks to the core's C interface.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "exporters/exporter.h"

namespace holdfast {

/// Files are read whenever a connection is set up anew, so a renewed certificate needs no restart.
struct GrpcTlsOptions {
  bool enabled = true;
  bool insecure_skip_verify = false;
  bool with_system_roots = false;  // beside ca_file or ca_pem; without those it is so anyway
  std::string ca_file;
  std::string ca_pem;
  std::string cert_file;
  std::string cert_pem;
  std::string key_file;
  std::string key_pem;
  std::string server_name;  // what the certificate must be for, and SNI; "": the target's host

  bool operator==(const GrpcTlsOptions&) const = default;
};

struct GrpcKeepalive {
  std::chrono::milliseconds time{10'000};
  std::chrono::milliseconds timeout{20'000};
  bool permit_without_stream = false;

  bool operator==(const GrpcKeepalive&) const = default;
};

/// Defaults are the Collector's.
struct OtlpGrpcOptions {
  std::string target;  // gRPC's name syntax: "dns:///host:4317", "unix:///path"
  GrpcTlsOptions tls;
  std::vector<std::pair<std::string, std::string>> headers;
  ContentCoding compression = ContentCoding::gzip;  // or identity
  std::chrono::milliseconds timeout{5'000};         // of a whole call; 0: none
  std::optional<GrpcKeepalive> keepalive;
  std::string authority;      // ":authority"; "": the target's
  std::string balancer_name;  // "round_robin", "pick_first" or "" for that
  std::string user_agent;     // before gRPC's own; "": "holdfast/VERSION"
  bool wait_for_ready = false;
  CredentialsSource credentials;

  bool operator==(const OtlpGrpcOptions&) const = default;
};

/// A header that may go out: lower-case name without the prefix "grpc-", printable ASCII in its
/// value unless the name ends in "-bin", and none of those that frame the call. Others are left
/// out.
bool is_sendable_metadata(std::string_view name, std::string_view value);

/// Nothing is opened before the first send(). Thread safety: may be called from any thread; each
/// exporter is then its owner's alone.
std::unique_ptr<Exporter> make_otlp_grpc_exporter(const OtlpGrpcOptions& options, Signal signal);

}  // namespace holdfast
