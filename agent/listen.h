// Where the servers listen: an endpoint of the configuration as sockets that listen already.
//
// Used at start, by one thread.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "buffer/result.h"

namespace holdfast {

/// What an endpoint of `transport: unix` starts with inside the agent; the path follows.
inline constexpr std::string_view kUnixPrefix = "unix:";

/// The path of a unix endpoint; "" if it is host:port.
std::string unix_path(std::string_view endpoint);

/// One socket that listens: non-blocking, closed on exec. Closes it, unless it was released.
class ListenSocket {
 public:
  ListenSocket(int fd, std::string address, std::uint16_t port)
      : fd_(fd), address_(std::move(address)), port_(port) {}
  ~ListenSocket() { close(); }
  ListenSocket(ListenSocket&& other) noexcept;
  ListenSocket& operator=(ListenSocket&& other) noexcept;

  /// "127.0.0.1:4317", "[::1]:4317", "unix:/run/otlp.sock".
  const std::string& address() const { return address_; }
  std::uint16_t port() const { return port_; }  // 0: a unix socket
  int fd() const { return fd_; }
  int release();
  void close();

 private:
  int fd_ = -1;
  std::string address_;
  std::uint16_t port_ = 0;
};

/// "localhost" is loopback, v4 and v6 where the machine has it, whatever /etc/hosts says; no host
/// is every address; a name is all of its addresses; port 0 is one that is free on all of them.
/// "unix:PATH" is a socket in the file system, for its owner and group (0660); the file of a
/// process that is gone is replaced. Errors are Go's: "listen tcp HOST:PORT: address already in
/// use".
Result<std::vector<ListenSocket>> listen_on(const std::string& endpoint);

/// At the end: the file of a unix endpoint goes; of another endpoint there is nothing to remove.
void remove_socket_file(const std::string& endpoint);

}  // namespace holdfast
