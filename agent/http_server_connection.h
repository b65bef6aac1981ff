// One client: reads a request, hands it over, writes the answer, reads the next.
//
// On the server's thread only. Held by its pending operations and by the replies that it awaits; a
// connection at rest holds a socket and this object, no buffers.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>  // before Asio: see http_server_parser.cc

#include "agent/byte_budget.h"
#include "agent/http_server.h"
#include "agent/http_server_core.h"
#include "agent/http_server_parser.h"
#include "agent/http_server_tls.h"

namespace holdfast {

class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
 public:
  using Time = HttpServerCore::Time;

  HttpConnection(std::shared_ptr<HttpServerCore> core, HttpSocket socket);

  void start();
  void check_deadline(Time now);
  void close_if_idle();
  void close();

  /// Writes the answer to the request that was handed over. Nothing happens if the client has gone.
  void answer(HttpResponse response);
  /// See HttpReply.
  void watch(std::function<void()> gone);
  bool grow_lease(std::size_t bytes) { return lease_.grow_by(bytes); }

 private:
  enum class State : std::uint8_t {
    handshake,  // of TLS
    idle,       // no byte of a request yet
    head,       // part of a head
    body,       // part of a body
    handling,   // the owner has it
    writing,    // an answer
    skipping,   // a body that nobody wants, before the next request
    lingering,  // what comes after an answer that ends the connection
    closed,
  };

  void enter(State state, std::chrono::milliseconds timeout);
  bool wants_input() const;
  void go_on();  // waits for input where the state wants some; last act of a handler
  void on_readable();
  std::size_t read_some(boost::system::error_code& error);
  void shake_hands();
  void handshake_failed();
  bool send_at_once(std::string_view bytes);
  void take_input(std::string_view input);
  void parse(std::string_view input);
  void read_head(std::string_view input);
  void begin_body(std::string_view input);
  void read_chunks(std::string_view input);
  void read_body_of_length();
  void skip(std::string_view input);
  void keep(std::string_view rest);
  void hand_over();
  void answer_early(HttpResponse response, std::string_view rest);
  void refuse(HttpServer::Refusal::Reason reason);
  void end_of_input();
  void await_end();
  void look_for_end();
  void tell_gone();
  void write(HttpResponse response);
  void after_write();
  void next_request();
  void linger();

  const std::shared_ptr<HttpServerCore> core_;
  HttpSocket socket_;
  std::unique_ptr<HttpTls> tls_;  // none: plain
  const unsigned tls_epoch_;      // in which it began
  BudgetLease lease_;
  State state_ = State::idle;
  bool timed_out_ = false;
  bool close_after_write_ = false;
  bool request_is_whole_ = false;  // nothing of it is left to be read
  Time deadline_{};
  HttpHeadInfo info_;
  HttpRequest request_;
  bool is_head_method_ = false;
  std::unique_ptr<HttpRequestParser> parser_;
  std::string unread_;            // came after what has been parsed
  std::function<void()> gone_;    // to be told while the owner has the request; or nothing
  unsigned watches_ = 0;          // the last of them counts
  std::uint64_t skip_bytes_ = 0;  // of a body that nobody wants
  std::uint64_t lingered_bytes_ = 0;
  std::string out_head_;
  std::string out_body_;
};

/// One request on its way through the owner. Its end without an answer is an answer.
struct HttpReply::Session {
  explicit Session(std::shared_ptr<HttpConnection> c) : connection(std::move(c)) {}
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  std::shared_ptr<HttpConnection> connection;
  bool answered = false;
};

}  // namespace holdfast
