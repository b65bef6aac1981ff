// What the configurations of all servers have in common: where they listen.
#include <fmt/format.h>

#include "agent/config_parts.h"
#include "agent/config_values.h"
#include "agent/listen.h"

namespace holdfast {

namespace {

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

}  // namespace

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
  return {{"endpoint", is_unix ? socket_path(out) : endpoint(out)}, {"transport", check}};
}

}  // namespace holdfast
