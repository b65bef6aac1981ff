// Where the servers listen: an endpoint of the configuration as sockets that listen already.
//
// Used at a start and by reloads, on one thread.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "buffer/result.h"

namespace holdfast {

/// What an endpoint of `transport: unix` starts with inside the agent; the path follows.
inline constexpr std::string_view kUnixPrefix = "unix:";

/// The path of a unix endpoint; "" if it is host:port.
std::string unix_path(std::string_view endpoint);

/// One socket that listens: non-blocking, closed on exec. The file of a unix socket goes with the
/// last of those that share it.
class ListenSocket {
 public:
  struct File;

  ListenSocket(int fd, std::string address, std::uint16_t port, std::shared_ptr<File> file = {})
      : fd_(fd), address_(std::move(address)), port_(port), file_(std::move(file)) {}
  ~ListenSocket() { close(); }
  ListenSocket(ListenSocket&& other) noexcept;
  ListenSocket& operator=(ListenSocket&& other) noexcept;

  /// "127.0.0.1:4317", "[::1]:4317", "unix:/run/otlp.sock".
  const std::string& address() const { return address_; }
  std::uint16_t port() const { return port_; }  // 0: a unix socket
  int fd() const { return fd_; }
  int release();
  void close();

  /// A second one on the same queue: a connection goes to whichever accepts it, and none is lost
  /// when one of them closes.
  Result<ListenSocket> share() const;

 private:
  int fd_ = -1;
  std::string address_;
  std::uint16_t port_ = 0;
  std::shared_ptr<File> file_;  // of a unix socket; shared with those that share() made
};

/// Sockets of this process that may close soon. Not owned; they stay open during the call.
using HeldSockets = std::vector<const ListenSocket*>;

/// "localhost" is loopback, v4 and v6 where the machine has it, whatever /etc/hosts says; no host
/// is every address; a name is all of its addresses; port 0 is one that is free on all of them.
/// "unix:PATH" is a socket in the file system, for its owner and group (0660); the file of a
/// process that is gone is replaced. Errors are Go's: "listen tcp HOST:PORT: address already in
/// use". An address of `held` is shared; one that overlaps with them ("0.0.0.0" with "localhost")
/// is listened on beside them.
Result<std::vector<ListenSocket>> listen_on(const std::string& endpoint,
                                            const HeldSockets& held = {});

}  // namespace holdfast
