// The server's thread and what its connections share: event loop, limits, read buffer, clock.
//
// Everything here runs on the server's thread, but for what says otherwise. It
// lives until the last connection that a late reply still holds is gone.
#pragma once

#include <array>
#include <atomic>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <unordered_set>
#include <utility>  // before Asio: see http_server_parser.cc
#include <vector>

#include "agent/http_server.h"
#include "agent/http_server_response.h"
#include "agent/listen.h"
#include "agent/tls_server.h"

namespace holdfast {

class HttpConnection;

/// TCP and unix sockets alike.
using HttpSocket = boost::asio::generic::stream_protocol::socket;
using HttpAcceptor = boost::asio::basic_socket_acceptor<boost::asio::generic::stream_protocol>;

class HttpServerCore : public std::enable_shared_from_this<HttpServerCore> {
 public:
  using Time = std::chrono::steady_clock::time_point;

  HttpServerCore(HttpServerOptions options, HttpServer::Handlers handlers);

  /// Before run(). Binds; nothing is accepted yet.
  Status listen(const HeldSockets& held);

  /// What HttpServer::prepare() makes: sockets and TLS only where they change.
  struct Change {
    HttpServerOptions options;
    HttpServer::Handlers handlers;
    std::vector<ListenSocket> sockets;
    std::unique_ptr<TlsServerContext> tls;
  };
  /// On the owner's thread, which is the one that has changes applied.
  Result<Change> prepare(const HttpServerOptions& options, HttpServer::Handlers handlers,
                         const HeldSockets& held) const;
  void apply(Change& change);

  /// On the owner's thread.
  HeldSockets sockets() const;
  std::uint16_t port() const { return listeners_.front()->socket.port(); }

  /// The thread: until a stop is complete.
  void run() noexcept;

  /// Thread-safe.
  void request_stop(std::chrono::milliseconds grace);
  void post(std::function<void()> task);
  std::size_t connections() const { return connection_count_.load(std::memory_order_relaxed); }

  const HttpServerOptions& options() const { return options_; }
  /// None: plain connections.
  TlsServerContext* tls() { return tls_.get(); }
  /// Counts the changes of TLS: a connection that began under another one shall end.
  unsigned tls_epoch() const { return tls_epoch_; }
  bool stopping() const { return stopping_; }

  /// One buffer to read into for all: a connection at rest has none of its own.
  std::array<char, 65536>& scratch() { return scratch_; }
  std::string_view date() { return date_.now(); }

  void handle(HttpRequest request, HttpReply reply);
  HttpResponse refuse(HttpServer::Refusal::Reason reason, const HttpRequest& head);
  std::unique_ptr<HttpResponse> answer_head(const HttpRequest& head);

  void forget(HttpConnection* connection);

 private:
  struct Listener {
    Listener(boost::asio::io_context& context, ListenSocket listening)
        : socket(std::move(listening)), acceptor(context), retry(context) {}
    ~Listener() { close(); }
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;
    void close();

    ListenSocket socket;
    HttpAcceptor acceptor;  // on the socket's descriptor, which is not its own
    boost::asio::steady_timer retry;
    bool closed = false;
  };

  Status add_listeners(std::vector<ListenSocket> sockets);
  void accept(const std::shared_ptr<Listener>& listener);
  void take_waiting(Listener& listener);
  void take(HttpSocket socket);
  void run_burst();
  void schedule_sweep();
  void sweep();
  void begin_stop(std::chrono::milliseconds grace);
  void finish();

  HttpServerOptions options_;
  HttpServer::Handlers handlers_;
  std::unique_ptr<TlsServerContext> tls_;
  boost::asio::io_context context_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  boost::asio::steady_timer sweep_timer_;
  std::vector<std::shared_ptr<Listener>> listeners_;  // shared with their pending operations
  std::unordered_set<HttpConnection*> connections_;
  std::atomic<std::size_t> connection_count_{0};
  std::array<char, 65536> scratch_{};
  HttpDate date_;
  unsigned tls_epoch_ = 0;
  bool handled_in_burst_ = false;
  bool sweep_scheduled_ = false;
  bool stopping_ = false;
  Time stop_deadline_{};
};

}  // namespace holdfast
