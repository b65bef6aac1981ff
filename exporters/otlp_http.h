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

/// Defaults are the Collector's. URLs are complete: configuration has already joined `endpoint` and
/// "/v1/…".
struct OtlpHttpOptions {
  std::array<std::string, kSignalCount> urls;
  std::vector<std::pair<std::string, std::string>> headers;
  ContentCoding compression = ContentCoding::gzip;
  std::chrono::milliseconds timeout{30'000};  // of a whole request; 0: none
  bool insecure_skip_verify = false;
  std::string ca_file;
};

/// A header that may go out: its name a token, its value without control characters, and none of
/// those that describe the body. Others are left out, so that no value can smuggle in a line.
bool is_sendable_header(std::string_view name, std::string_view value);

/// Proxies come from the environment (HTTP_PROXY, HTTPS_PROXY, NO_PROXY; never for loopback),
/// redirects are not followed. Thread safety: may be called from any thread; each exporter is then
/// its owner's alone.
std::unique_ptr<Exporter> make_otlp_http_exporter(const OtlpHttpOptions& options, Signal signal);

}  // namespace holdfast
