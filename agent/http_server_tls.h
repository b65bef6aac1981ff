// TLS on a connection of the HTTP server, in the shape of an Asio stream.
//
// On OpenSSL straight over the socket: Asio's own ssl::stream holds 68 KiB of buffers for each
// connection. On the server's thread only. No handler is called from inside the call that starts
// it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>  // before Asio: see http_server_parser.cc

#include "agent/http_server_core.h"
#include "agent/tls_server.h"

namespace holdfast {

class HttpTls {
 public:
  using Done = std::function<void(boost::system::error_code, std::size_t)>;

  /// The handlers hold what owns this; `socket` belongs to it too.
  HttpTls(HttpSocket& socket, std::unique_ptr<TlsSession> session)
      : socket_(socket), session_(std::move(session)) {}

  void async_handshake(Done done);
  /// As a non-blocking socket's: would_block, eof.
  std::size_t read_some(char* into, std::size_t size, boost::system::error_code& error);
  /// What to wait for after a read that would block.
  HttpSocket::wait_type read_waits_for() const { return read_waits_for_; }
  bool has_pending() const { return session_->has_pending(); }
  void async_read_some(char* into, std::size_t size, Done done);
  /// Both views must stay until it is done.
  void async_write(std::string_view head, std::string_view body, Done done);
  /// All of it, or an error.
  bool write_at_once(std::string_view bytes);
  void close_notify() { session_->close_notify(); }
  const TlsSession& session() const { return *session_; }

 private:
  void finish(Done done, boost::system::error_code error, std::size_t bytes);

  HttpSocket& socket_;
  const std::unique_ptr<TlsSession> session_;
  HttpSocket::wait_type read_waits_for_ = HttpSocket::wait_read;
};

}  // namespace holdfast
