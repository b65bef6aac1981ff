#include "agent/grpc_receiver_server.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstring>
#include <optional>
#include <string_view>

#include "agent/grpc_library.h"

namespace holdfast {
namespace {

constexpr int kFreePortTries = 16;
constexpr int kMetadataBytesMax = 64 << 10;  // gRPC's own default of 8 KiB refuses long tokens

struct HostPort {
  std::string host;
  std::uint16_t port = 0;
};

std::optional<HostPort> split_endpoint(std::string_view endpoint) {
  const std::size_t colon = endpoint.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const std::string_view digits = endpoint.substr(colon + 1);
  HostPort split;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), split.port);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  std::string_view host = endpoint.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  split.host = host;
  return split;
}

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  bool is_v6() const { return storage.ss_family == AF_INET6; }
  void set_port(std::uint16_t port) {
    if (is_v6()) {
      reinterpret_cast<sockaddr_in6*>(&storage)->sin6_port = htons(port);
    } else {
      reinterpret_cast<sockaddr_in*>(&storage)->sin_port = htons(port);
    }
  }
  std::uint16_t port() const {
    return ntohs(is_v6() ? reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_port
                         : reinterpret_cast<const sockaddr_in*>(&storage)->sin_port);
  }
  std::string text() {
    char host[NI_MAXHOST] = "";
    getnameinfo(get(), length, host, sizeof host, nullptr, 0, NI_NUMERICHOST);
    const std::string port_text = std::to_string(port());
    return is_v6() ? "[" + std::string(host) + "]:" + port_text
                   : std::string(host) + ":" + port_text;
  }
};

/// Binds and listens for a moment. With port 0 the address takes the port that the system chose.
/// Returns errno, 0: it is free.
int probe(Address& address) {
  const int fd = socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  int error = 0;
  if (bind(fd, address.get(), address.length) != 0 || listen(fd, 1) != 0 ||
      getsockname(fd, address.get(), &address.length) != 0) {
    error = errno;
  }
  close(fd);
  return error;
}

Result<std::vector<Address>> resolve(const std::string& host) {
  if (host == "localhost") {
    // Not by the resolver: /etc/hosts need not name ::1, and must not name anything else.
    Result<std::vector<Address>> v4 = resolve("127.0.0.1");
    Result<std::vector<Address>> v6 = resolve("::1");
    if (!v4.ok()) return v4;
    Address trial = v6.ok() ? v6->front() : Address{};
    if (v6.ok() && probe(trial) == 0) v4->push_back(v6->front());
    return v4;
  }
  if (host.empty()) {
    Result<std::vector<Address>> any = resolve("::");
    Address trial = any.ok() ? any->front() : Address{};
    return any.ok() && probe(trial) == 0 ? any : resolve("0.0.0.0");
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* list = nullptr;
  if (const int error = getaddrinfo(host.c_str(), "0", &hints, &list); error != 0) {
    return Error{0, host + ": " + gai_strerror(error)};
  }
  std::vector<Address> addresses;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    if (entry->ai_family != AF_INET && entry->ai_family != AF_INET6) continue;
    Address address;
    std::memcpy(&address.storage, entry->ai_addr, entry->ai_addrlen);
    address.length = entry->ai_addrlen;
    addresses.push_back(address);
  }
  freeaddrinfo(list);
  if (addresses.empty()) return Error{0, host + ": no address"};
  return addresses;
}

/// All of them on `port`; 0: on one that the first chooses and the others have free too.
Result<ListenAddresses> try_port(std::vector<Address> addresses, std::uint16_t port) {
  ListenAddresses result;
  for (Address& address : addresses) {
    address.set_port(port);
    if (const int error = probe(address); error != 0) {
      return Error{error, address.text() + ": " + std::strerror(error)};
    }
    port = address.port();
    result.addresses.push_back(address.text());
  }
  result.port = port;
  return result;
}

int to_int(std::chrono::milliseconds duration) {
  return static_cast<int>(std::min<std::int64_t>(duration.count(), INT_MAX));
}

void set_arguments(const GrpcReceiverConfig& config, grpc::ServerBuilder& builder) {
  const auto set = [&](const char* name, int value) { builder.AddChannelArgument(name, value); };
  const auto set_unless_zero = [&](const char* name, std::chrono::milliseconds duration) {
    if (duration.count() > 0) set(name, to_int(duration));
  };
  // With SO_REUSEPORT a second process would share the port and take half of the connections.
  set(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // The probe widens every window to its megabytes: 300 MB for 64 connections.
  set(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  // Bodies as sent: gRPC's inflation costs six times ours.
  set(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  set(GRPC_ARG_MAX_METADATA_SIZE, kMetadataBytesMax);
  if (config.concurrent_streams_max > 0) {
    set(GRPC_ARG_MAX_CONCURRENT_STREAMS,
        static_cast<int>(std::min<std::uint32_t>(config.concurrent_streams_max, INT_MAX)));
  }
  set_unless_zero(GRPC_ARG_MAX_CONNECTION_IDLE_MS, config.max_connection_idle);
  set_unless_zero(GRPC_ARG_MAX_CONNECTION_AGE_MS, config.max_connection_age);
  set_unless_zero(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, config.max_connection_age_grace);
  set_unless_zero(GRPC_ARG_KEEPALIVE_TIME_MS, config.keepalive_time);
  set_unless_zero(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, config.keepalive_timeout);
  set(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, to_int(config.keepalive_min_time));
  set(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, config.keepalive_permit_without_stream ? 1 : 0);
}

}  // namespace

Result<ListenAddresses> listen_addresses(const std::string& endpoint) {
  const std::optional<HostPort> split = split_endpoint(endpoint);
  if (!split) return Error{0, endpoint + ": not a host:port"};
  Result<std::vector<Address>> addresses = resolve(split->host);
  if (!addresses.ok()) return addresses.error();
  Result<ListenAddresses> found = try_port(*addresses, split->port);
  for (int i = 1; !found.ok() && split->port == 0 && i < kFreePortTries; ++i) {
    found = try_port(*addresses, 0);
  }
  return found;
}

Result<GrpcServer> start_grpc_server(const GrpcReceiverConfig& config,
                                     grpc::AsyncGenericService& service,
                                     std::size_t memory_bytes_max) {
  prepare_grpc_library();
  Result<ListenAddresses> listen = listen_addresses(config.endpoint);
  if (!listen.ok()) {
    return Error{listen.error().code, "OTLP/gRPC cannot listen on " + listen.error().message};
  }
  grpc::ServerBuilder builder;
  std::vector<int> bound(listen->addresses.size(), 0);
  for (std::size_t i = 0; i < bound.size(); ++i) {
    builder.AddListeningPort(listen->addresses[i], grpc::InsecureServerCredentials(), &bound[i]);
  }
  set_arguments(config, builder);
  builder.SetMaxReceiveMessageSize(
      static_cast<int>(std::min<std::size_t>(config.recv_message_bytes_max, INT_MAX)));
  builder.SetResourceQuota(grpc::ResourceQuota("otlp").Resize(memory_bytes_max));
  builder.RegisterAsyncGenericService(&service);
  GrpcServer started;
  started.queue = builder.AddCompletionQueue();
  started.server = builder.BuildAndStart();
  if (started.server == nullptr ||
      std::any_of(bound.begin(), bound.end(), [](int port) { return port == 0; })) {
    return Error{0, "OTLP/gRPC cannot listen on " + config.endpoint};
  }
  started.port = listen->port;
  return started;
}

}  // namespace holdfast
