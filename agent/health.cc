#include "agent/health.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "agent/health_v2.h"
#include "agent/json_writer.h"
#include "agent/metrics_prometheus.h"
#include "agent/time_text.h"

namespace holdfast {
namespace {

constexpr std::size_t kBodyBytesMax = 64U << 10;
constexpr std::size_t kHeaderBytesMax = 16U << 10;
constexpr std::size_t kConnectionsMax = 32;
constexpr std::chrono::milliseconds kStopGrace{200};

constexpr std::string_view kStatusPath = "/status";
// Where that one is the Collector's: version 2 has it there by default.
constexpr std::string_view kStatusPathBesideV2 = "/holdfast/status";
constexpr std::string_view kMetricsPath = "/metrics";

HttpServerOptions options_for(const HttpServerConfig& config) {
  HttpServerOptions options;
  options.endpoint = config.endpoint;
  options.tls = config.tls;
  options.body_bytes_max = kBodyBytesMax;
  options.header_bytes_max = kHeaderBytesMax;
  options.connections_max = kConnectionsMax;
  options.header_timeout = config.read_header_timeout;
  options.body_timeout = config.read_timeout;
  options.idle_timeout = config.idle_timeout;
  options.write_timeout = config.write_timeout;
  options.keep_alive = config.keep_alives;
  return options;
}

HttpResponse text_response(int status, std::string text) {
  HttpResponse response;
  response.status = status;
  response.content_type = "text/plain; charset=utf-8";
  response.body = std::move(text);
  return response;
}

/// An answer for a page that is only read; null when the method suits it.
std::unique_ptr<HttpResponse> refuse_method(const HttpRequest& head) {
  if (head.method == "GET" || head.method == "HEAD") return nullptr;
  auto response = std::make_unique<HttpResponse>(text_response(405, "405 method not allowed\n"));
  response->headers.emplace_back("Allow", "GET, HEAD");
  return response;
}

std::unique_ptr<HttpResponse> not_found() {
  return std::make_unique<HttpResponse>(text_response(404, "404 page not found\n"));
}

HttpResponse metrics_response(const Telemetry& telemetry, const MetricsPullConfig& config) {
  MetricFamilies families = collect_metrics(telemetry);
  families.drop(config.dropped);
  HttpResponse response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = prometheus_text(families.families(), config.style, telemetry.resource);
  return response;
}

HttpResponse status_response(const Telemetry& telemetry) {
  HttpResponse response;
  response.content_type = "application/json";
  response.body = render_status(telemetry);
  response.headers.emplace_back("Cache-Control", "no-store");
  return response;
}

/// As the Collector's health_check extension answers, any method.
HttpResponse health_response(const HealthConfig& config, const Telemetry& telemetry) {
  const bool ready = telemetry.ready.load(std::memory_order_relaxed);
  HttpResponse response;
  response.status = ready ? 200 : 503;
  if (config.body_healthy || config.body_unhealthy) {
    response.content_type = "text/plain; charset=utf-8";
    response.body = (ready ? config.body_healthy : config.body_unhealthy).value_or("");
    return response;
  }
  response.content_type = "application/json";
  JsonWriter json;
  json.begin_object();
  json.key("status").string(ready ? "Server available" : "Server not available");
  // While it is not ready the extension shows its empty time.
  json.key("upSince").string(ready ? rfc3339_nano(telemetry.start_unix_ns)
                                   : "0001-01-01T00:00:00Z");
  json.key("uptime").string(
      ready ? go_duration(telemetry.clock->steady_ns() - telemetry.start_steady_ns) : "");
  json.end_object();
  response.body = json.text();
  return response;
}

/// The extension matches as Go's ServeMux does: a path that ends in "/" takes all below it.
bool is_health_path(std::string_view path, const HealthConfig& config) {
  return config.path.ends_with('/') ? path.starts_with(config.path) : path == config.path;
}

/// What a path of the health port stands for. The default path takes all that is not our own page.
enum class Page : std::uint8_t { health, components, status, metrics, none };
Page page_of(const HttpRequest& head, const HealthConfig& config) {
  const std::string_view path = head.path();
  if (config.v2) {
    if (config.v2->status_enabled && path == config.v2->status_path) return Page::components;
    if (path == kStatusPathBesideV2) return Page::status;
    return path == kMetricsPath ? Page::metrics : Page::none;
  }
  if (path == kStatusPath) return Page::status;
  if (path == kMetricsPath) return Page::metrics;
  return is_health_path(path, config) ? Page::health : Page::none;
}

/// What can be said without looking at the agent; null: page() is to answer.
std::unique_ptr<HttpResponse> refusal_of(const HttpRequest& head, const HealthConfig& config) {
  switch (page_of(head, config)) {
    case Page::health:
    case Page::components:
      return nullptr;
    case Page::status:
    case Page::metrics:
      return refuse_method(head);
    case Page::none:
      break;
  }
  return not_found();
}

HttpResponse page(const HttpRequest& request, const HealthConfig& config,
                  const Telemetry& telemetry) {
  switch (page_of(request, config)) {
    case Page::components: {
      const std::string& target = request.target;
      const std::size_t query = std::min(target.find('?'), target.size() - 1) + 1;
      return component_status_response(*config.v2, std::string_view(target).substr(query),
                                       telemetry);
    }
    case Page::status:
      return status_response(telemetry);
    case Page::metrics:
      return metrics_response(telemetry, {});
    case Page::health:
    case Page::none:
      break;
  }
  return health_response(config, telemetry);
}

void add_headers(HttpResponse& response, const HealthConfig& config) {
  const auto& headers = config.response_headers;
  response.headers.insert(response.headers.end(), headers.begin(), headers.end());
}

HttpServer::Handlers handlers_for(const HealthConfig& config, const Telemetry& telemetry) {
  HttpServer::Handlers handlers;
  handlers.head = [config](const HttpRequest& head) {
    std::unique_ptr<HttpResponse> response = refusal_of(head, config);
    if (response != nullptr) add_headers(*response, config);
    return response;
  };
  handlers.handle = [config, &telemetry](const HttpRequest& request, const HttpReply& reply) {
    HttpResponse response = page(request, config, telemetry);
    add_headers(response, config);
    reply.send(std::move(response));
  };
  return handlers;
}

}  // namespace

Result<std::unique_ptr<HealthPort>> HealthPort::start(const HealthConfig& config,
                                                      const Telemetry& telemetry,
                                                      const HeldSockets& held) {
  auto server = HttpServer::start(options_for(config), handlers_for(config, telemetry), held);
  if (!server) return server.error();
  return std::unique_ptr<HealthPort>(new HealthPort(std::move(*server), telemetry));
}

HealthPort::HealthPort(std::unique_ptr<HttpServer> server, const Telemetry& telemetry)
    : server_(std::move(server)), telemetry_(telemetry) {}

Result<std::function<void()>> HealthPort::prepare(const HealthConfig& config,
                                                  const HeldSockets& held) {
  return server_->prepare(options_for(config), handlers_for(config, telemetry_), held, {});
}

HealthPort::~HealthPort() { stop(); }

std::uint16_t HealthPort::port() const { return server_->port(); }

void HealthPort::stop() { server_->stop(kStopGrace); }

Result<std::unique_ptr<HttpServer>> start_metrics_port(const MetricsPullConfig& config,
                                                       const Telemetry& telemetry) {
  HttpServer::Handlers handlers;
  handlers.head = [](const HttpRequest& head) {
    return head.path() == kMetricsPath ? refuse_method(head) : not_found();
  };
  handlers.handle = [&telemetry, config](const HttpRequest&, const HttpReply& reply) {
    reply.send(metrics_response(telemetry, config));
  };
  HealthConfig server;  // its limits suit this port as well
  server.endpoint = config.endpoint;
  return HttpServer::start(options_for(server), std::move(handlers));
}

}  // namespace holdfast
