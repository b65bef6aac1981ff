// `exporter` of service::telemetry: an OTLP upstream, in the keys of the declarative configuration.
// Source: OpenTelemetry configuration schema 0.3, "OTLP".
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "agent/config_telemetry.h"
#include "agent/config_values.h"

namespace holdfast {

namespace {

constexpr milliseconds kTimeout{10'000};

using Pairs = std::vector<std::pair<std::string, std::string>>;

/// What is written, before it is known for which protocol.
struct Written {
  bool over_grpc = false;
  bool insecure = false;
  bool gzip = false;
  std::string endpoint;
  std::string certificate;
  std::string client_certificate;
  std::string client_key;
  Pairs headers;
  Pairs headers_list;
  milliseconds timeout = kTimeout;
};

/// "a=b,c=d".
Reader listed_headers(Pairs& out) {
  return [&out](const Value& value) {
    std::string list;
    text(list)(value);
    for (std::string_view rest = list; !rest.empty();) {
      const std::string_view item = rest.substr(0, rest.find(','));
      rest.remove_prefix(std::min(rest.size(), item.size() + 1));
      const std::size_t equals = item.find('=');
      if (equals == std::string_view::npos || equals == 0) {
        return value.fail("is not a list of headers", "as in \"name=value,other=value\"");
      }
      out.emplace_back(item.substr(0, equals), item.substr(equals + 1));
    }
  };
}

Keys keys_of(Written& written, Signal signal) {
  const std::vector<std::string> protocols{"http/protobuf", "grpc/protobuf", "grpc"};
  Keys keys{
      {"protocol", choice(protocols, [&](std::size_t i) { written.over_grpc = i > 0; })},
      {"endpoint", text(written.endpoint)},
      {"insecure", boolean(written.insecure)},
      {"certificate", text(written.certificate)},
      {"client_certificate", text(written.client_certificate)},
      {"client_key", text(written.client_key)},
      {"headers", headers(written.headers)},
      {"headers_list", listed_headers(written.headers_list)},
      {"compression", choice({"none", "gzip"}, [&](std::size_t i) { written.gzip = i == 1; })},
      {"timeout", milliseconds_number(written.timeout)},
  };
  if (signal == Signal::metrics) {
    const auto cumulative = "sums are cumulative here";
    const Reader temporality = [cumulative](const Value& value) {
      std::string word;
      text(word)(value);
      if (!word.empty() && word != "cumulative") refused(cumulative)(value);
    };
    keys.push_back({"temporality_preference", temporality});
    keys.push_back({"default_histogram_aggregation", accepted()});
  }
  return keys;
}

void check_headers(const Value& value, const Written& written) {
  for (const auto& [name, content] : written.headers) {
    const bool sendable =
        written.over_grpc ? is_sendable_metadata(name, content) : is_sendable_header(name, content);
    if (!sendable) value.fail_at("headers", fmt::format("{} cannot be sent", quoted(name)));
  }
}

void put_http(const Value& value, const Written& written, Signal signal, OtlpHttpOptions& http) {
  std::string url = written.endpoint;
  if (url.find("://") == std::string::npos) {
    url = (written.insecure ? "http://" : "https://") + url;
  }
  if (!is_http_url(url)) return value.fail_at("endpoint", fmt::format("{} is no URL", quoted(url)));
  // Without a path the signal's own, as the SDKs have it.
  const std::size_t host = url.find("://") + 3;
  if (url.find('/', host) == std::string::npos) url += traits(signal).http_path;
  http.urls[index_of(signal)] = url;
  http.headers = written.headers;
  http.compression = written.gzip ? ContentCoding::gzip : ContentCoding::identity;
  http.timeout = written.timeout;
  http.tls.ca_file = written.certificate;
  http.tls.cert_file = written.client_certificate;
  http.tls.key_file = written.client_key;
}

void put_grpc(const Value& value, const Written& written, OtlpGrpcOptions& grpc) {
  std::string_view rest = written.endpoint;
  const std::size_t scheme = rest.find("://");
  const std::string_view name = scheme == std::string_view::npos ? "" : rest.substr(0, scheme);
  if (!name.empty()) rest.remove_prefix(scheme + 3);
  if (rest.ends_with('/')) rest.remove_suffix(1);
  const auto parsed = parse_endpoint(rest);
  if (!parsed || parsed->host.empty() || (!name.empty() && name != "http" && name != "https")) {
    return value.fail_at("endpoint", fmt::format("{} is not host:port", quoted(written.endpoint)),
                         "as in http://localhost:4317");
  }
  grpc.target = (rest.front() == '[' ? "" : "dns:///") + std::string(rest);
  grpc.tls.enabled = name == "https" || (name.empty() && !written.insecure);
  grpc.headers = written.headers;
  grpc.compression = written.gzip ? ContentCoding::gzip : ContentCoding::identity;
  grpc.timeout = written.timeout;
  grpc.tls.ca_file = written.certificate;
  grpc.tls.cert_file = written.client_certificate;
  grpc.tls.key_file = written.client_key;
}

}  // namespace

Reader milliseconds_number(milliseconds& out) {
  return integer(
      std::function<void(std::int64_t)>([&out](std::int64_t ms) { out = milliseconds(ms); }),
      {0, std::chrono::milliseconds(std::chrono::hours(24 * 365)).count()});
}

Reader own_exporter(std::optional<OwnExporterConfig>& out, Signal signal) {
  return [&out, signal](const Value& value) {
    const Reader otlp = [&out, signal](const Value& v) {
      out.emplace();  // an upstream is named, whatever is wrong with it
      Written written;
      read_section(v, keys_of(written, signal));
      // What stands in the map outweighs the list.
      for (auto& header : written.headers_list) {
        const bool given =
            std::any_of(written.headers.begin(), written.headers.end(),
                        [&](const auto& other) { return other.first == header.first; });
        if (!given) written.headers.push_back(std::move(header));
      }
      if (written.endpoint.empty()) return v.fail_at("endpoint", "must be set");
      if (written.client_certificate.empty() != written.client_key.empty()) {
        v.fail_at("client_key", "belongs to client_certificate: both or none");
      }
      // Names of metadata are lower-case.
      for (auto& [name, content] : written.headers) {
        if (!written.over_grpc) break;
        std::transform(name.begin(), name.end(), name.begin(),
                       [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      }
      OwnExporterConfig config;
      config.over_grpc = written.over_grpc;
      if (written.over_grpc) {
        put_grpc(v, written, config.grpc);
      } else {
        put_http(v, written, signal, config.http);
      }
      check_headers(v, written);
      out = std::move(config);
    };
    read_section(value, {
                            {"otlp", otlp},
                            {"console", refused("supported: otlp")},
                            {"zipkin", refused("supported: otlp")},
                        });
  };
}

}  // namespace holdfast
