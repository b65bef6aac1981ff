#include "agent/sink.h"

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <iostream>
#include <mutex>
#include <optional>

#include "agent/content_coding.h"
#include "agent/http_server.h"
#include "agent/rpc_status.h"
#include "agent/wire_walker.h"
#include "proto/signal.h"

namespace holdfast {
namespace {

constexpr std::size_t kBodyBytesMax = 64U << 20;
constexpr std::string_view kProtobuf = "application/x-protobuf";

struct Counts {
  std::atomic<std::uint64_t> requests{0};
  std::array<std::atomic<std::uint64_t>, kSignalCount> items{};

  std::string text() const {
    std::string out = std::to_string(requests) + " requests:";
    for (const Signal signal : kSignals) {
      if (signal == Signal::profiles && items[index_of(signal)] == 0) continue;  // few send them
      out += " " + std::to_string(items[index_of(signal)]) + " " +
             std::string(traits(signal).item_noun);
    }
    return out;
  }
};

std::optional<Signal> signal_of(std::string_view path) {
  for (const Signal signal : kSignals) {
    if (path == traits(signal).http_path) return signal;
  }
  return std::nullopt;
}

HttpResponse refusal(int status, int code, std::string_view message) {
  return {status, std::string(kProtobuf), encode_rpc_status(code, message, std::nullopt), {}};
}

HttpResponse take(const HttpRequest& request, const SinkOptions& options, Counts& counts) {
  if (options.fail_status != 0) {
    return {options.fail_status, "text/plain", "as asked with --fail\n", {}};
  }
  const auto signal = signal_of(request.path());
  if (!signal) return {404, "text/plain", "404 page not found\n", {}};
  if (!request.header("content-type").starts_with(kProtobuf)) {
    return {415, "text/plain", "the sink takes application/x-protobuf\n", {}};
  }
  std::string raw;
  if (decode_content(request.header("content-encoding"), request.body, kBodyBytesMax, raw) !=
      DecodeError::none) {
    return refusal(400, kRpcInvalidArgument, "the body cannot be decoded");
  }
  const WalkResult walked = walk_export_request(*signal, raw);
  if (!walked.ok()) return refusal(400, kRpcInvalidArgument, describe(walked));
  counts.requests.fetch_add(1, std::memory_order_relaxed);
  counts.items[index_of(*signal)].fetch_add(walked.items, std::memory_order_relaxed);
  return {200, std::string(kProtobuf), std::string("\x0A\x00", 2), {}};
}

}  // namespace

int run_sink(const SinkOptions& options, std::stop_token stop) {
  Counts counts;
  HttpServerOptions server_options;
  server_options.endpoint = options.endpoint;
  server_options.body_bytes_max = kBodyBytesMax;
  HttpServer::Handlers handlers;
  handlers.handle = [&](const HttpRequest& request, const HttpReply& reply) {
    reply.send(take(request, options, counts));
  };
  auto server = HttpServer::start(server_options, std::move(handlers));
  if (!server) {
    std::cerr << "the sink cannot start: " << server.error().message << "\n";
    return 1;
  }
  std::cout << "the sink takes OTLP/HTTP on port " << (*server)->port() << std::endl;
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::string shown = counts.text();
  std::unique_lock lock(mutex);
  while (!stopped.wait_for(lock, stop, std::chrono::seconds(1),
                           [&] { return stop.stop_requested(); })) {
    std::string now = counts.text();
    if (!options.quiet && now != shown) std::cout << now << std::endl;
    shown = std::move(now);
  }
  (*server)->stop(std::chrono::milliseconds(500));
  std::cout << "total " << counts.text() << std::endl;
  return 0;
}

}  // namespace holdfast
