// Accepts the connections of an OTLP/gRPC receiver: gRPC's own listeners cannot be handed from one
// server to the next.
//
// One thread, which sleeps in poll(2). Made and destroyed by the receiver's owner.
#pragma once

#include <functional>
#include <thread>
#include <vector>

#include "agent/listen.h"

namespace holdfast {

class GrpcListener {
 public:
  /// Called on the thread; `fd` is the callee's then.
  using Take = std::function<void(int fd, int listener_fd)>;

  GrpcListener(std::vector<ListenSocket> sockets, Take take);
  ~GrpcListener();  // stops, and closes the sockets
  GrpcListener(const GrpcListener&) = delete;
  GrpcListener& operator=(const GrpcListener&) = delete;

  /// Stops, and takes those that the kernel has connected already. Not for sockets that another one
  /// shares, which would get them.
  void finish();

  const std::vector<ListenSocket>& sockets() const { return sockets_; }

 private:
  void stop();
  void run(const std::stop_token& stop);
  /// False: there is no descriptor left, or the like.
  bool take_waiting(const ListenSocket& socket);

  const std::vector<ListenSocket> sockets_;
  const Take take_;
  int stop_event_ = -1;
  std::jthread thread_;  // last: it uses the rest
};

}  // namespace holdfast
