#include "tests/support/scripted_upstream.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

namespace holdfast {
namespace {

int listen_on_loopback(std::uint16_t& port, bool listening) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (fd < 0 || ::bind(fd, generic, length) != 0 || ::getsockname(fd, generic, &length) != 0 ||
      (listening && ::listen(fd, 64) != 0)) {
    std::abort();
  }
  port = ntohs(address.sin_port);
  return fd;
}

std::string pem_of(const std::function<int(BIO*)>& write) {
  BIO* memory = BIO_new(BIO_s_mem());
  write(memory);
  char* data = nullptr;
  const long length = BIO_get_mem_data(memory, &data);
  std::string pem(data, static_cast<std::size_t>(length));
  BIO_free(memory);
  return pem;
}

}  // namespace

std::string UpstreamRequest::header(std::string_view name) const {
  std::size_t at = head.find("\r\n");
  while (at != std::string::npos && at + 2 < head.size()) {
    const std::size_t begin = at + 2;
    const std::size_t end = head.find("\r\n", begin);
    const std::string line = head.substr(begin, end - begin);
    if (line.size() > name.size() && line[name.size()] == ':' &&
        ::strncasecmp(line.c_str(), std::string(name).c_str(), name.size()) == 0) {
      const std::size_t value = line.find_first_not_of(' ', name.size() + 1);
      return value == std::string::npos ? "" : line.substr(value);
    }
    at = end;
  }
  return {};
}

UpstreamReply http_answer(int status, std::string_view content_type, std::string_view body,
                          std::string_view extra) {
  std::string bytes = "HTTP/1.1 " + std::to_string(status) + " Scripted\r\n";
  if (!content_type.empty()) bytes.append("Content-Type: ").append(content_type).append("\r\n");
  bytes.append(extra).append("Content-Length: " + std::to_string(body.size()) + "\r\n\r\n");
  return {.bytes = bytes.append(body)};
}

UpstreamReply otlp_ok() { return http_answer(200, "application/x-protobuf", ""); }

UpstreamTls make_tls() {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME* name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("127.0.0.1"), -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* alternative =
      X509V3_EXT_conf_nid(nullptr, &context, NID_subject_alt_name, "IP:127.0.0.1");
  X509_add_ext(certificate, alternative, -1);
  X509_EXTENSION_free(alternative);
  X509_sign(certificate, key, EVP_sha256());
  UpstreamTls tls;
  tls.certificate_pem = pem_of([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
  tls.key_pem = pem_of([&](BIO* bio) {
    return PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  });
  X509_free(certificate);
  EVP_PKEY_free(key);
  return tls;
}

struct ScriptedUpstream::TlsContext {
  explicit TlsContext(const UpstreamTls& tls) : context(SSL_CTX_new(TLS_server_method())) {
    BIO* certificate_bio = BIO_new_mem_buf(tls.certificate_pem.data(), -1);
    BIO* key_bio = BIO_new_mem_buf(tls.key_pem.data(), -1);
    X509* certificate = PEM_read_bio_X509(certificate_bio, nullptr, nullptr, nullptr);
    EVP_PKEY* key = PEM_read_bio_PrivateKey(key_bio, nullptr, nullptr, nullptr);
    SSL_CTX_use_certificate(context, certificate);
    SSL_CTX_use_PrivateKey(context, key);
    X509_free(certificate);
    EVP_PKEY_free(key);
    BIO_free(certificate_bio);
    BIO_free(key_bio);
  }
  ~TlsContext() { SSL_CTX_free(context); }
  SSL_CTX* context;
};

/// Plain or TLS bytes of one connection.
class ScriptedUpstream::Connection {
 public:
  Connection(int fd, const TlsContext* tls) : fd_(fd) {
    if (tls == nullptr) return;
    ssl_ = SSL_new(tls->context);
    SSL_set_fd(ssl_, fd);
    usable_ = SSL_accept(ssl_) == 1;
  }
  ~Connection() { SSL_free(ssl_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  bool usable() const { return usable_; }

  bool read_more(std::string& buffer) {
    char bytes[65'536];
    const ssize_t length =
        ssl_ != nullptr ? SSL_read(ssl_, bytes, sizeof bytes) : ::recv(fd_, bytes, sizeof bytes, 0);
    if (length <= 0) return false;
    buffer.append(bytes, static_cast<std::size_t>(length));
    return true;
  }

  bool write_all(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t length = ssl_ != nullptr
                                 ? SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()))
                                 : ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (length <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(length));
    }
    return true;
  }

  /// One request; false when the client has gone.
  bool read_request(UpstreamRequest& request) {
    std::size_t end = 0;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (!read_more(buffer_)) return false;
    }
    request.head = buffer_.substr(0, end + 2);
    buffer_.erase(0, end + 4);
    const std::size_t length = std::strtoul(request.header("content-length").c_str(), nullptr, 10);
    while (buffer_.size() < length) {
      if (!read_more(buffer_)) return false;
    }
    request.body = buffer_.substr(0, length);
    buffer_.erase(0, length);
    return true;
  }

 private:
  int fd_;
  SSL* ssl_ = nullptr;
  bool usable_ = true;
  std::string buffer_;
};

ScriptedUpstream::ScriptedUpstream(Handler handler, AcceptHandler on_accept,
                                   std::optional<UpstreamTls> tls)
    : handler_(std::move(handler)), on_accept_(std::move(on_accept)) {
  if (tls) tls_ = std::make_unique<TlsContext>(*tls);
  listener_ = listen_on_loopback(port_, true);
  acceptor_ = std::jthread([this] { accept_loop(); });
}

ScriptedUpstream::~ScriptedUpstream() {
  stopping_.request_stop();
  ::shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  {
    std::lock_guard lock(mutex_);
    for (const int fd : fds_) ::shutdown(fd, SHUT_RDWR);
  }
  connections_.clear();
  ::close(listener_);
}

std::string ScriptedUpstream::url(std::string_view path) const {
  return std::string(tls_ ? "https" : "http") + "://127.0.0.1:" + std::to_string(port_) +
         std::string(path);
}

void ScriptedUpstream::accept_loop() {
  for (int number = 0;; ++number) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    {
      std::lock_guard lock(mutex_);
      fds_.push_back(fd);
    }
    connections_.emplace_back([this, fd, number] { serve(fd, number, stopping_.get_token()); });
  }
}

void ScriptedUpstream::serve(int fd, int number, std::stop_token stop) {
  bool open = true;
  if (on_accept_) {
    if (auto reply = on_accept_(number)) {
      ::send(fd, reply->bytes.data(), reply->bytes.size(), MSG_NOSIGNAL);
      open = finish(fd, *reply, stop);
    }
  }
  if (open) {
    Connection connection(fd, tls_.get());
    UpstreamRequest request;
    while (open && connection.usable() && connection.read_request(request)) {
      request.connection = number;
      const UpstreamReply reply = handle(std::move(request));
      open = connection.write_all(reply.bytes) && finish(fd, reply, stop);
      request = {};
    }
  }
  std::lock_guard lock(mutex_);
  std::erase(fds_, fd);
  ::close(fd);
}

UpstreamReply ScriptedUpstream::handle(UpstreamRequest request) {
  std::lock_guard one_at_a_time(handler_mutex_);
  UpstreamReply reply = handler_(request);
  std::lock_guard lock(mutex_);
  requests_.push_back(std::move(request));
  changed_.notify_all();
  return reply;
}

/// False: the connection ends here.
bool ScriptedUpstream::finish(int fd, const UpstreamReply& reply, std::stop_token stop) {
  if (reply.then == UpstreamReply::Then::reset) {
    const linger none{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
  }
  if (reply.then == UpstreamReply::Then::hang) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, stop, [] { return false; });
  }
  return reply.then == UpstreamReply::Then::keep;
}

std::vector<UpstreamRequest> ScriptedUpstream::requests() const {
  std::lock_guard lock(mutex_);
  return requests_;
}

std::size_t ScriptedUpstream::request_count() const {
  std::lock_guard lock(mutex_);
  return requests_.size();
}

bool ScriptedUpstream::wait_for_requests(std::size_t count) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::seconds(10),
                           [this, count] { return requests_.size() >= count; });
}

std::uint16_t closed_port() {
  std::uint16_t port = 0;
  ::close(listen_on_loopback(port, false));
  return port;
}

}  // namespace holdfast
