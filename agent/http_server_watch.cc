// A client that hangs up while its request is being answered: noticed where the owner asks for it.
#include "agent/http_server_connection.h"

namespace holdfast {
namespace {

using boost::system::error_code;

// A client that sends its next requests already is there; it is not read from without end.
constexpr std::size_t kReadAheadBytesMax = 64U << 10;

}  // namespace

void HttpConnection::watch(std::function<void()> gone) {
  if (state_ != State::handling) return gone();
  gone_ = std::move(gone);
  await_end();
}

void HttpConnection::await_end() {
  auto ready = [self = shared_from_this(), watch = ++watches_](error_code error) {
    const bool is_current = self->watches_ == watch && self->state_ == State::handling;
    if (is_current && !error) self->look_for_end();
  };
  if (tls_) return socket_.async_wait(tls_->read_waits_for(), std::move(ready));
  socket_.async_wait(HttpSocket::wait_read, std::move(ready));
}

void HttpConnection::look_for_end() {
  error_code error;
  const std::size_t length = read_some(error);
  if (error == boost::asio::error::would_block) return await_end();
  if (error) return tell_gone();
  unread_.append(core_->scratch().data(), length);
  if (unread_.size() <= kReadAheadBytesMax) await_end();
}

void HttpConnection::tell_gone() {
  if (const auto gone = std::exchange(gone_, nullptr)) gone();
}

}  // namespace holdfast
