#include "agent/listen.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "agent/config_values.h"

namespace holdfast {

struct ListenSocket::File {
  explicit File(std::string p) : path(std::move(p)) {}
  ~File() { unlink(path.c_str()); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  const std::string path;
};

namespace {

constexpr int kFreePortTries = 16;
constexpr mode_t kSocketFileMode = 0660;

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  bool is_v6() const { return storage.ss_family == AF_INET6; }
  sockaddr_in6& v6() { return reinterpret_cast<sockaddr_in6&>(storage); }
  sockaddr_in& v4() { return reinterpret_cast<sockaddr_in&>(storage); }
  bool is_any_v6() { return is_v6() && IN6_IS_ADDR_UNSPECIFIED(&v6().sin6_addr); }
  std::uint16_t port() { return ntohs(is_v6() ? v6().sin6_port : v4().sin_port); }
  void set_port(std::uint16_t port) { (is_v6() ? v6().sin6_port : v4().sin_port) = htons(port); }
  std::string text() {
    char host[NI_MAXHOST] = "";
    getnameinfo(get(), length, host, sizeof host, nullptr, 0, NI_NUMERICHOST);
    const std::string port_text = std::to_string(port());
    return is_v6() ? "[" + std::string(host) + "]:" + port_text
                   : std::string(host) + ":" + port_text;
  }
};

Error listen_error(std::string_view network, const std::string& where, std::string reason,
                   int code) {
  if (!reason.empty()) reason[0] = static_cast<char>(std::tolower(reason[0]));
  return Error{code, "listen " + std::string(network) + " " + where + ": " + reason};
}

Error tcp_error(const std::string& where, int code) {
  return listen_error("tcp", where, std::strerror(code), code);
}

void let_port_be_shared(int fd, bool shared) {
  const int value = shared ? 1 : 0;
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &value, sizeof value);
}

/// While it lives, the port of these sockets can be listened on by another one of this user. Not
/// longer: a second agent must not get half of the connections.
class SharedPort {
 public:
  SharedPort(int fd, std::uint16_t port, const HeldSockets& held) {
    for (const ListenSocket* socket : held) {
      if (port != 0 && socket->port() == port) fds_.push_back(socket->fd());
    }
    if (!fds_.empty()) fds_.push_back(fd);
    for (const int each : fds_) let_port_be_shared(each, true);
  }
  ~SharedPort() {
    for (const int each : fds_) let_port_be_shared(each, false);
  }
  SharedPort(const SharedPort&) = delete;
  SharedPort& operator=(const SharedPort&) = delete;

 private:
  std::vector<int> fds_;
};

const ListenSocket* find_held(const std::string& address, const HeldSockets& held) {
  const auto found = std::find_if(held.begin(), held.end(), [&](const ListenSocket* socket) {
    return socket->address() == address;
  });
  return found == held.end() ? nullptr : *found;
}

/// With port 0 the address takes the port that the system chose.
Result<ListenSocket> listen_at(Address address, const HeldSockets& held = {}) {
  if (const ListenSocket* ours = find_held(address.text(), held)) return ours->share();
  const int fd = socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return tcp_error(address.text(), errno);
  ListenSocket opened(fd, {}, 0);
  const SharedPort shared(fd, address.port(), held);
  const int on = 1;
  // As Go does: an old connection in TIME_WAIT must not keep a restarted agent from its port.
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address.is_v6()) {
    const int v6_only = address.is_any_v6() ? 0 : 1;
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only);
  }
  if (bind(fd, address.get(), address.length) != 0 || listen(fd, SOMAXCONN) != 0 ||
      getsockname(fd, address.get(), &address.length) != 0) {
    return tcp_error(address.text(), errno);
  }
  return ListenSocket(opened.release(), address.text(), address.port());
}

Result<std::vector<Address>> resolve(const std::string& host, const std::string& endpoint) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* list = nullptr;
  if (const int error = getaddrinfo(host.c_str(), "0", &hints, &list); error != 0) {
    return listen_error("tcp", endpoint, gai_strerror(error), 0);
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
  if (addresses.empty()) return listen_error("tcp", endpoint, "no address", 0);
  return addresses;
}

/// Whether the machine has IPv6 at all, and there this address.
std::optional<Address> usable_v6(const std::string& host) {
  const auto found = resolve(host, host);
  if (!found.ok() || !listen_at(found->front()).ok()) return std::nullopt;
  return found->front();
}

Result<std::vector<Address>> addresses_of(const std::string& host, const std::string& endpoint) {
  if (host.empty()) {
    if (const auto any = usable_v6("::")) return std::vector<Address>{*any};
    return resolve("0.0.0.0", endpoint);
  }
  if (host != "localhost") return resolve(host, endpoint);
  // Not by the resolver: /etc/hosts need not name ::1, and must not name anything else.
  Result<std::vector<Address>> loopbacks = resolve("127.0.0.1", endpoint);
  const auto v6 = usable_v6("::1");
  if (loopbacks.ok() && v6) loopbacks->push_back(*v6);
  return loopbacks;
}

using Sockets = std::vector<ListenSocket>;

/// All of them on `port`; 0: on one that the first chooses and the others have free too.
Result<Sockets> listen_at_all(const std::vector<Address>& addresses, std::uint16_t port,
                              const HeldSockets& held) {
  Sockets sockets;
  for (Address address : addresses) {
    address.set_port(port);
    auto opened = listen_at(address, held);
    if (!opened.ok()) return opened.error();
    port = opened->port();
    sockets.push_back(std::move(*opened));
  }
  return sockets;
}

/// A file that nobody listens behind makes room. The error, or 0.
int clear_way(const sockaddr_un& address) {
  struct stat found {};
  if (lstat(address.sun_path, &found) != 0) return errno == ENOENT ? 0 : errno;
  if (!S_ISSOCK(found.st_mode)) return EEXIST;  // somebody's file
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return errno;
  const int connected = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int error = connected == 0 ? EADDRINUSE : errno;
  close(fd);
  if (error != ECONNREFUSED) return EADDRINUSE;  // a full queue is a listener too
  return unlink(address.sun_path) == 0 ? 0 : errno;
}

Result<Sockets> listen_at_path(const std::string& path, const HeldSockets& held) {
  Sockets sockets;
  const std::string name = std::string(kUnixPrefix) + path;
  if (const ListenSocket* ours = find_held(name, held)) {
    auto shared = ours->share();
    if (!shared.ok()) return shared.error();
    sockets.push_back(std::move(*shared));
    return sockets;
  }
  const auto failed = [&path](int code) {
    return listen_error("unix", path, std::strerror(code), code);
  };
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return failed(ENAMETOOLONG);
  path.copy(address.sun_path, path.size());
  if (const int error = clear_way(address); error != 0) return failed(error);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return failed(errno);
  ListenSocket opened(fd, name, 0);
  // Linux gives the file the mode of the socket, less the umask: at no time has it more.
  if (fchmod(fd, kSocketFileMode) != 0 ||
      bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return failed(errno);
  }
  auto file = std::make_shared<ListenSocket::File>(path);
  if (chmod(address.sun_path, kSocketFileMode) != 0 || listen(fd, SOMAXCONN) != 0) {
    return failed(errno);
  }
  sockets.emplace_back(opened.release(), name, 0, std::move(file));
  return sockets;
}

}  // namespace

ListenSocket::ListenSocket(ListenSocket&& other) noexcept
    : fd_(other.release()),
      address_(std::move(other.address_)),
      port_(other.port_),
      file_(std::move(other.file_)) {}

ListenSocket& ListenSocket::operator=(ListenSocket&& other) noexcept {
  close();
  fd_ = other.release();
  address_ = std::move(other.address_);
  port_ = other.port_;
  file_ = std::move(other.file_);
  return *this;
}

int ListenSocket::release() { return std::exchange(fd_, -1); }

void ListenSocket::close() {
  file_.reset();  // before the socket: who finds the file finds somebody behind it
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Result<ListenSocket> ListenSocket::share() const {
  const int fd = fcntl(fd_, F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return Error{errno, "listen " + address_ + ": " + std::strerror(errno)};
  return ListenSocket(fd, address_, port_, file_);
}

std::string unix_path(std::string_view endpoint) {
  if (!endpoint.starts_with(kUnixPrefix)) return {};
  return std::string(endpoint.substr(kUnixPrefix.size()));
}

Result<Sockets> listen_on(const std::string& endpoint, const HeldSockets& held) {
  if (const std::string path = unix_path(endpoint); !path.empty()) {
    return listen_at_path(path, held);
  }
  const std::optional<Endpoint> parts = parse_endpoint(endpoint);
  if (!parts) return listen_error("tcp", endpoint, "not of the form host:port", EINVAL);
  const auto addresses = addresses_of(parts->host, endpoint);
  if (!addresses.ok()) return addresses.error();
  Result<Sockets> sockets = listen_at_all(*addresses, parts->port, held);
  for (int i = 1; !sockets.ok() && parts->port == 0 && i < kFreePortTries; ++i) {
    sockets = listen_at_all(*addresses, 0, held);
  }
  return sockets;
}

}  // namespace holdfast
