// What the configurations of all servers have in common, and those over HTTP beyond that.
#include <fmt/format.h>

#include "agent/config_parts.h"
#include "agent/config_values.h"
#include "agent/listen.h"

namespace holdfast {

namespace {

constexpr milliseconds kNotNegative{0};
constexpr std::size_t kSocketPathMax = 107;  // sockaddr_un, less the zero at its end

Reader socket_path(std::string& out) {
  return [&out](const Value& value) {
    std::string path;
    text(path)(value);
    if (path.empty() || path.front() != '/') {
      return value.fail(fmt::format("{} is not a path", quoted(path)),
                        "with transport unix the endpoint is a path, as in \"/run/otlp.sock\"");
    }
    if (path.size() > kSocketPathMax) {
      return value.fail(
          fmt::format("is too long for a socket: the system takes {} bytes", kSocketPathMax));
    }
    out = std::string(kUnixPrefix) + path;
  };
}

/// Ours, and those that name a family: an address has one.
bool is_tcp(std::string_view transport) {
  return transport.empty() || transport == "tcp" || transport == "tcp4" || transport == "tcp6";
}

bool is_zero(const Node& node) {
  const auto time = node.kind == Node::Kind::scalar ? parse_duration(node.text) : std::nullopt;
  return time && time->count() == 0;
}

/// The `keepalive` of HTTP servers, which stands for `idle_timeout` and `keep_alives_enabled`.
Reader http_keepalive(const Value& server, HttpServerConfig& http) {
  const Member* idle = server.node.find("idle_timeout");
  const Member* enabled = server.node.find("keep_alives_enabled");
  const bool both = (idle != nullptr && !is_zero(idle->value)) ||
                    (enabled != nullptr && enabled->value.text == "false");
  return [&http, both](const Value& value) {
    if (value.is_null()) return;
    if (both) {
      value.fail("cannot stand beside idle_timeout and keep_alives_enabled, which it replaces");
    }
    read_section(value, {{"enabled", boolean(http.keep_alives)},
                         {"idle_timeout", duration(http.idle_timeout, kNotNegative)}});
  };
}

}  // namespace

/// `include_metadata: true` is for processors and exporters that look at client headers.
Reader include_metadata() {
  return [](const Value& value) {
    bool wanted = false;
    boolean(wanted)(value);
    if (wanted) value.warn("has no effect: nothing here uses a client's metadata");
  };
}

Reader middlewares() { return refused_unless_off("there are no extensions that are middlewares"); }

Keys listen_keys(const Value& server, std::string& out) {
  const Member* transport = server.node.find("transport");
  const bool is_unix = transport != nullptr && transport->value.text == "unix";
  if (is_unix && server.node.find("endpoint") == nullptr) {
    server.fail_at("endpoint", "is missing: the path of the socket");
  }
  const auto check = [](const Value& value) {
    if (value.is_null()) return;
    const auto content = text_of(value);
    if (content && *content != "unix" && !is_tcp(*content)) {
      value.fail(fmt::format("{} is not supported in this version", quoted(*content)),
                 "supported: tcp, unix");
    }
  };
  return {{"endpoint", is_unix ? socket_path(out) : endpoint(out)},
          {"transport", check},
          {"dialer", no_effect_section("a server calls nobody", {"timeout"})}};
}

Keys http_server_keys(const Value& server, HttpServerConfig& http) {
  Keys keys = listen_keys(server, http.endpoint);
  for (Key& key : Keys{
           {"read_timeout", duration(http.read_timeout, kNotNegative)},
           {"read_header_timeout", duration(http.read_header_timeout, kNotNegative)},
           {"write_timeout", duration(http.write_timeout, kNotNegative)},
           {"idle_timeout", duration(http.idle_timeout, kNotNegative)},
           {"keep_alives_enabled", boolean(http.keep_alives)},
           {"keepalive", http_keepalive(server, http)},
           {"response_headers", headers(http.response_headers)},
           {"tls", optional(server_tls(http.tls, TlsServerKind::http))},
           {"include_metadata", include_metadata()},
           {"middlewares", middlewares()},
       }) {
    keys.push_back(std::move(key));
  }
  return keys;
}

}  // namespace holdfast
