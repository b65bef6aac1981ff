// receivers: otlp.
#include <fmt/format.h>

#include <algorithm>

#include "agent/config_parts.h"
#include "agent/config_values.h"
#include "agent/routes.h"

namespace holdfast {

namespace {

constexpr milliseconds kNotNegative{0};
constexpr std::uint64_t kBodyBytesMax = 1ULL << 30;

Keys keepalive_keys(GrpcReceiverConfig& grpc) {
  return {
      {"server_parameters",
       optional(section({
           {"max_connection_idle", duration(grpc.max_connection_idle, kNotNegative)},
           {"max_connection_age", duration(grpc.max_connection_age, kNotNegative)},
           {"max_connection_age_grace", duration(grpc.max_connection_age_grace, kNotNegative)},
           {"time", duration(grpc.keepalive_time, kNotNegative)},
           {"timeout", duration(grpc.keepalive_timeout, kNotNegative)},
       }))},
      {"enforcement_policy",
       optional(section({
           {"min_time", duration(grpc.keepalive_min_time, kNotNegative)},
           {"permit_without_stream", boolean(grpc.keepalive_permit_without_stream)},
       }))},
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
           {"include_metadata", include_metadata()},
           {"keepalive", optional(section(keepalive_keys(grpc)))},
           {"tls", optional(server_tls(grpc.tls, TlsServerKind::grpc))},
           {"auth", optional(authenticator(auth))},
           {"middlewares", middlewares()},
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
      const std::string& path = http.paths[index_of(signal)];
      if (path != http.paths[index_of(other)]) continue;
      // The path of profiles has no key.
      const auto [wrong, right] =
          signal == Signal::profiles ? std::pair(other, signal) : std::pair(signal, other);
      value.fail_at(fmt::format("{}_url_path", name_of(wrong)),
                    fmt::format("{} is the path of {} too", quoted(path), name_of(right)));
    }
  }
}

/// Those that are listed are taken, and no other; "" is a body as it is.
Reader compression_algorithms(std::vector<std::string>& out) {
  return [&out](const Value& value) {
    strings(out)(value);
    const std::vector<std::string> known{"",       "gzip",    "zstd", "zlib",
                                         "snappy", "deflate", "lz4",  "x-snappy-framed"};
    for (const std::string& name : out) {
      if (std::find(known.begin(), known.end(), name) != known.end()) continue;
      value.fail(fmt::format("{} is not supported", quoted(name)), suggest(name, known));
    }
  };
}

HttpReceiverConfig read_http(const Value& value, AuthReference& auth) {
  HttpReceiverConfig http;
  const auto take_body = [&http](std::uint64_t bytes) {
    // As in the Collector, 0 is the default.
    if (bytes > 0) http.request_body_bytes_max = bytes;
  };
  Keys keys = http_server_keys(value, http);
  for (Key& key : Keys{
           {"max_request_body_size", size(take_body, 0, kBodyBytesMax)},
           {"traces_url_path", url_path(http.paths[index_of(Signal::traces)])},
           {"metrics_url_path", url_path(http.paths[index_of(Signal::metrics)])},
           {"logs_url_path", url_path(http.paths[index_of(Signal::logs)])},
           {"cors", optional(section({
                        {"allowed_origins", strings(http.cors.allowed_origins)},
                        {"allowed_headers", strings(http.cors.allowed_headers)},
                        {"exposed_headers", strings(http.cors.exposed_headers)},
                        {"max_age", integer(http.cors.max_age_s, {})},
                    }))},
           {"compression_algorithms", compression_algorithms(http.compression_algorithms)},
           {"auth", optional(authenticator(auth))},
           {"include_tls_metadata", refused_unless_off("nothing here uses a client's metadata")},
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
  receiver.key = value.key;
  receiver.place = id.place;
  const auto listen = [&receiver](const Value& protocol, const Place& place,
                                  const std::string& endpoint) {
    const Member* member = protocol.node.find("endpoint");
    receiver.listeners.push_back(
        {endpoint, protocol.key, member != nullptr ? member->value.place : place});
  };
  const Reader grpc = [&](const Value& protocol) {
    receiver.config.grpc = read_grpc(protocol, receiver.grpc_auth);
    receiver.config.grpc->source = source_of(id.id);
    listen(protocol, protocol.node.place, receiver.config.grpc->endpoint);
  };
  const Reader http = [&](const Value& protocol) {
    receiver.config.http = read_http(protocol, receiver.http_auth);
    receiver.config.http->source = source_of(id.id);
    listen(protocol, protocol.node.place, receiver.config.http->endpoint);
  };
  read_section(value,
               {{"protocols", section({{"grpc", optional(grpc)}, {"http", optional(http)}})}});
  const Member* protocols = value.node.find("protocols");
  const bool named = protocols != nullptr && !protocols->value.members.empty();
  const bool readable = !named || protocols->value.find("grpc") || protocols->value.find("http");
  if (!receiver.config.grpc && !receiver.config.http && readable) {
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
