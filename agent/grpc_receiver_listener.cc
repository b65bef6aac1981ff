#include "agent/grpc_receiver_listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "agent/logging.h"

namespace holdfast {
namespace {

constexpr int kAcceptRetryMs = 100;

/// That a client has gone again before it was accepted is no fault of ours (accept(2)).
bool concerns_the_client(int error) {
  switch (error) {
    case ECONNABORTED:
    case EINTR:
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
      return true;
    default:
      return false;
  }
}

}  // namespace

GrpcListener::GrpcListener(std::vector<ListenSocket> sockets, Take take)
    : sockets_(std::move(sockets)),
      take_(std::move(take)),
      stop_event_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      thread_([this](const std::stop_token& stop) noexcept { run(stop); }) {}

GrpcListener::~GrpcListener() {
  stop();
  ::close(stop_event_);
}

void GrpcListener::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  const std::uint64_t one = 1;
  static_cast<void>(!::write(stop_event_, &one, sizeof one));
  thread_.join();
}

void GrpcListener::finish() {
  stop();
  for (const ListenSocket& socket : sockets_) take_waiting(socket);
}

void GrpcListener::run(const std::stop_token& stop) {
  std::vector<pollfd> watched{pollfd{stop_event_, POLLIN, 0}};
  for (const ListenSocket& socket : sockets_) watched.push_back({socket.fd(), POLLIN, 0});
  while (!stop.stop_requested()) {
    if (::poll(watched.data(), watched.size(), -1) < 0) continue;
    bool failed = false;
    for (std::size_t i = 0; i < sockets_.size(); ++i) {
      if (watched[i + 1].revents != 0) failed |= !take_waiting(sockets_[i]);
    }
    // To try again at once would only burn time.
    if (failed) ::poll(watched.data(), 1, kAcceptRetryMs);
  }
}

bool GrpcListener::take_waiting(const ListenSocket& socket) {
  for (;;) {
    const int fd = ::accept4(socket.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      const int on = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // not for a unix socket: ignored
      take_(fd, socket.fd());
      continue;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) return true;
    if (concerns_the_client(errno)) continue;
    log(LogLevel::warn, "cannot accept a connection", {{"error", std::strerror(errno)}});
    return false;
  }
}

}  // namespace holdfast
