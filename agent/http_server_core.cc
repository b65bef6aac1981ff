#include "agent/http_server_core.h"

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>

#include "agent/http_server_connection.h"
#include "agent/listen.h"
#include "agent/logging.h"

namespace holdfast {
namespace {

using boost::asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// A burst ends when nothing is ready, a few looks in a row: the commit that follows is shared by
// all that has arrived, and costs much more than a look. Uploads under way must not hold it up.
constexpr int kLooksWithNothingReady = 3;
constexpr milliseconds kBurstMax{2};

constexpr milliseconds kAcceptRetry{100};

/// Deadlines are kept by looking over all connections now and then: a timer for each would cost
/// every request two operations on a heap.
milliseconds sweep_interval(const HttpServerOptions& options, bool stopping) {
  milliseconds shortest{4'000};
  for (const milliseconds timeout : {options.header_timeout, options.body_timeout,
                                     options.idle_timeout, options.write_timeout}) {
    if (timeout > milliseconds::zero()) shortest = std::min(shortest, timeout);
  }
  if (stopping) shortest = std::min(shortest, milliseconds{40});
  return std::max(shortest / 4, milliseconds{5});
}

boost::asio::generic::stream_protocol protocol_of(int fd) {
  int family = AF_UNSPEC;
  socklen_t length = sizeof family;
  getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length);
  return {family, family == AF_UNIX ? 0 : IPPROTO_TCP};
}

/// No connection is made of it: what has come is read so that the answer is not reset away.
void refuse_connection(HttpSocket socket, std::array<char, 65536>& scratch) {
  static constexpr std::string_view kAnswer =
      "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
      "Content-Length: 20\r\nRetry-After: 1\r\nConnection: close\r\n\r\ntoo many connections";
  error_code ignored;
  socket.non_blocking(true, ignored);
  socket.read_some(boost::asio::buffer(scratch), ignored);
  socket.write_some(boost::asio::buffer(kAnswer.data(), kAnswer.size()), ignored);
  socket.shutdown(HttpSocket::shutdown_send, ignored);
}

}  // namespace

HttpServerCore::HttpServerCore(HttpServerOptions options, HttpServer::Handlers handlers)
    : options_(std::move(options)),
      handlers_(std::move(handlers)),
      context_(1),
      work_(boost::asio::make_work_guard(context_)),
      sweep_timer_(context_) {}

Status HttpServerCore::listen(const HeldSockets& held) {
  if (options_.tls) {
    auto loaded = TlsServerContext::load(*options_.tls);
    if (!loaded.ok()) return loaded.error();
    tls_ = std::move(loaded).value();
  }
  auto sockets = listen_on(options_.endpoint, held);
  if (!sockets.ok()) return sockets.error();
  return add_listeners(std::move(*sockets));
}

Status HttpServerCore::add_listeners(std::vector<ListenSocket> sockets) {
  for (ListenSocket& socket : sockets) {
    const auto listener = std::make_shared<Listener>(context_, std::move(socket));
    const int fd = listener->socket.fd();
    error_code code;
    listener->acceptor.assign(protocol_of(fd), fd, code);
    if (code) return Error{code.value(), options_.endpoint + ": " + code.message()};
    listeners_.push_back(listener);
    accept(listener);
  }
  return {};
}

HeldSockets HttpServerCore::sockets() const {
  HeldSockets sockets;
  for (const auto& listener : listeners_) sockets.push_back(&listener->socket);
  return sockets;
}

Result<HttpServerCore::Change> HttpServerCore::prepare(const HttpServerOptions& options,
                                                       HttpServer::Handlers handlers,
                                                       const HeldSockets& held) const {
  Change change{options, std::move(handlers), {}, {}};
  if (options.tls && options.tls != options_.tls) {
    auto loaded = TlsServerContext::load(*options.tls);
    if (!loaded.ok()) return loaded.error();
    change.tls = std::move(loaded).value();
  }
  if (options.endpoint != options_.endpoint) {
    auto sockets = listen_on(options.endpoint, held);
    if (!sockets.ok()) return sockets.error();
    change.sockets = std::move(*sockets);
  }
  return change;
}

void HttpServerCore::apply(Change& change) {
  if (change.options.tls != options_.tls) {
    tls_ = std::move(change.tls);
    ++tls_epoch_;
  }
  options_ = std::move(change.options);
  handlers_ = std::move(change.handlers);
  if (change.sockets.empty()) return;
  const auto old = std::exchange(listeners_, {});
  if (const Status added = add_listeners(std::move(change.sockets)); !added) {
    log(LogLevel::error, "cannot listen", {{"error", added.error().message}});
  }
  for (const auto& listener : old) {
    take_waiting(*listener);
    listener->close();
  }
}

void HttpServerCore::run() noexcept {
  while (!stopping_ || !connections_.empty()) {
    context_.run_one();
    run_burst();
  }
  finish();
}

void HttpServerCore::run_burst() {
  const Time until = steady_clock::now() + kBurstMax;
  for (int looks = 0; looks < kLooksWithNothingReady;) {
    if (context_.poll_one() == 0) {
      ++looks;
      if (!handled_in_burst_) return;  // nobody waits for a commit
    } else if (steady_clock::now() > until) {
      break;
    }
  }
  if (!handled_in_burst_) return;
  handled_in_burst_ = false;
  if (handlers_.end_of_burst) handlers_.end_of_burst();
}

void HttpServerCore::finish() {
  error_code ignored;
  sweep_timer_.cancel(ignored);
  work_.reset();
  context_.run();  // what was cancelled
  if (handlers_.end_of_burst) handlers_.end_of_burst();
}

void HttpServerCore::post(std::function<void()> task) {
  boost::asio::post(context_, std::move(task));
}

void HttpServerCore::request_stop(milliseconds grace) {
  boost::asio::post(context_, [this, grace] { begin_stop(grace); });
}

void HttpServerCore::begin_stop(milliseconds grace) {
  if (stopping_) return;
  stopping_ = true;
  stop_deadline_ = steady_clock::now() + grace;
  error_code ignored;
  for (const auto& listener : listeners_) listener->close();
  const std::vector<HttpConnection*> all(connections_.begin(), connections_.end());
  for (HttpConnection* connection : all) connection->close_if_idle();
  sweep_timer_.cancel(ignored);
  sweep_scheduled_ = false;
  schedule_sweep();
}

void HttpServerCore::Listener::close() {
  if (closed) return;
  closed = true;
  error_code ignored;
  if (acceptor.is_open()) acceptor.release(ignored);
  retry.cancel(ignored);
  socket.close();
}

void HttpServerCore::accept(const std::shared_ptr<Listener>& listener) {
  listener->acceptor.async_accept([this, listener](error_code error, HttpSocket socket) {
    if (!error && !stopping_) take(std::move(socket));
    if (listener->closed) return;
    if (error && error != boost::asio::error::connection_aborted) {
      // Most likely no file descriptor is left: to try again at once would only burn time.
      log(LogLevel::warn, "cannot accept a connection", {{"error", error.message()}});
      listener->retry.expires_after(kAcceptRetry);
      listener->retry.async_wait([this, listener](error_code cancelled) {
        if (!cancelled && !listener->closed) accept(listener);
      });
      return;
    }
    accept(listener);
  });
}

/// Those that the kernel has connected already are served, though nobody listens any longer.
void HttpServerCore::take_waiting(Listener& listener) {
  error_code error;
  listener.acceptor.non_blocking(true, error);
  while (!error) {
    HttpSocket socket(context_);
    listener.acceptor.accept(socket, error);
    if (!error) take(std::move(socket));
  }
}

void HttpServerCore::take(HttpSocket socket) {
  if (connections_.size() >= options_.connections_max) {
    if (tls_ == nullptr) refuse_connection(std::move(socket), scratch_);
    return;
  }
  error_code ignored;
  socket.non_blocking(true, ignored);
  socket.set_option(tcp::no_delay(true), ignored);
  socket.set_option(boost::asio::socket_base::keep_alive(true), ignored);
  const auto connection = std::make_shared<HttpConnection>(shared_from_this(), std::move(socket));
  connections_.insert(connection.get());
  connection_count_.store(connections_.size(), std::memory_order_relaxed);
  connection->start();
  schedule_sweep();
}

void HttpServerCore::forget(HttpConnection* connection) {
  connections_.erase(connection);
  connection_count_.store(connections_.size(), std::memory_order_relaxed);
}

void HttpServerCore::schedule_sweep() {
  if (sweep_scheduled_ || connections_.empty()) return;  // without connections the thread sleeps
  sweep_scheduled_ = true;
  sweep_timer_.expires_after(sweep_interval(options_, stopping_));
  sweep_timer_.async_wait([this](error_code cancelled) {
    if (cancelled) return;
    sweep_scheduled_ = false;
    sweep();
    schedule_sweep();
  });
}

void HttpServerCore::sweep() {
  const Time now = steady_clock::now();
  const bool grace_is_over = stopping_ && now >= stop_deadline_;
  const std::vector<HttpConnection*> all(connections_.begin(), connections_.end());
  for (HttpConnection* connection : all) {
    if (grace_is_over) {
      connection->close();
    } else {
      connection->check_deadline(now);
    }
  }
}

void HttpServerCore::handle(HttpRequest request, HttpReply reply) {
  handled_in_burst_ = true;
  handlers_.handle(std::move(request), std::move(reply));
}

HttpResponse HttpServerCore::refuse(HttpServer::Refusal::Reason reason, const HttpRequest& head) {
  if (handlers_.refuse) return handlers_.refuse({reason}, head);
  return default_refusal(reason);
}

std::unique_ptr<HttpResponse> HttpServerCore::answer_head(const HttpRequest& head) {
  return handlers_.head ? handlers_.head(head) : nullptr;
}

}  // namespace holdfast
