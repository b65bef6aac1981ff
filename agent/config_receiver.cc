// receivers: otlp.
#include <fmt/format.h>

#include "agent/config_parts.h"
#include "agent/config_values.h"

namespace holdfast {

namespace {

constexpr milliseconds kNotNegative{0};
constexpr std::uint64_t kBodyBytesMax = 1ULL << 30;

/// `include_metadata: true` is for processors and exporters that look at client headers.
Reader metadata() {
  return [](const Value& value) {
    bool wanted = false;
    boolean(wanted)(value);
    if (wanted) value.warn("has no effect: nothing here uses a client's metadata");
  };
}

Keys keepalive_keys(GrpcReceiverConfig& grpc) {
  return {
      {"server_parameters",
       section({
           {"max_connection_idle", duration(grpc.max_connection_idle, kNotNegative)},
           {"max_connection_age", duration(grpc.max_connection_age, kNotNegative)},
           {"max_connection_age_grace", duration(grpc.max_connection_age_grace, kNotNegative)},
           {"time", duration(grpc.keepalive_time, kNotNegative)},
           {"timeout", duration(grpc.keepalive_timeout, kNotNegative)},
       })},
      {"enforcement_policy",
       section({
           {"min_time", duration(grpc.keepalive_min_time, kNotNegative)},
           {"permit_without_stream", boolean(grpc.keepalive_permit_without_stream)},
       })},
  };
}

GrpcReceiverConfig read_grpc(const Value& value, AuthReference& auth) {
  GrpcReceiverConfig grpc;
  const auto take_mib = [&grpc](std::int64_t mib) {
    // As in the Collector, 0 is the default.
    if (mib > 0) grpc.recv_message_bytes_max = static_cast<std::size_t>(mib) << 20;
  };
  Keys keys = listen_keys(value, grpc.endpoint);
  for (Key& key : Keys{
           {"max_recv_msg_size_mib", integer(take_mib, {0, kBodyBytesMax >> 20})},
           {"max_concurrent_streams", integer(grpc.concurrent_streams_max, {})},
           {"read_buffer_size", no_effect("gRPC sizes its own buffers")},
           {"write_buffer_size", no_effect("gRPC sizes its own buffers")},
           {"include_metadata", metadata()},
           {"keepalive", section(keepalive_keys(grpc))},
           {"tls", server_tls(grpc.tls, TlsServerKind::grpc)},
           {"auth", authenticator(auth)},
           {"middlewares", refused_unless_off("")},
       }) {
    keys.push_back(std::move(key));
  }
  read_section(value, keys);
  return grpc;
}

Reader url_path(std::string& out) {
  return [&out](const Value& value) {
    std::string path;
    text(path)(value);
    if (path.empty()) return;
    if (path.find_first_of(" ?#") != std::string::npos) {
      return value.fail(fmt::format("{} is not a path", quoted(path)));
    }
    out = path.front() == '/' ? path : "/" + path;
  };
}

void check_paths(const Value& value, const HttpReceiverConfig& http) {
  for (const Signal signal : kSignals) {
    for (const Signal other : kSignals) {
      if (index_of(other) >= index_of(signal)) break;
      if (http.paths[index_of(signal)] != http.paths[index_of(other)]) continue;
      value.fail_at(fmt::format("{}_url_path", name_of(signal)),
                    fmt::format("{} is the path of {} too", quoted(http.paths[index_of(signal)]),
                                name_of(other)));
    }
  }
}

HttpReceiverConfig read_http(const Value& value, AuthReference& auth) {
  HttpReceiverConfig http;
  const auto take_body = [&http](std::uint64_t bytes) {
    // As in the Collector, 0 is the default.
    if (bytes > 0) http.request_body_bytes_max = bytes;
  };
  Keys keys = listen_keys(value, http.endpoint);
  for (Key& key : Keys{
           {"max_request_body_size", size(take_body, 0, kBodyBytesMax)},
           {"traces_url_path", url_path(http.paths[index_of(Signal::traces)])},
           {"metrics_url_path", url_path(http.paths[index_of(Signal::metrics)])},
           {"logs_url_path", url_path(http.paths[index_of(Signal::logs)])},
           {"read_timeout", duration(http.read_timeout, kNotNegative)},
           {"read_header_timeout", duration(http.read_header_timeout, kNotNegative)},
           {"write_timeout", duration(http.write_timeout, kNotNegative)},
           {"idle_timeout", duration(http.idle_timeout, kNotNegative)},
           {"keep_alives_enabled", boolean(http.keep_alives)},
           {"cors", section({
                        {"allowed_origins", strings(http.cors.allowed_origins)},
                        {"allowed_headers", strings(http.cors.allowed_headers)},
                        {"exposed_headers", strings(http.cors.exposed_headers)},
                        {"max_age", integer(http.cors.max_age_s, {})},
                    })},
           {"response_headers", headers(http.response_headers)},
           {"include_metadata", metadata()},
           {"compression_algorithms", no_effect("gzip, zstd, zlib, deflate, snappy, "
                                                "x-snappy-framed and lz4 are all taken")},
           {"tls", server_tls(http.tls, TlsServerKind::http)},
           {"auth", authenticator(auth)},
           {"middlewares", refused_unless_off("")},
           {"include_tls_metadata", refused_unless_off("")},
       }) {
    keys.push_back(std::move(key));
  }
  read_section(value, keys);
  check_paths(value, http);
  return http;
}

void read_otlp(const ComponentId& id, const Value& value, Declared& declared) {
  DeclaredReceiver receiver;
  receiver.config.name = id.id;
  const auto listen = [&receiver](const Value& protocol, const Place& place,
                                  const std::string& endpoint) {
    const Member* member = protocol.node.find("endpoint");
    receiver.listeners.push_back(
        {endpoint, protocol.key, member != nullptr ? member->value.place : place});
  };
  const Reader grpc = [&](const Value& protocol) {
    receiver.config.grpc = read_grpc(protocol, receiver.grpc_auth);
    listen(protocol, protocol.node.place, receiver.config.grpc->endpoint);
  };
  const Reader http = [&](const Value& protocol) {
    receiver.config.http = read_http(protocol, receiver.http_auth);
    listen(protocol, protocol.node.place, receiver.config.http->endpoint);
  };
  read_section(value, {{"protocols", section({{"grpc", grpc}, {"http", http}})}});
  const Member* protocols = value.node.find("protocols");
  const bool empty = protocols == nullptr || protocols->value.members.empty();
  if (empty) {
    value.findings.error(protocols != nullptr ? protocols->place : id.place,
                         join_key(value.key, "protocols"), "names no protocol, so nothing listens",
                         "write grpc:, http: or both");
  }
  declared.receivers.push_back(std::move(receiver));
}

}  // namespace

void read_receivers(const Value& section, Declared& declared) {
  declared.receiver_ids = read_components(
      section, "receiver",
      {{"otlp", [&](const ComponentId& id, const Value& v) { read_otlp(id, v, declared); }}});
}

}  // namespace holdfast
