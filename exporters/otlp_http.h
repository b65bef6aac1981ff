// OTLP over HTTP/1.1 with libcurl (OTLP specification, "OTLP/HTTP"): one POST a batch, keep-alive,
// HTTPS.
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "exporters/exporter.h"

namespace holdfast {

/// Files are read again for each new connection, authorities at most a minute later: a renewed
/// certificate needs no restart.
struct HttpTlsOptions {
  bool insecure_skip_verify = false;
  std::string ca_file;  // this or ca_pem; neither: the system's authorities
  std::string ca_pem;
  bool with_system_cas = false;  // beside ca_file or ca_pem
  std::string cert_file;         // for a server that asks for one; each a file or a text
  std::string cert_pem;
  std::string key_file;
  std::string key_pem;
  std::string server_name;  // what the certificate must be for, and SNI; "": the URL's host
  bool only_1_2 = false;
  bool only_1_3 = false;
  std::string ciphers;  // for TLS 1.2, in OpenSSL's names with colons; "": the defaults
  std::string groups;   // likewise the curves

  bool operator==(const HttpTlsOptions&) const = default;
};

/// Defaults are the Collector's. URLs are complete: configuration has already joined `endpoint` and
/// "/v1/…".
struct OtlpHttpOptions {
  std::array<std::string, kSignalCount> urls;
  std::vector<std::pair<std::string, std::string>> headers;
  ContentCoding compression = ContentCoding::gzip;
  int compression_level = 0;  // of zstd; 0: ours
  BodyEncoding encoding = BodyEncoding::protobuf;
  std::chrono::milliseconds timeout{30'000};  // of a whole request; 0: none
  HttpTlsOptions tls;
  std::string proxy_url;                           // "": the environment's
  bool keep_alive = true;                          // false: a connection for each request
  std::chrono::milliseconds idle_timeout{90'000};  // of a connection; 0: none
  CredentialsSource credentials;

  bool operator==(const OtlpHttpOptions&) const = default;
};

/// A header that may go out: its name a token, its value without control characters, and none of
/// those that describe the body. Others are left out, so that no value can smuggle in a line.
bool is_sendable_header(std::string_view name, std::string_view value);

/// Without a proxy_url proxies come from the environment (HTTP_PROXY, HTTPS_PROXY, NO_PROXY; never
/// for loopback); redirects are not followed. Thread safety: may be called from any thread; each
/// exporter is then its owner's alone.
std::unique_ptr<Exporter> make_otlp_http_exporter(const OtlpHttpOptions& options, Signal signal);

}  // namespace holdfast
