#include "agent/tls_server.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>
#include <utility>

#include "agent/file_stamp.h"
#include "agent/logging.h"

namespace holdfast {
namespace {

using SteadyClock = std::chrono::steady_clock;

template <auto Function>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    Function(object);
  }
};
using Context = std::unique_ptr<SSL_CTX, Free<SSL_CTX_free>>;
using Bio = std::unique_ptr<BIO, Free<BIO_free_all>>;
using Certificate = std::unique_ptr<X509, Free<X509_free>>;
using PrivateKey = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;

/// What OpenSSL has queued, the first of it; the queue is empty then.
std::string openssl_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "unknown error" : reason;
}

Error tls_error(const std::string& what) { return Error{0, "tls: " + what}; }

std::string name_of(const std::string& file, std::string_view key) {
  return file.empty() ? std::string(key) : file;
}

/// A key under a passphrase is no use here, and OpenSSL would ask the terminal for it.
int no_passphrase(char*, int, int, void*) { return -1; }

Status use_certificate(SSL_CTX* context, const TlsServerOptions& options) {
  const auto pem = read_pem(options.cert_file, options.cert_pem);
  if (!pem.ok()) return pem.error();
  const Bio bio(BIO_new_mem_buf(pem->data(), static_cast<int>(pem->size())));
  const Certificate leaf(PEM_read_bio_X509_AUX(bio.get(), nullptr, no_passphrase, nullptr));
  if (!leaf || SSL_CTX_use_certificate(context, leaf.get()) != 1) {
    return tls_error(name_of(options.cert_file, "cert_pem") +
                     ": no certificate: " + openssl_error());
  }
  while (X509* link = PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr)) {
    if (SSL_CTX_add0_chain_cert(context, link) != 1) X509_free(link);
  }
  ERR_clear_error();  // the end of the file
  return {};
}

Status use_key(SSL_CTX* context, const TlsServerOptions& options) {
  const auto pem = read_pem(options.key_file, options.key_pem);
  if (!pem.ok()) return pem.error();
  const std::string name = name_of(options.key_file, "key_pem");
  const Bio bio(BIO_new_mem_buf(pem->data(), static_cast<int>(pem->size())));
  const PrivateKey key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
  if (!key) return tls_error(name + ": no private key: " + openssl_error());
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1) {
    return tls_error(name + " does not belong to " + name_of(options.cert_file, "cert_pem") + ": " +
                     openssl_error());
  }
  return {};
}

Status require_clients(SSL_CTX* context, const TlsServerOptions& options) {
  if (options.client_ca_file.empty()) return {};
  const char* const file = options.client_ca_file.c_str();
  STACK_OF(X509_NAME)* const names = SSL_load_client_CA_file(file);
  if (names == nullptr || SSL_CTX_load_verify_file(context, file) != 1) {
    sk_X509_NAME_pop_free(names, X509_NAME_free);
    return tls_error(options.client_ca_file + ": no certificates: " + openssl_error());
  }
  SSL_CTX_set_client_CA_list(context, names);
  if (options.with_system_cas) SSL_CTX_set_default_verify_paths(context);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return {};
}

/// HTTP/1.1 is what is spoken here; a client that does not ask gets it as well.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* length,
                    const unsigned char* offered, unsigned int offered_length, void*) {
  static constexpr std::string_view kOurs("\x08http/1.1", 9);
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, length, reinterpret_cast<const unsigned char*>(kOurs.data()),
                            kOurs.size(), offered, offered_length) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

Status set_protocol(SSL_CTX* context, const TlsServerOptions& options) {
  SSL_CTX_set_min_proto_version(context, options.only_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
  if (options.only_1_2) SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE |
                                   // HTTP itself says where a message ends.
                                   SSL_OP_IGNORE_UNEXPECTED_EOF);
  // A connection at rest keeps no buffers.
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);  // tickets do without
  static constexpr std::string_view kSessions = "holdfast";
  SSL_CTX_set_session_id_context(context, reinterpret_cast<const unsigned char*>(kSessions.data()),
                                 kSessions.size());
  SSL_CTX_set_alpn_select_cb(context, choose_protocol, nullptr);
  if (!options.ciphers.empty() && SSL_CTX_set_cipher_list(context, options.ciphers.c_str()) != 1) {
    return tls_error("cipher_suites: " + openssl_error());
  }
  if (!options.groups.empty() && SSL_CTX_set1_groups_list(context, options.groups.c_str()) != 1) {
    return tls_error("curve_preferences: " + openssl_error());
  }
  return {};
}

Result<Context> make_context(const TlsServerOptions& options) {
  ERR_clear_error();
  Context context(SSL_CTX_new(TLS_server_method()));
  if (!context) return tls_error(openssl_error());
  for (const auto& step : {set_protocol, use_certificate, use_key, require_clients}) {
    if (Status status = step(context.get(), options); !status) return status.error();
  }
  return context;
}

using Stamps = std::array<FileStamp, 3>;

Stamps stamps_of(const TlsServerOptions& options) {
  return {stamp_of(options.cert_file), stamp_of(options.key_file),
          stamp_of(options.client_ca_file)};
}

class ServerContext final : public TlsServerContext {
 public:
  /// `stamps` of before the files were read: a replacement since then is seen.
  ServerContext(TlsServerOptions options, Stamps stamps, Context context)
      : options_(std::move(options)), stamps_(stamps), context_(std::move(context)) {}

  std::unique_ptr<TlsSession> accept(int fd) override {
    reload_if_replaced();
    SSL* const ssl = SSL_new(context_.get());  // holds on to its context
    if (ssl == nullptr) return nullptr;
    auto session = std::make_unique<TlsSession>(ssl);
    if (SSL_set_fd(ssl, fd) != 1) return nullptr;
    SSL_set_accept_state(ssl);
    return session;
  }

 private:
  // Three stat() a connection, where the handshake costs a thousand times as much: no watch, and
  // no timer, is as simple and as quick to see it.
  void reload_if_replaced() {
    const auto now = SteadyClock::now();
    if (now < next_look_) return;
    next_look_ = now + options_.reload_interval;
    const Stamps found = stamps_of(options_);
    if (found == stamps_) return;
    stamps_ = found;
    Result<Context> renewed = make_context(options_);
    if (!renewed.ok()) {
      log(LogLevel::warn, "the replaced certificate cannot be used, the old one stays",
          {{"error", renewed.error().message}});
      return;
    }
    context_ = std::move(renewed).value();
    log(LogLevel::info, "certificate replaced", {{"file", options_.cert_file}});
  }

  const TlsServerOptions options_;
  Stamps stamps_;
  Context context_;
  SteadyClock::time_point next_look_{};
};

SSL* to_ssl(void* ssl) { return static_cast<SSL*>(ssl); }

}  // namespace

Result<std::string> read_pem(const std::string& file, const std::string& pem) {
  if (file.empty()) return pem;
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream content;
  if (!stream || !(content << stream.rdbuf())) {
    return Error{errno, "tls: " + file + ": " + std::strerror(errno)};
  }
  return content.str();
}

Result<std::unique_ptr<TlsServerContext>> TlsServerContext::load(const TlsServerOptions& options) {
  const Stamps stamps = stamps_of(options);
  Result<Context> context = make_context(options);
  if (!context.ok()) return context.error();
  return std::unique_ptr<TlsServerContext>(
      std::make_unique<ServerContext>(options, stamps, std::move(context).value()));
}

TlsSession::~TlsSession() { SSL_free(to_ssl(ssl_)); }

TlsSession::Outcome TlsSession::outcome_of(int result, std::size_t bytes) {
  if (result > 0) return {Progress::done, bytes};
  switch (SSL_get_error(to_ssl(ssl_), result)) {
    case SSL_ERROR_WANT_READ:
      return {Progress::wants_read, 0};
    case SSL_ERROR_WANT_WRITE:
      return {Progress::wants_write, 0};
    case SSL_ERROR_ZERO_RETURN:
      return {Progress::ended, 0};
    default:
      break;
  }
  failed_ = true;
  const unsigned long code = ERR_peek_error();
  met_plain_http_ = ERR_GET_REASON(code) == SSL_R_HTTP_REQUEST;
  if (code != 0) failure_ = openssl_error();
  return {Progress::failed, 0};
}

TlsSession::Outcome TlsSession::handshake() {
  ERR_clear_error();
  const Outcome outcome = outcome_of(SSL_do_handshake(to_ssl(ssl_)), 0);
  if (outcome.progress == Progress::done) established_ = true;
  return outcome;
}

TlsSession::Outcome TlsSession::read(char* into, std::size_t size) {
  ERR_clear_error();
  std::size_t bytes = 0;
  const int result = SSL_read_ex(to_ssl(ssl_), into, size, &bytes);
  return outcome_of(result, bytes);
}

TlsSession::Outcome TlsSession::write(std::string_view content) {
  ERR_clear_error();
  std::size_t bytes = 0;
  const int result = SSL_write_ex(to_ssl(ssl_), content.data(), content.size(), &bytes);
  return outcome_of(result, bytes);
}

bool TlsSession::has_pending() const { return SSL_pending(to_ssl(ssl_)) > 0; }

void TlsSession::close_notify() {
  if (!established_ || failed_) return;
  ERR_clear_error();
  SSL_shutdown(to_ssl(ssl_));
}

}  // namespace holdfast
