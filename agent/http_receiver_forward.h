// Requests of the OTLP/HTTP receiver that wait for an upstream's answer (forwarder.h).
//
// Everything on the server's thread, but attach(), detach() and the destructor. The replies stay
// here: what another thread brings is the answer and a number.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <unordered_map>

#include "agent/forwarder.h"
#include "agent/http_server.h"

namespace holdfast {

class HttpForwarding {
 public:
  using Answer = std::function<void(const ForwardAnswer&)>;

  /// The forwarders must outlive it.
  explicit HttpForwarding(SignalForwarders forwarders);
  ~HttpForwarding();
  HttpForwarding(const HttpForwarding&) = delete;
  HttpForwarding& operator=(const HttpForwarding&) = delete;

  /// The server whose thread it is; from then on answers come. Once, before detach().
  void attach(HttpServer& server);
  /// No answer comes any more. The server has stopped.
  void detach();

  const SignalForwarders& forwarders() const { return forwarders_; }
  bool takes(Signal signal) const { return !forwarders_[index_of(signal)].empty(); }

  /// `answer` is called on the server's thread, and holds the reply. A client that hangs up takes
  /// its request along.
  void forward(ForwardRequest request, const HttpReply& reply, Answer answer);

 private:
  struct Mailbox;
  struct Waiting {
    Answer answer;
    std::stop_source gone;
  };
  void deliver();

  const SignalForwarders forwarders_;
  const std::shared_ptr<Mailbox> mailbox_;  // shared with requests that outlive their receiver
  std::unordered_map<std::uint64_t, Waiting> waiting_;
  std::uint64_t last_ = 0;
};

}  // namespace holdfast
