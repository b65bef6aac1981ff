#include "agent/http_server_tls.h"

#include <boost/asio/post.hpp>

namespace holdfast {
namespace {

using boost::system::error_code;
using Progress = TlsSession::Progress;

// Records in a row for one client before the others have their turn.
constexpr int kRecordsInARow = 16;

HttpSocket::wait_type direction_of(Progress progress) {
  return progress == Progress::wants_write ? HttpSocket::wait_write : HttpSocket::wait_read;
}

bool would_block(Progress progress) {
  return progress == Progress::wants_read || progress == Progress::wants_write;
}

error_code error_of(Progress progress) {
  switch (progress) {
    case Progress::done:
      return {};
    case Progress::wants_read:
    case Progress::wants_write:
      return boost::asio::error::would_block;
    case Progress::ended:
      return boost::asio::error::eof;
    case Progress::failed:
      break;
  }
  return boost::asio::error::connection_reset;
}

}  // namespace

void HttpTls::finish(Done done, error_code error, std::size_t bytes) {
  boost::asio::post(socket_.get_executor(),
                    [done = std::move(done), error, bytes] { done(error, bytes); });
}

void HttpTls::async_handshake(Done done) {
  const Progress progress = session_->handshake().progress;
  if (!would_block(progress)) return finish(std::move(done), error_of(progress), 0);
  socket_.async_wait(direction_of(progress), [this, done = std::move(done)](error_code error) {
    if (error) return done(error, 0);
    async_handshake(done);
  });
}

std::size_t HttpTls::read_some(char* into, std::size_t size, error_code& error) {
  const TlsSession::Outcome outcome = session_->read(into, size);
  error = error_of(outcome.progress);
  read_waits_for_ = direction_of(outcome.progress);
  return outcome.bytes;
}

void HttpTls::async_read_some(char* into, std::size_t size, Done done) {
  std::size_t bytes = 0;
  error_code error;
  for (int records = 0; records < kRecordsInARow && bytes < size && !error; ++records) {
    bytes += read_some(into + bytes, size - bytes, error);
  }
  if (bytes > 0) return finish(std::move(done), {}, bytes);  // the error comes again
  if (error != boost::asio::error::would_block) return finish(std::move(done), error, 0);
  socket_.async_wait(read_waits_for_,
                     [this, into, size, done = std::move(done)](error_code failed) {
                       if (failed) return done(failed, 0);
                       async_read_some(into, size, done);
                     });
}

void HttpTls::async_write(std::string_view head, std::string_view body, Done done) {
  Progress progress = Progress::done;
  for (int records = 0; records < kRecordsInARow && progress == Progress::done; ++records) {
    if (head.empty()) std::swap(head, body);
    if (head.empty()) return finish(std::move(done), {}, 0);
    const TlsSession::Outcome outcome = session_->write(head);
    progress = outcome.progress;
    head.remove_prefix(outcome.bytes);
  }
  if (progress != Progress::done && !would_block(progress)) {
    return finish(std::move(done), error_of(progress), 0);
  }
  const auto wanted =
      progress == Progress::wants_read ? HttpSocket::wait_read : HttpSocket::wait_write;
  socket_.async_wait(wanted, [this, head, body, done = std::move(done)](error_code failed) {
    if (failed) return done(failed, 0);
    async_write(head, body, done);
  });
}

bool HttpTls::write_at_once(std::string_view bytes) {
  return session_->write(bytes).bytes == bytes.size();
}

}  // namespace holdfast
