// A load of OTLP/gRPC trace requests: bodies are built once, ids and times are patched, so that it
// costs little itself.
//
// holdfast_load TARGET CONNECTIONS REQUESTS SPANS_PER_REQUEST
// Each connection has one request under way. Prints one JSON line: seconds, spans, failures,
// latencies in µs.
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "proto/trace_service.pb.h"

namespace {

namespace otlp = opentelemetry::proto;
constexpr const char* kMethod = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
constexpr std::size_t kTraceIdBytes = 16;
constexpr std::size_t kSpanIdBytes = 8;

template <typename Attributes>
void add_attribute(Attributes* attributes, const char* key, const std::string& value) {
  auto* attribute = attributes->Add();
  attribute->set_key(key);
  attribute->mutable_value()->set_string_value(value);
}

/// A request as a web service sends it: about 340 bytes a span, with the same keys and few distinct
/// values.
std::string build_request(int spans, std::mt19937_64& random) {
  otlp::collector::trace::v1::ExportTraceServiceRequest request;
  auto* resource_spans = request.add_resource_spans();
  add_attribute(resource_spans->mutable_resource()->mutable_attributes(), "service.name",
                "checkout");
  add_attribute(resource_spans->mutable_resource()->mutable_attributes(), "host.name", "node-17");
  auto* scope_spans = resource_spans->add_scope_spans();
  scope_spans->mutable_scope()->set_name("io.opentelemetry.http");
  const auto id = [&random](std::size_t length) {
    std::string bytes(length, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    return bytes;
  };
  std::uint64_t now = 1'795'248'604'496'000'000;
  std::string trace = id(kTraceIdBytes);
  std::string parent;
  for (int i = 0; i < spans; ++i) {
    if (i % 8 == 0) trace = id(kTraceIdBytes), parent.clear();
    auto* span = scope_spans->add_spans();
    span->set_trace_id(trace);
    span->set_span_id(id(kSpanIdBytes));
    if (!parent.empty()) span->set_parent_span_id(parent);
    parent = span->span_id();
    span->set_name(i % 3 == 0 ? "GET /api/v1/orders/{id}" : "SELECT orders.items");
    span->set_kind(i % 3 == 0 ? otlp::trace::v1::Span::SPAN_KIND_SERVER
                              : otlp::trace::v1::Span::SPAN_KIND_CLIENT);
    now += random() % 1'000'000;
    span->set_start_time_unix_nano(now);
    span->set_end_time_unix_nano(now + random() % 50'000'000);
    auto* attributes = span->mutable_attributes();
    add_attribute(attributes, "http.request.method", "GET");
    add_attribute(attributes, "url.path", "/api/v1/orders/" + std::to_string(random() % 10'000));
    add_attribute(attributes, "server.address", "orders.internal.example");
    add_attribute(attributes, "network.protocol.version", "1.1");
    add_attribute(attributes, "user_agent.original", "okhttp/4.12.0");
    auto* status = attributes->Add();
    status->set_key("http.response.status_code");
    status->mutable_value()->set_int_value(random() % 50 == 0 ? 503 : 200);
  }
  return request.SerializeAsString();
}

struct Totals {
  std::mutex mutex;
  std::vector<double> latencies_us;
  std::atomic<long> failures{0};
};

void drive(const std::string& target, int requests, const std::vector<std::string>& bodies,
           Totals& totals) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  auto channel = grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
  grpc::GenericStub stub(channel);
  grpc::CompletionQueue queue;
  std::vector<double> latencies;
  for (int i = 0; i < requests; ++i) {
    const std::string& body = bodies[static_cast<std::size_t>(i) % bodies.size()];
    // The slice refers to the body: nothing is copied on this side.
    const grpc::Slice slice(body.data(), body.size(), grpc::Slice::STATIC_SLICE);
    const grpc::ByteBuffer message(&slice, 1);
    const auto begin = std::chrono::steady_clock::now();
    grpc::ClientContext context;
    auto call = stub.PrepareUnaryCall(&context, kMethod, message, &queue);
    call->StartCall();
    grpc::ByteBuffer reply;
    grpc::Status status;
    call->Finish(&reply, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    if (!status.ok()) ++totals.failures;
    latencies.push_back(
        std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin)
            .count());
  }
  std::lock_guard lock(totals.mutex);
  totals.latencies_us.insert(totals.latencies_us.end(), latencies.begin(), latencies.end());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: holdfast_load TARGET CONNECTIONS REQUESTS SPANS_PER_REQUEST\n");
    return 2;
  }
  const int connections = std::atoi(argv[2]);
  const int requests = std::atoi(argv[3]);
  const int spans = std::atoi(argv[4]);
  std::mt19937_64 random(7);
  std::vector<std::string> bodies;
  for (int i = 0; i < 32; ++i) bodies.push_back(build_request(spans, random));
  Totals totals;
  const auto begin = std::chrono::steady_clock::now();
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < connections; ++i) {
      threads.emplace_back([&] { drive(argv[1], requests / connections, bodies, totals); });
    }
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::sort(totals.latencies_us.begin(), totals.latencies_us.end());
  const auto& sorted = totals.latencies_us;
  const auto at = [&](double quantile) {
    return sorted.empty() ? 0.0
                          : sorted[static_cast<std::size_t>(quantile * double(sorted.size() - 1))];
  };
  std::printf(
      "{\"seconds\":%.3f,\"requests\":%zu,\"spans\":%zu,\"body_bytes\":%zu,\"failures\":%ld,"
      "\"p50_us\":%.0f,\"p99_us\":%.0f,\"max_us\":%.0f}\n",
      seconds, sorted.size(), sorted.size() * static_cast<std::size_t>(spans), bodies[0].size(),
      totals.failures.load(), at(0.5), at(0.99), at(1.0));
  return totals.failures == 0 ? 0 : 1;
}
