#include "agent/grpc_receiver_tls.h"

#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace holdfast {
namespace {

namespace tls = grpc::experimental;

constexpr std::chrono::seconds kReloadInterval{10};

using Provider = std::shared_ptr<tls::CertificateProviderInterface>;

Provider watched_files(const TlsServerOptions& options) {
  auto interval = std::chrono::duration_cast<std::chrono::seconds>(options.reload_interval);
  interval = interval.count() > 0 ? interval : std::chrono::seconds(1);
  if (options.reload_interval.count() == 0) interval = kReloadInterval;
  return std::make_shared<tls::FileWatcherCertificateProvider>(
      options.key_file, options.cert_file, options.client_ca_file,
      static_cast<unsigned>(std::min<std::int64_t>(interval.count(), UINT32_MAX)));
}

Result<Provider> texts(const TlsServerOptions& options) {
  const auto certificate = read_pem(options.cert_file, options.cert_pem);
  const auto key = read_pem(options.key_file, options.key_pem);
  const auto clients = read_pem(options.client_ca_file, "");
  for (const auto* read : {&certificate, &key, &clients}) {
    if (!read->ok()) return read->error();
  }
  return Provider(std::make_shared<tls::StaticDataCertificateProvider>(
      *clients, std::vector<tls::IdentityKeyCertPair>{{*key, *certificate}}));
}

}  // namespace

Result<std::shared_ptr<grpc::ServerCredentials>> grpc_server_credentials(
    const TlsServerOptions& options) {
  if (const auto sound = TlsServerContext::load(options); !sound.ok()) return sound.error();
  const bool files = !options.cert_file.empty() && !options.key_file.empty();
  Result<Provider> provider = files ? watched_files(options) : texts(options);
  if (!provider.ok()) return provider.error();
  tls::TlsServerCredentialsOptions credentials(*provider);
  credentials.watch_identity_key_cert_pairs();
  if (!options.client_ca_file.empty()) {
    credentials.watch_root_certs();
    credentials.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  return tls::TlsServerCredentials(credentials);
}

}  // namespace holdfast
