// An upstream on real sockets that answers as a test says, well or badly: whole answers, half ones,
// resets, silence.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace holdfast {

struct UpstreamRequest {
  std::string head;  // request line and headers, as sent
  std::string body;
  int connection = 0;  // from 0

  /// Value of a header, "" without; case-insensitive.
  std::string header(std::string_view name) const;
};

struct UpstreamReply {
  enum class Then : std::uint8_t { keep, close, reset, hang };
  std::string bytes;  // as they go out
  Then then = Then::keep;
};

/// A well-formed answer with Content-Length. `extra` are whole header lines with their CRLF.
UpstreamReply http_answer(int status, std::string_view content_type, std::string_view body,
                          std::string_view extra = "");
UpstreamReply otlp_ok();

struct UpstreamTls {
  std::string certificate_pem;
  std::string key_pem;
};
/// Self-signed, for 127.0.0.1.
UpstreamTls make_tls();

/// One thread a connection. The handler runs on those, one call at a time.
class ScriptedUpstream {
 public:
  using Handler = std::function<UpstreamReply(const UpstreamRequest&)>;
  /// What happens to a connection before anything is read; nothing: it is served.
  using AcceptHandler = std::function<std::optional<UpstreamReply>(int connection)>;

  explicit ScriptedUpstream(Handler handler, AcceptHandler on_accept = {},
                            std::optional<UpstreamTls> tls = {});
  ~ScriptedUpstream();

  std::uint16_t port() const { return port_; }
  std::string url(std::string_view path = "/v1/traces") const;

  std::vector<UpstreamRequest> requests() const;
  std::size_t request_count() const;
  /// Blocks until that many have come; false after ten seconds without.
  bool wait_for_requests(std::size_t count) const;

 private:
  class Connection;
  void accept_loop();
  void serve(int fd, int number, std::stop_token stop);
  UpstreamReply handle(UpstreamRequest request);
  bool finish(int fd, const UpstreamReply& reply, std::stop_token stop);

  Handler handler_;
  AcceptHandler on_accept_;
  struct TlsContext;
  std::unique_ptr<TlsContext> tls_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;
  mutable std::condition_variable_any changed_;
  std::vector<UpstreamRequest> requests_;
  std::vector<int> fds_;  // open ones
  std::mutex handler_mutex_;
  std::stop_source stopping_;
  std::vector<std::jthread> connections_;
  std::jthread acceptor_;
};

/// A port on which nobody listens.
std::uint16_t closed_port();

}  // namespace holdfast
