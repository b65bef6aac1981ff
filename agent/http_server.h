// A small HTTP/1.1 server on Boost.Beast, one thread, for the OTLP receiver, the health port and
// the sink.
//
// Limits: connections, header bytes, body bytes, time for header, body, idle and write. A body
// counts against the budget from its first byte until the reply is sent. Beast stays inside
// http_server_parser.cc, Asio inside http_server_*.
//
// Handlers run on the server's thread; post and connections may be called from any other, the rest
// from the owner's. A connection at rest takes about 1 KiB of the process.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/byte_budget.h"
#include "agent/listen.h"
#include "agent/tls_server.h"
#include "buffer/result.h"

namespace holdfast {

struct HttpServerOptions {
  std::string endpoint = "localhost:0";  // see listen.h
  std::optional<TlsServerOptions> tls;   // none: plain HTTP
  std::size_t body_bytes_max = 20 << 20;
  std::size_t header_bytes_max = 64 << 10;
  std::size_t connections_max =
      1024;  // beyond: accepted and closed at once, with 503 unless it is TLS
  std::chrono::milliseconds header_timeout{60'000};  // and for a TLS handshake, each
  std::chrono::milliseconds body_timeout{60'000};
  std::chrono::milliseconds idle_timeout{60'000};
  std::chrono::milliseconds write_timeout{30'000};
  bool keep_alive = true;
  ByteBudget* budget = nullptr;  // not owned; none: bodies are bounded by body_bytes_max alone
};

struct HttpRequest {
  std::string method;
  std::string target;  // path and query as sent
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;  // as sent, chunking undone, content coding not

  /// First value of a header, case-insensitive; "" when absent.
  std::string_view header(std::string_view name) const;
  /// Target without the query, nor scheme and host if it names them (RFC 9112, 3.2.2).
  std::string_view path() const;
  /// From the target's question mark on; "" without one.
  std::string_view query() const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type;  // "" sends none
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  bool close = false;
};

/// The right to answer one request, once. Copyable handle; send() only on the server's thread. A
/// request whose last handle goes without an answer is answered with 500.
class HttpReply {
 public:
  struct Session;
  explicit HttpReply(std::shared_ptr<Session> session);
  void send(HttpResponse response) const;

  /// Counts `bytes` more against the budget until the answer has been written, as for a body that
  /// has been inflated. False: over the budget; then the request is to be refused.
  [[nodiscard]] bool lease(std::size_t bytes) const;

  /// For an answer that takes its time: `gone` is called, once, if the client hangs up before it.
  void watch(std::function<void()> gone) const;

 private:
  std::shared_ptr<Session> session_;
};

class HttpServer {
 public:
  /// Errors that Beast finds before a handler could run. `refuse` lets the owner give such an
  /// answer its form (status 400 body too large, 503 budget, 431 header too large, 408 timeout, 400
  /// bad HTTP).
  struct Refusal {
    enum class Reason : std::uint8_t {
      body_too_large,
      budget,
      header_too_large,
      timeout,
      bad_http
    } reason;
  };
  using Handler = std::function<void(HttpRequest, HttpReply)>;
  using RefuseHandler = std::function<HttpResponse(const Refusal&, const HttpRequest& head)>;
  /// Called before the body is read, with the head: an answer here ends the request at once (404,
  /// 405, 415).
  using HeadHandler = std::function<std::unique_ptr<HttpResponse>(const HttpRequest& head)>;

  struct Handlers {
    Handler handle;
    RefuseHandler refuse;  // optional
    HeadHandler head;      // optional
    std::function<void()>
        end_of_burst;  // optional: after every handler that was ready has run: commit time
  };

  /// Binds and starts its thread. Errors name the endpoint and what the system said.
  static Result<std::unique_ptr<HttpServer>> start(const HttpServerOptions& options,
                                                   Handlers handlers, const HeldSockets& held = {});
  ~HttpServer();

  std::uint16_t port() const;

  /// Other settings for the running server: all that can fail is done here, nothing is in force
  /// yet. The result puts it in force, calls `also` on the server's thread between two handlers,
  /// and returns after that; it cannot fail. To drop it changes nothing. Connections that there are
  /// stay, but for a change of `tls`: those end with their next answer. A new endpoint is listened
  /// on before the old one closes. The server must be running for as long as the result lives.
  Result<std::function<void()>> prepare(const HttpServerOptions& options, Handlers handlers,
                                        const HeldSockets& held, std::function<void()> also);

  /// Where it listens.
  HeldSockets sockets() const;

  /// Stops accepting, lets requests under way finish within `grace`, closes, joins. Idempotent.
  void stop(std::chrono::milliseconds grace);

  /// Runs `task` on the server's thread. Thread-safe.
  void post(std::function<void()> task);

  std::size_t connections() const;

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast
