// A TLS client that can be told to misbehave: versions, ciphers, certificates, renegotiation.
#pragma once

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>

#include "tests/support/raw_http_client.h"
#include "tests/support/tls_files.h"

namespace holdfast {

struct TlsClientOptions {
  std::string ca_file;
  std::string host = "localhost";  // what the certificate must be for
  const TlsIdentity* identity = nullptr;
  int version_min = 0;
  int version_max = 0;
  std::string ciphers;  // with @SECLEVEL=0 the old ones too
};

/// Blocking, with an end to each wait.
class TlsClient {
 public:
  TlsClient(std::uint16_t port, const TlsClientOptions& options)
      : context_(SSL_CTX_new(TLS_client_method())), socket_(port) {
    socket_.set_patience();
    SSL_CTX_load_verify_file(context_.get(), options.ca_file.c_str());
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_min_proto_version(context_.get(), options.version_min);
    SSL_CTX_set_max_proto_version(context_.get(), options.version_max);
    if (!options.ciphers.empty()) SSL_CTX_set_cipher_list(context_.get(), options.ciphers.c_str());
    if (options.identity != nullptr) {
      SSL_CTX_use_certificate_file(context_.get(), options.identity->cert_file.c_str(),
                                   SSL_FILETYPE_PEM);
      SSL_CTX_use_PrivateKey_file(context_.get(), options.identity->key_file.c_str(),
                                  SSL_FILETYPE_PEM);
    }
    ssl_.reset(SSL_new(context_.get()));
    SSL_set1_host(ssl_.get(), options.host.c_str());
    SSL_set_fd(ssl_.get(), socket_.fd());
    ERR_clear_error();
    connected_ = SSL_connect(ssl_.get()) == 1;
  }

  bool connected() const { return connected_; }
  SSL* ssl() { return ssl_.get(); }
  const char* version() { return SSL_get_version(ssl_.get()); }
  const char* cipher() { return SSL_get_cipher_name(ssl_.get()); }

  /// The common name in the server's certificate.
  std::string peer() {
    const std::unique_ptr<X509, decltype(&X509_free)> found(SSL_get1_peer_certificate(ssl_.get()),
                                                            X509_free);
    char name[64] = "";
    if (found) {
      X509_NAME_get_text_by_NID(X509_get_subject_name(found.get()), NID_commonName, name,
                                sizeof name);
    }
    return name;
  }

  bool send(std::string_view bytes) {
    return SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size())) > 0;
  }

  /// One response as text, to its Content-Length; "" when the connection ends before.
  std::string receive() {
    std::string text;
    std::size_t whole = std::string::npos;
    while (text.size() < whole) {
      char buffer[65536];
      const int length = SSL_read(ssl_.get(), buffer, sizeof buffer);
      if (length <= 0) return {};
      text.append(buffer, static_cast<std::size_t>(length));
      const std::size_t head = text.find("\r\n\r\n");
      const std::size_t field = text.find("Content-Length: ");
      if (head == std::string::npos || field == std::string::npos) continue;
      whole = head + 4 + std::strtoull(text.c_str() + field + 16, nullptr, 10);
    }
    return text;
  }

  std::string exchange(std::string_view request) { return send(request) ? receive() : ""; }

  RawHttpClient& socket() { return socket_; }

 private:
  struct Free {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  std::unique_ptr<SSL_CTX, Free> context_;
  RawHttpClient socket_;
  std::unique_ptr<SSL, Free> ssl_;
  bool connected_ = false;
};

}  // namespace holdfast
