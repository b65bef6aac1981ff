#include "agent/http_server_connection.h"

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>

#include "agent/logging.h"

namespace holdfast {
namespace {

using boost::system::error_code;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using Reason = HttpServer::Refusal::Reason;

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

constexpr std::string_view kNotTls =
    "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

// An answer up to this size leaves in one TLS record.
constexpr std::size_t kRecordBytes = 16U << 10;

// A body grows by this much before it is read into: a claimed length alone takes no memory.
constexpr std::size_t kBodyStepBytes = 256U << 10;

// An unwanted body up to this size is cheaper to read than a new connection is to make.
constexpr std::uint64_t kSkipBytesMax = 256U << 10;

// A client that still sends sees its answer only if what it sends is taken for a while.
constexpr milliseconds kLingerTime{2'000};
constexpr std::uint64_t kLingerBytesMax = 64U << 20;

// Reads in a row for one client before the others have their turn.
constexpr int kReadsInARow = 8;

}  // namespace

HttpConnection::HttpConnection(std::shared_ptr<HttpServerCore> core, HttpSocket socket)
    : core_(std::move(core)),
      socket_(std::move(socket)),
      tls_epoch_(core_->tls_epoch()),
      lease_(core_->options().budget) {}

void HttpConnection::start() {
  if (core_->tls() != nullptr) return shake_hands();
  enter(State::idle, core_->options().header_timeout);
  go_on();
}

void HttpConnection::shake_hands() {
  auto session = core_->tls()->accept(socket_.native_handle());
  if (session == nullptr) return close();
  tls_ = std::make_unique<HttpTls>(socket_, std::move(session));
  enter(State::handshake, core_->options().header_timeout);
  tls_->async_handshake([self = shared_from_this()](error_code error, std::size_t) {
    if (self->state_ == State::closed) return;
    if (error) return self->handshake_failed();
    self->enter(State::idle, self->core_->options().header_timeout);
    self->go_on();
  });
}

void HttpConnection::handshake_failed() {
  const TlsSession& session = tls_->session();
  if (!session.failure().empty()) {
    log(LogLevel::warn, "TLS handshake failed", {{"error", session.failure()}});
  }
  if (session.failure().empty()) return close();
  error_code error;
  if (session.met_plain_http()) {
    socket_.write_some(boost::asio::buffer(kNotTls.data(), kNotTls.size()), error);
  }
  linger();  // so that it learns why
  go_on();
}

void HttpConnection::enter(State state, milliseconds timeout) {
  state_ = state;
  deadline_ = timeout > milliseconds::zero() ? steady_clock::now() + timeout : Time::max();
}

void HttpConnection::close() {
  if (state_ == State::closed) return;
  state_ = State::closed;
  if (tls_) tls_->close_notify();
  error_code ignored;
  socket_.close(ignored);
  lease_.release();
  tell_gone();
  core_->forget(this);
}

void HttpConnection::close_if_idle() {
  if (state_ == State::handshake) return close();
  if (state_ != State::idle) return;
  error_code error;
  // A request that is already here was sent before the end: it is answered.
  if (socket_.available(error) == 0) close();
}

void HttpConnection::check_deadline(Time now) {
  if (now < deadline_) return;
  if (state_ == State::head || state_ == State::body) {
    timed_out_ = true;  // the read that is under way ends, and answers
    deadline_ = Time::max();
    error_code ignored;
    socket_.cancel(ignored);
  } else {
    close();
  }
}

bool HttpConnection::wants_input() const {
  switch (state_) {
    case State::idle:
    case State::head:
    case State::skipping:
    case State::lingering:
      return true;
    case State::body:
      return info_.framing == BodyFraming::chunked;  // a known length is read by itself
    case State::handshake:
    case State::handling:
    case State::writing:
    case State::closed:
      return false;
  }
  return false;
}

void HttpConnection::go_on() {
  if (!wants_input()) return;
  auto ready = [self = shared_from_this()](error_code error) {
    if (self->state_ == State::closed) return;
    if (self->timed_out_) return self->refuse(Reason::timeout);
    if (error) return self->close();
    self->on_readable();
  };
  if (!tls_) return socket_.async_wait(HttpSocket::wait_read, std::move(ready));
  if (!tls_->has_pending()) return socket_.async_wait(tls_->read_waits_for(), ready);
  boost::asio::post(socket_.get_executor(), [ready = std::move(ready)] { ready({}); });
}

std::size_t HttpConnection::read_some(error_code& error) {
  auto& scratch = core_->scratch();
  // What comes after the last answer is of no interest, decrypted or not.
  if (tls_ && state_ != State::lingering) {
    return tls_->read_some(scratch.data(), scratch.size(), error);
  }
  return socket_.read_some(boost::asio::buffer(scratch), error);
}

void HttpConnection::on_readable() {
  auto& scratch = core_->scratch();
  for (int reads = 0; reads < kReadsInARow; ++reads) {
    error_code error;
    const std::size_t length = read_some(error);
    if (error == boost::asio::error::would_block) break;
    if (error == boost::asio::error::eof) return end_of_input();
    if (error) return close();
    take_input({scratch.data(), length});
    if (!wants_input()) return;
    if (!tls_ && length < scratch.size()) break;  // a record is never larger
  }
  go_on();
}

void HttpConnection::take_input(std::string_view input) {
  if (state_ == State::lingering) {
    lingered_bytes_ += input.size();
    if (lingered_bytes_ > kLingerBytesMax) close();
    return;
  }
  if (unread_.empty()) return parse(input);
  const std::string whole = std::exchange(unread_, {}).append(input);
  parse(whole);
}

void HttpConnection::parse(std::string_view input) {
  if (state_ == State::idle) enter(State::head, core_->options().header_timeout);
  if (state_ == State::head) return read_head(input);
  if (state_ == State::body) return read_chunks(input);
  skip(input);
}

void HttpConnection::end_of_input() {
  // A client may close its side alone and still read: it is told that its request is torn.
  if (state_ == State::head || state_ == State::body) return refuse(Reason::bad_http);
  close();
}

void HttpConnection::read_head(std::string_view input) {
  if (!parser_) parser_ = std::make_unique<HttpRequestParser>(core_->options().header_bytes_max);
  const auto [progress, consumed] = parser_->parse_head(input);
  const std::string_view rest = input.substr(consumed);
  switch (progress) {
    case HttpRequestParser::State::need_more:
      return keep(rest);
    case HttpRequestParser::State::bad:
      return refuse(Reason::bad_http);
    case HttpRequestParser::State::header_too_large:
      return refuse(Reason::header_too_large);
    case HttpRequestParser::State::done:
      break;
  }
  info_ = parser_->take_head(request_);
  is_head_method_ = request_.method == "HEAD";
  request_is_whole_ = info_.framing == BodyFraming::none;
  if (info_.objection) {
    info_.objection->close = true;
    return write(*std::move(info_.objection));
  }
  if (auto answer = core_->answer_head(request_)) return answer_early(std::move(*answer), rest);
  begin_body(rest);
}

void HttpConnection::begin_body(std::string_view input) {
  if (info_.framing == BodyFraming::none) {
    keep(input);
    return hand_over();
  }
  if (info_.content_length > core_->options().body_bytes_max) return refuse(Reason::body_too_large);
  if (!lease_.grow_to(info_.content_length)) return refuse(Reason::budget);
  enter(State::body, core_->options().body_timeout);
  if (info_.expects_continue && input.empty() && !send_at_once(kContinue)) {
    return close();  // a client that takes not even this
  }
  if (info_.framing == BodyFraming::chunked) return read_chunks(input);
  const std::size_t here = std::min<std::size_t>(input.size(), info_.content_length);
  request_.body.reserve(info_.content_length);
  request_.body.append(input.substr(0, here));
  keep(input.substr(here));
  read_body_of_length();
}

bool HttpConnection::send_at_once(std::string_view bytes) {
  if (tls_) return tls_->write_at_once(bytes);
  error_code error;
  return socket_.write_some(boost::asio::buffer(bytes.data(), bytes.size()), error) == bytes.size();
}

void HttpConnection::read_body_of_length() {
  std::string& body = request_.body;
  const std::size_t have = body.size();
  if (have == info_.content_length) {
    request_is_whole_ = true;
    return hand_over();
  }
  const std::size_t step = std::min<std::size_t>(info_.content_length - have, kBodyStepBytes);
  body.resize(have + step);
  auto read = [self = shared_from_this(), have](error_code error, std::size_t length) {
    self->request_.body.resize(have + length);
    if (self->state_ == State::closed) return;
    if (self->timed_out_) return self->refuse(Reason::timeout);
    if (error == boost::asio::error::eof) return self->end_of_input();
    if (error) return self->close();
    self->read_body_of_length();
  };
  if (tls_) return tls_->async_read_some(body.data() + have, step, read);
  socket_.async_read_some(boost::asio::buffer(body.data() + have, step), std::move(read));
}

void HttpConnection::read_chunks(std::string_view input) {
  const auto [progress, consumed] = parser_->parse_chunks(input, request_.body);
  if (progress != HttpRequestParser::State::need_more &&
      progress != HttpRequestParser::State::done) {
    return refuse(Reason::bad_http);
  }
  if (request_.body.size() > core_->options().body_bytes_max) return refuse(Reason::body_too_large);
  if (!lease_.grow_to(request_.body.size())) return refuse(Reason::budget);
  keep(input.substr(consumed));
  if (progress == HttpRequestParser::State::need_more) return;
  request_is_whole_ = true;
  hand_over();
}

void HttpConnection::skip(std::string_view input) {
  const std::size_t here = std::min<std::size_t>(input.size(), skip_bytes_);
  skip_bytes_ -= here;
  keep(input.substr(here));
  if (skip_bytes_ == 0) next_request();
}

void HttpConnection::keep(std::string_view rest) { unread_.assign(rest); }

void HttpConnection::hand_over() {
  enter(State::handling, milliseconds::zero());
  parser_.reset();
  core_->handle(std::move(request_),
                HttpReply(std::make_shared<HttpReply::Session>(shared_from_this())));
}

void HttpConnection::answer(HttpResponse response) {
  if (state_ == State::handling) write(std::move(response));
}

void HttpConnection::answer_early(HttpResponse response, std::string_view rest) {
  const bool skippable = info_.framing == BodyFraming::length && !info_.expects_continue &&
                         info_.content_length <= kSkipBytesMax;
  if (skippable) {
    const std::size_t here = std::min<std::size_t>(rest.size(), info_.content_length);
    skip_bytes_ = info_.content_length - here;
    keep(rest.substr(here));
    request_is_whole_ = skip_bytes_ == 0;
  } else if (request_is_whole_) {
    keep(rest);
  } else {
    response.close = true;
  }
  write(std::move(response));
}

void HttpConnection::refuse(Reason reason) {
  timed_out_ = false;
  request_is_whole_ = false;
  HttpResponse response = core_->refuse(reason, request_);
  response.close = true;
  request_ = {};
  lease_.release();
  write(std::move(response));
}

void HttpConnection::write(HttpResponse response) {
  gone_ = nullptr;
  close_after_write_ = response.close || !info_.keep_alive || !core_->options().keep_alive ||
                       core_->stopping() || core_->tls_epoch() != tls_epoch_;
  out_head_ = render_head(response, core_->date(),
                          {.close = close_after_write_, .http_1_0 = info_.http_1_0});
  if (!is_head_method_) out_body_ = std::move(response.body);
  enter(State::writing, core_->options().write_timeout);
  // Sent at once if the socket takes it; what follows never runs inside the owner's commit.
  auto written = [self = shared_from_this()](error_code error, std::size_t) {
    if (self->state_ == State::closed) return;
    if (error) return self->close();
    self->after_write();
    self->go_on();
  };
  if (tls_) {
    if (out_head_.size() + out_body_.size() <= kRecordBytes) {
      out_head_.append(std::exchange(out_body_, {}));
    }
    return tls_->async_write(out_head_, out_body_, written);
  }
  const std::array<boost::asio::const_buffer, 2> parts{boost::asio::buffer(out_head_),
                                                       boost::asio::buffer(out_body_)};
  boost::asio::async_write(socket_, parts, std::move(written));
}

void HttpConnection::after_write() {
  lease_.release();
  out_head_ = {};
  out_body_ = {};
  if (close_after_write_) return linger();
  if (skip_bytes_ == 0) return next_request();
  enter(State::skipping, core_->options().body_timeout);
}

void HttpConnection::next_request() {
  parser_.reset();
  request_ = {};
  info_ = {};
  enter(State::idle, core_->options().idle_timeout);
  if (unread_.empty()) {
    unread_ = {};
    if (core_->stopping()) close_if_idle();
    return;
  }
  const std::string whole = std::exchange(unread_, {});
  parse(whole);
}

void HttpConnection::linger() {
  error_code error;
  const bool nothing_came = unread_.empty() && socket_.available(error) == 0;
  // To close with bytes unread resets the connection, and the client may lose its answer.
  if (request_is_whole_ && (nothing_came || core_->stopping())) return close();
  unread_ = {};
  if (tls_) tls_->close_notify();
  socket_.shutdown(HttpSocket::shutdown_send, error);
  enter(State::lingering, kLingerTime);
}

}  // namespace holdfast
