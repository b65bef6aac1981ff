#include "exporters/otlp_grpc_channel.h"

#include <grpc/grpc_security.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <vector>

namespace holdfast {
namespace {

constexpr int kAnswerBytesMax = 1 << 20;
constexpr int kMetadataBytesMax = 64 << 10;
// As long as the HTTP exporter keeps one: afterwards the line or a NAT may have forgotten it.
constexpr int kIdleConnectionMsMax = 90'000;
constexpr int kReconnectBackoffMsMax = 30'000;  // for wait_for_ready; other calls fail at once

struct CredentialsRelease {
  void operator()(grpc_channel_credentials* credentials) const {
    grpc_channel_credentials_release(credentials);
  }
};
using Credentials = std::unique_ptr<grpc_channel_credentials, CredentialsRelease>;

bool read_file(const std::string& path, std::string& content, std::string& error) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  if (file) bytes << file.rdbuf();
  if (!file) {
    error = "cannot read " + path + ": " + std::strerror(errno);
    return false;
  }
  content += bytes.str();
  return true;
}

/// PEM from the text or the file; "" when there is neither.
bool load_pem(const std::string& text, const std::string& path, std::string& pem,
              std::string& error) {
  pem = text;
  return path.empty() || read_file(path, pem, error);
}

/// Where distributions keep their bundle of authorities.
bool add_system_roots(std::string& pem, std::string& error) {
  for (const char* path :
       {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"}) {
    if (!pem.empty() && pem.back() != '\n') pem += '\n';
    if (read_file(path, pem, error)) return true;
  }
  error = "no bundle of the system's authorities was found";
  return false;
}

grpc_tls_certificate_provider* make_provider(const std::string& roots, const std::string& cert,
                                             const std::string& key) {
  grpc_tls_identity_pairs* pairs = nullptr;
  if (!cert.empty()) {
    pairs = grpc_tls_identity_pairs_create();
    grpc_tls_identity_pairs_add_pair(pairs, key.c_str(), cert.c_str());
  }
  return grpc_tls_certificate_provider_static_data_create(roots.empty() ? nullptr : roots.c_str(),
                                                          pairs);
}

/// Null and `error` when a file cannot be read.
Credentials make_credentials(const GrpcTlsOptions& tls, std::string& error) {
  if (!tls.enabled) return Credentials(grpc_insecure_credentials_create());
  std::string roots;
  std::string cert;
  std::string key;
  if (!load_pem(tls.ca_pem, tls.ca_file, roots, error) ||
      !load_pem(tls.cert_pem, tls.cert_file, cert, error) ||
      !load_pem(tls.key_pem, tls.key_file, key, error)) {
    return nullptr;
  }
  if (!roots.empty() && tls.with_system_roots && !add_system_roots(roots, error)) return nullptr;
  grpc_tls_credentials_options* options = grpc_tls_credentials_options_create();
  if (!roots.empty() || !cert.empty()) {
    grpc_tls_certificate_provider* provider = make_provider(roots, cert, key);
    grpc_tls_credentials_options_set_certificate_provider(options, provider);
    grpc_tls_certificate_provider_release(provider);
    if (!roots.empty()) grpc_tls_credentials_options_watch_root_certs(options);
    if (!cert.empty()) grpc_tls_credentials_options_watch_identity_key_cert_pairs(options);
  }
  if (tls.insecure_skip_verify) {
    grpc_tls_certificate_verifier* verifier = grpc_tls_certificate_verifier_no_op_create();
    grpc_tls_credentials_options_set_certificate_verifier(options, verifier);
    grpc_tls_certificate_verifier_release(verifier);
    grpc_tls_credentials_options_set_verify_server_cert(options, 0);
    grpc_tls_credentials_options_set_check_call_host(options, 0);
  }
  return Credentials(grpc_tls_credentials_create(options));  // which takes the options
}

class Arguments {
 public:
  void add(const char* key, int value) {
    grpc_arg argument{};
    argument.type = GRPC_ARG_INTEGER;
    argument.key = const_cast<char*>(key);  // C's way to say const
    argument.value.integer = value;
    list_.push_back(argument);
  }
  /// The text must outlive the channel's creation. "" is left out.
  void add(const char* key, const std::string& value) {
    if (value.empty()) return;
    grpc_arg argument{};
    argument.type = GRPC_ARG_STRING;
    argument.key = const_cast<char*>(key);
    argument.value.string = const_cast<char*>(value.c_str());
    list_.push_back(argument);
  }
  grpc_channel_args get() { return {list_.size(), list_.data()}; }

 private:
  std::vector<grpc_arg> list_;
};

int to_int(std::chrono::milliseconds duration) {
  return static_cast<int>(std::min<std::int64_t>(duration.count(), INT_MAX));
}

void add_keepalive(const GrpcKeepalive& keepalive, Arguments& arguments) {
  arguments.add(GRPC_ARG_KEEPALIVE_TIME_MS, to_int(keepalive.time));
  arguments.add(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, to_int(keepalive.timeout));
  arguments.add(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, keepalive.permit_without_stream ? 1 : 0);
  arguments.add(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);  // no limit, else it stops after two
}

}  // namespace

GrpcChannel::GrpcChannel(const OtlpGrpcOptions& options) : options_(options) {
  // Once in the process, and never given back: the clean-up behind the last grpc_shutdown() waits
  // up to ten seconds for connections that are still being closed.
  static const bool ready = (grpc_init(), true);
  static_cast<void>(ready);
}

GrpcChannel::~GrpcChannel() { close(); }

bool GrpcChannel::open() {
  if (channel_ != nullptr) return true;
  const Credentials credentials = make_credentials(options_.tls, error_);
  if (credentials == nullptr) return false;
  static const std::string kUserAgent = "holdfast/" HOLDFAST_VERSION;
  Arguments arguments;
  arguments.add(GRPC_ARG_PRIMARY_USER_AGENT_STRING,
                options_.user_agent.empty() ? kUserAgent : options_.user_agent);
  arguments.add(GRPC_ARG_DEFAULT_AUTHORITY, options_.authority);
  arguments.add(GRPC_ARG_LB_POLICY_NAME, options_.balancer_name);
  arguments.add(GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, options_.tls.server_name);
  // What is sent again is the drain's to say, and a call must not be repeated behind its back.
  arguments.add(GRPC_ARG_ENABLE_RETRIES, 0);
  // A connection of its own, so that close() is one.
  arguments.add(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // As the Collector: never a proxy for this machine.
  arguments.add(GRPC_ARG_ENABLE_HTTP_PROXY, is_local_target(options_.target) ? 0 : 1);
  arguments.add(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, kAnswerBytesMax);
  arguments.add(GRPC_ARG_MAX_METADATA_SIZE, kMetadataBytesMax);
  arguments.add(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectBackoffMsMax);
  if (options_.compression == ContentCoding::gzip) {
    arguments.add(GRPC_COMPRESSION_CHANNEL_DEFAULT_ALGORITHM, GRPC_COMPRESS_GZIP);
  }
  if (options_.keepalive) add_keepalive(*options_.keepalive, arguments);
  if (!options_.keepalive || !options_.keepalive->permit_without_stream) {
    arguments.add(GRPC_ARG_CLIENT_IDLE_TIMEOUT_MS, kIdleConnectionMsMax);
  }
  const grpc_channel_args list = arguments.get();
  channel_ = grpc_channel_create(options_.target.c_str(), credentials.get(), &list);
  return true;
}

void GrpcChannel::close() {
  if (channel_ != nullptr) grpc_channel_destroy(channel_);
  channel_ = nullptr;
}

bool GrpcChannel::connected() const {
  return channel_ != nullptr &&
         grpc_channel_check_connectivity_state(channel_, 0) == GRPC_CHANNEL_READY;
}

bool is_local_target(std::string_view target) {
  if (target.starts_with("unix:") || target.starts_with("unix-abstract:")) return true;
  if (target.starts_with("dns:")) target.remove_prefix(4);
  while (target.starts_with('/')) target.remove_prefix(1);
  return target.starts_with("localhost:") || target.starts_with("127.") ||
         target.starts_with("[::1]:");
}

}  // namespace holdfast
