// The agent's own spans: sampling, parents, what arrives upstream, and what happens when it is
// away.
#include "agent/tracer.h"

#include <gtest/gtest.h>

#include <set>

#include "agent/http_server.h"
#include "exporters/local.h"
#include "proto/trace_service.pb.h"

namespace holdfast {
namespace {

using opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;
using opentelemetry::proto::trace::v1::Span;
using opentelemetry::proto::trace::v1::Status_StatusCode_STATUS_CODE_ERROR;

constexpr std::string_view kTrace = "0af7651916cd43dd8448eb211c80319c";
constexpr std::string_view kParent = "b7ad6b7169203331";

std::string traceparent(std::string_view flags) {
  return std::string("00-").append(kTrace).append("-").append(kParent).append("-").append(flags);
}

/// Takes spans, or answers with `status`.
class SpanUpstream {
 public:
  SpanUpstream() {
    HttpServer::Handlers handlers;
    handlers.handle = [this](const HttpRequest& request, const HttpReply& reply) {
      std::lock_guard lock(mutex_);
      if (status == 200) {
        ExportTraceServiceRequest message;
        EXPECT_TRUE(message.ParseFromString(request.body));
        for (const Span& span : message.resource_spans(0).scope_spans(0).spans()) {
          spans_.push_back(span);
        }
      }
      changed_.notify_all();
      reply.send({status, "application/x-protobuf", "", {}});
    };
    auto started = HttpServer::start({.endpoint = "127.0.0.1:0"}, std::move(handlers));
    EXPECT_TRUE(started.ok());
    server_ = std::move(*started);
  }
  ~SpanUpstream() { server_->stop(std::chrono::milliseconds(100)); }

  std::string url() const {
    return "http://127.0.0.1:" + std::to_string(server_->port()) + "/v1/traces";
  }
  std::vector<Span> wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(
        changed_.wait_for(lock, std::chrono::seconds(20), [&] { return spans_.size() >= count; }));
    return spans_;
  }

  std::atomic<int> status{200};

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Span> spans_;
  std::unique_ptr<HttpServer> server_;
};

class TracerTest : public ::testing::Test {
 protected:
  std::unique_ptr<Tracer> make(OwnTracesConfig config, OwnRecordsConfig processor = {}) {
    processor.exporter.http.urls[index_of(Signal::traces)] = upstream.url();
    processor.exporter.http.compression = ContentCoding::identity;
    config.processors.push_back(processor);
    return std::make_unique<Tracer>(config, Attributes{{"service.name", "edge"}}, dropped);
  }

  SpanUpstream upstream;
  Counter dropped{0};
};

TEST_F(TracerTest, SpanArrivesWithItsParentAndAttributes) {
  auto tracer = make({.trace_context = true}, {.batch_max = 1});
  const auto span = tracer->start(traceparent("01"));
  ASSERT_TRUE(span);
  SpanEnd end = received("otlp/edge", "grpc", Signal::metrics);
  end.failed = true;
  end.message = "the buffer is full";
  tracer->end(*span, end);

  const Span sent = upstream.wait_for(1).at(0);
  EXPECT_EQ(sent.name(), "receiver/otlp/edge/MetricsReceived");
  EXPECT_EQ(sent.kind(), Span::SPAN_KIND_SERVER);
  EXPECT_EQ(sent.trace_id().substr(0, 2), "\x0a\xf7");
  EXPECT_EQ(sent.parent_span_id().substr(0, 2), "\xb7\xad");
  EXPECT_EQ(sent.span_id().size(), 8U);
  EXPECT_NE(sent.span_id(), sent.parent_span_id());
  EXPECT_GT(sent.start_time_unix_nano(), 1'700'000'000'000'000'000U);
  EXPECT_GE(sent.end_time_unix_nano(), sent.start_time_unix_nano());
  ASSERT_EQ(sent.attributes_size(), 2);
  EXPECT_EQ(sent.attributes(0).value().string_value(), "otlp/edge");
  EXPECT_EQ(sent.attributes(1).value().string_value(), "grpc");
  EXPECT_EQ(sent.status().code(), Status_StatusCode_STATUS_CODE_ERROR);
  EXPECT_EQ(sent.status().message(), "the buffer is full");
}

TEST_F(TracerTest, ParentDecidesWhereItIsKnownAndTheRatioElsewhere) {
  const auto tracer = make({.sampler = {.root = 0}, .trace_context = true});
  EXPECT_FALSE(tracer->start());
  EXPECT_TRUE(tracer->start(traceparent("01")));
  EXPECT_FALSE(tracer->start(traceparent("00")));
  const auto deaf = make({.sampler = {.root = 1}});
  EXPECT_FALSE(deaf->start(traceparent("01"))->parent_id) << "no propagator is configured";

  const auto half = make({.sampler = {.root = 0.5}});
  int taken = 0;
  for (int i = 0; i < 4'000; ++i) taken += half->start() ? 1 : 0;
  EXPECT_GT(taken, 1'700);
  EXPECT_LT(taken, 2'300);
}

TEST_F(TracerTest, MalformedParentsAreNone) {
  const auto tracer = make({.sampler = {.root = 1, .remote_sampled = 0}, .trace_context = true});
  EXPECT_FALSE(tracer->start(traceparent("01"))) << "this one is well-formed";
  const std::string good = traceparent("01");
  std::string zeros = good;
  zeros.replace(3, 32, std::string(32, '0'));
  std::string no_span = good;
  no_span.replace(36, 16, std::string(16, '0'));
  std::string upper = good;
  upper[4] = 'A';
  for (const std::string& bad :
       {std::string(), good.substr(0, 54), good + "-00", "ff" + good.substr(2),
        "zz" + good.substr(2), zeros, no_span, upper, traceparent("0g"), traceparent("g1")}) {
    EXPECT_TRUE(tracer->start(bad)) << bad;
  }
  EXPECT_FALSE(tracer->start("01" + good.substr(2) + "-more")) << "a later version may have more";
}

TEST_F(TracerTest, WhatWaitsIsSentAtTheEnd) {
  auto tracer = make({}, {.delay = std::chrono::hours(1)});
  for (int i = 0; i < 3; ++i) tracer->end(*tracer->start(), {.name = "n"});
  tracer.reset();
  const std::vector<Span> spans = upstream.wait_for(3);
  std::set<std::string> ids;
  for (const Span& span : spans) ids.insert(span.span_id());
  EXPECT_EQ(ids.size(), 3U);
  EXPECT_EQ(dropped, 0U);
}

TEST_F(TracerTest, WhatHasNoRoomOrIsNotTakenIsDroppedAndCounted) {
  auto full = make({}, {.queue_max = 2, .batch_max = 2'000, .delay = std::chrono::hours(1)});
  for (int i = 0; i < 5; ++i) full->end(*full->start(), {.name = "n"});
  EXPECT_EQ(dropped, 3U);
  upstream.status = 503;
  full.reset();
  EXPECT_EQ(dropped, 5U);
}

class FailingExporter final : public Exporter {
 public:
  BodyForm form() const override { return {.coding = ContentCoding::zstd}; }
  SendResult send(const ExportBatch&, std::stop_token) override {
    return {.outcome = SendResult::Outcome::hold, .status = 401, .message = "who are you"};
  }
};

TEST_F(TracerTest, EachAttemptOfAnExporterIsASpan) {
  auto tracer = make({}, {.batch_max = 1});
  const auto nop = make_traced_exporter(make_nop_exporter(), "nop", *tracer);
  const auto failing =
      make_traced_exporter(std::make_unique<FailingExporter>(), "otlp_http/up", *tracer);
  EXPECT_EQ(failing->form().coding, ContentCoding::zstd);
  EXPECT_EQ(nop->send({.signal = Signal::logs, .items = 7}, {}).outcome,
            SendResult::Outcome::delivered);
  EXPECT_EQ(failing->send({.signal = Signal::traces, .items = 9}, {}).status, 401);

  const std::vector<Span> spans = upstream.wait_for(2);
  const auto attribute = [](const Span& span,
                            const std::string& name) -> opentelemetry::proto::common::v1::AnyValue {
    for (const auto& each : span.attributes()) {
      if (each.key() == name) return each.value();
    }
    return {};
  };
  EXPECT_EQ(spans[0].name(), "exporter/nop/logs");
  EXPECT_EQ(spans[0].kind(), Span::SPAN_KIND_CLIENT);
  EXPECT_EQ(attribute(spans[0], "items.sent").int_value(), 7);
  EXPECT_FALSE(spans[0].has_status());
  EXPECT_EQ(spans[1].name(), "exporter/otlp_http/up/traces");
  EXPECT_EQ(attribute(spans[1], "items.sent").int_value(), 0);
  EXPECT_EQ(attribute(spans[1], "items.failed").int_value(), 9);
  EXPECT_EQ(attribute(spans[1], "data_type").string_value(), "traces");
  EXPECT_EQ(spans[1].status().message(), "HTTP 401: who are you");
}

}  // namespace
}  // namespace holdfast
