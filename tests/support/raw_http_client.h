// A client on a bare socket, which sends what no library would. Every wait has an end.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace holdfast {

/// For what a server does after its answer can be read: waits until it is so.
template <typename Condition>
bool becomes_true(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

struct RawResponse {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;

  std::optional<std::string> header(std::string_view name) const {
    const auto lower = [](unsigned char c) { return std::tolower(c); };
    for (const auto& [key, value] : headers) {
      if (std::equal(key.begin(), key.end(), name.begin(), name.end(),
                     [&](char a, char b) { return lower(a) == lower(b); })) {
        return value;
      }
    }
    return std::nullopt;
  }
};

class RawHttpClient {
 public:
  static constexpr int kPatienceMs = 10'000;

  explicit RawHttpClient(std::uint16_t port, int receive_buffer_bytes = 0)
      : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_buffer_bytes != 0) {
      setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  /// On a socket that is connected already, and its own from now on.
  static RawHttpClient over(int fd) { return RawHttpClient(Connected{fd}); }
  ~RawHttpClient() { close(); }
  RawHttpClient(RawHttpClient&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)),
        connected_(other.connected_),
        input_(std::move(other.input_)) {}
  RawHttpClient& operator=(RawHttpClient&&) = delete;

  bool connected() const { return connected_; }

  /// False when the server has gone.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  /// The next response, read to its Content-Length; status 0 when the connection ends before.
  RawResponse receive(bool to_head_request = false) {
    std::size_t end = 0;
    while ((end = input_.find("\r\n\r\n")) == std::string::npos) {
      if (!fill()) return {};
    }
    RawResponse response = parse_head(input_.substr(0, end + 2));
    input_.erase(0, end + 4);
    const std::size_t length =
        std::strtoull(response.header("Content-Length").value_or("0").c_str(), nullptr, 10);
    while (!to_head_request && response.status >= 200 && input_.size() < length) {
      if (!fill()) return {};
    }
    if (!to_head_request && response.status >= 200) {
      response.body = input_.substr(0, length);
      input_.erase(0, length);
    }
    return response;
  }

  RawResponse exchange(std::string_view request) {
    send(request);
    return receive();
  }

  /// True when the server ends the connection, with nothing more to read before.
  bool ended_by_server() {
    if (!input_.empty()) return false;
    return !fill() && !out_of_patience_;
  }

  /// All that comes until the server ends the connection.
  std::string receive_all() {
    while (fill()) {
    }
    return std::exchange(input_, {});
  }

  /// The server ends the connection, whatever it says before.
  bool ends() {
    receive_all();
    return !out_of_patience_;
  }

  /// Is a byte there, or the end, within the time?
  bool readable_within(int milliseconds) const {
    pollfd waiting{fd_, POLLIN, 0};
    return !input_.empty() || poll(&waiting, 1, milliseconds) > 0;
  }

  int fd() const { return fd_; }

  /// For those who read the socket themselves.
  void set_patience() {
    const timeval patience{kPatienceMs / 1000, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  }

  void finish_sending() { shutdown(fd_, SHUT_WR); }

  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

  /// Ends with a reset, as a client that is killed.
  void reset() {
    const linger hard{1, 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close();
  }

 private:
  struct Connected {
    int fd;
  };
  explicit RawHttpClient(Connected socket) : fd_(socket.fd), connected_(socket.fd >= 0) {}

  bool fill() {
    pollfd waiting{fd_, POLLIN, 0};
    if (poll(&waiting, 1, kPatienceMs) <= 0) {
      out_of_patience_ = true;
      ADD_FAILURE() << "the server neither answers nor closes";
      return false;
    }
    char buffer[65536];
    const ssize_t length = recv(fd_, buffer, sizeof buffer, 0);
    if (length <= 0) return false;
    input_.append(buffer, static_cast<std::size_t>(length));
    return true;
  }

  static RawResponse parse_head(std::string_view head) {
    RawResponse response;
    bool first = true;
    while (!head.empty()) {
      const std::size_t end = head.find("\r\n");
      const std::string_view line = head.substr(0, end);
      head.remove_prefix(end + 2);
      if (first) {
        if (line.starts_with("HTTP/1.1 ")) {
          response.status = std::atoi(std::string(line.substr(9, 3)).c_str());
        }
        first = false;
        continue;
      }
      const std::size_t colon = line.find(": ");
      if (colon == std::string_view::npos) continue;
      response.headers.emplace_back(line.substr(0, colon), line.substr(colon + 2));
    }
    return response;
  }

  int fd_ = -1;
  bool connected_ = false;
  bool out_of_patience_ = false;
  std::string input_;
};

}  // namespace holdfast
