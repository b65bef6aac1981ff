// The gRPC exporter against real gRPC servers: what it sends, and what it makes of their answers.
#include "exporters/otlp_grpc.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "agent/rpc_status.h"
#include "buffer/deflate.h"
#include "tests/support/scripted_grpc_upstream.h"
#include "tests/support/scripted_upstream.h"
#include "tests/support/temp_directory.h"

namespace holdfast {
namespace {

using Outcome = SendResult::Outcome;
using std::chrono::milliseconds;

OtlpGrpcOptions options_for(const std::string& target) {
  OtlpGrpcOptions options;
  options.target = target;
  options.tls.enabled = false;
  options.timeout = milliseconds(10'000);
  return options;
}

SendResult send(Exporter& exporter, std::string_view body = "body", std::stop_token stop = {}) {
  return exporter.send({.coding = exporter.form().coding, .body = body}, stop);
}

SendResult send_once(const OtlpGrpcOptions& options, std::string_view body = "body",
                     std::stop_token stop = {}) {
  return send(*make_otlp_grpc_exporter(options, Signal::traces), body, stop);
}

GrpcUpstreamReply ok(const GrpcUpstreamRequest&) { return {}; }

/// What becomes of a batch when the upstream replies with this.
SendResult outcome_of(const GrpcUpstreamReply& reply) {
  ScriptedGrpcUpstream upstream([&](const GrpcUpstreamRequest&) { return reply; });
  return send_once(options_for(upstream.target()));
}

std::string gzip_of(std::string_view raw) {
  std::string fragment;
  std::string body;
  Deflater deflater;
  EXPECT_TRUE(deflater.fragment(raw, fragment).ok());
  GzipJoiner joiner(body);
  joiner.add(fragment, crc32_gzip(0, raw), static_cast<std::uint32_t>(raw.size()));
  joiner.finish();
  return body;
}

TEST(OtlpGrpc, CallIsWhatTheProtocolAsksFor) {
  ScriptedGrpcUpstream upstream(ok);
  OtlpGrpcOptions options = options_for(upstream.target());
  options.headers = {{"Authorization", "Bearer x"}, {"x-empty", ""}, {"x-raw-bin", "\x01\xFF"}};
  options.authority = "collector.example";
  EXPECT_EQ(send_once(options).outcome, Outcome::delivered);
  const GrpcUpstreamRequest request = upstream.requests().at(0);
  EXPECT_EQ(request.method, "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
  EXPECT_EQ(request.authority, "collector.example");
  EXPECT_EQ(request.header("authorization"), "Bearer x");
  EXPECT_EQ(request.metadata.count("x-empty"), 1U);
  EXPECT_EQ(request.header("x-raw-bin"), "\x01\xFF");
  EXPECT_TRUE(request.header("user-agent").starts_with("holdfast/" HOLDFAST_VERSION " grpc-c/"))
      << request.header("user-agent");
}

TEST(OtlpGrpc, GzipBodyGoesOutAsItIs) {
  ScriptedGrpcUpstream upstream(ok);
  const std::string body = gzip_of(std::string(3'000'000, 'x') + std::string(5'000, '\0'));
  EXPECT_EQ(send_once(options_for(upstream.target()), body).outcome, Outcome::delivered);
  EXPECT_EQ(upstream.requests().at(0).message, body);
}

TEST(OtlpGrpc, GzipBodyCarriesTheCompressedFlag) {
  ScriptedGrpcUpstream upstream(ok, {.inflates = true});
  const std::string raw = std::string(3'000'000, 'x') + std::string(5'000, '\0');
  EXPECT_EQ(send_once(options_for(upstream.target()), gzip_of(raw)).outcome, Outcome::delivered);
  EXPECT_TRUE(upstream.requests().at(0).message == raw);
}

TEST(OtlpGrpc, PlainBodyGoesOutAsItIs) {
  ScriptedGrpcUpstream upstream(ok, {.inflates = true});
  OtlpGrpcOptions options = options_for(upstream.target());
  options.compression = ContentCoding::identity;
  const std::string raw(6'000'000, 'r');
  EXPECT_EQ(send_once(options, raw).outcome, Outcome::delivered);
  EXPECT_EQ(send_once(options, "").outcome, Outcome::delivered);
  EXPECT_TRUE(upstream.requests().at(0).message == raw);
  EXPECT_EQ(upstream.requests().at(1).message, "");
}

TEST(OtlpGrpc, EachSignalHasItsService) {
  ScriptedGrpcUpstream upstream(ok);
  for (const Signal signal : kSignals) {
    const auto exporter = make_otlp_grpc_exporter(options_for(upstream.target()), signal);
    EXPECT_EQ(send(*exporter).outcome, Outcome::delivered);
    EXPECT_EQ(upstream.requests().back().method, traits(signal).grpc_method);
  }
}

TEST(OtlpGrpc, ConnectionIsKept) {
  ScriptedGrpcUpstream upstream(ok);
  const auto exporter = make_otlp_grpc_exporter(options_for(upstream.target()), Signal::traces);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(send(*exporter).outcome, Outcome::delivered);
  for (const GrpcUpstreamRequest& request : upstream.requests()) {
    EXPECT_EQ(request.peer, upstream.requests().at(0).peer);
  }
}

TEST(OtlpGrpc, HeadersCannotReplaceTheProtocolsOwn) {
  ScriptedGrpcUpstream upstream(ok);
  OtlpGrpcOptions options = options_for(upstream.target());
  options.headers = {{"grpc-timeout", "1n"},
                     {"Content-Type", "text/html"},
                     {"te", "x"},
                     {"x-line", "a\r\nx-evil: 1"},
                     {"x-umlaut", "\xC3\xBC"},
                     {"x space", "1"},
                     {":path", "/elsewhere"},
                     {"", "1"},
                     {"x-good", "good, really"}};
  EXPECT_EQ(send_once(options).outcome, Outcome::delivered);
  const GrpcUpstreamRequest request = upstream.requests().at(0);
  EXPECT_EQ(request.header("x-good"), "good, really");
  // The library would swallow some of these by itself, so the server alone shows too little.
  for (const char* name : {"grpc-timeout", "content-type", "te", "user-agent", ":path", ""}) {
    EXPECT_FALSE(is_sendable_metadata(name, "x")) << name;
  }
  for (const char* name : {"grpc-timeout", "x-line", "x-evil", "x-umlaut", "x space", "te"}) {
    EXPECT_EQ(request.metadata.count(name), 0U) << name;
  }
}

TEST(OtlpGrpc, CredentialsAreAskedForBeforeEachCall) {
  ScriptedGrpcUpstream upstream(ok);
  OtlpGrpcOptions options = options_for(upstream.target());
  options.headers = {{"authorization", "old"}, {"x-other", "1"}};
  int calls = 0;
  options.credentials = [&] {
    return std::pair<std::string, std::string>("Authorization", "token " + std::to_string(++calls));
  };
  const auto exporter = make_otlp_grpc_exporter(options, Signal::traces);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(send(*exporter).outcome, Outcome::delivered);
    const GrpcUpstreamRequest request = upstream.requests().back();
    EXPECT_EQ(request.metadata.count("authorization"), 1U);
    EXPECT_EQ(request.header("authorization"), "token " + std::to_string(calls));
    EXPECT_EQ(request.header("x-other"), "1");
  }
  EXPECT_EQ(calls, 2);
}

TEST(OtlpGrpc, StatusesComeThrough) {
  using grpc::StatusCode;
  const SendResult bad = outcome_of({.status = {StatusCode::INVALID_ARGUMENT, "no such span"}});
  EXPECT_EQ(bad.outcome, Outcome::rejected);
  EXPECT_EQ(bad.status, 400);
  EXPECT_EQ(bad.rpc_code, "INVALID_ARGUMENT");
  EXPECT_EQ(bad.message, "no such span");
  EXPECT_FALSE(bad.unanswered);
  EXPECT_EQ(outcome_of({.status = {StatusCode::UNAUTHENTICATED, ""}}).outcome, Outcome::hold);
  EXPECT_EQ(outcome_of({.status = {StatusCode::UNIMPLEMENTED, ""}}).outcome, Outcome::hold);
  EXPECT_EQ(outcome_of({.status = {StatusCode::INTERNAL, ""}}).status, 500);
  const SendResult busy = outcome_of({.status = {StatusCode::UNAVAILABLE, "busy"}});
  EXPECT_EQ(busy.outcome, Outcome::retry);
  EXPECT_TRUE(busy.upstream_down);
  EXPECT_FALSE(busy.unanswered) << "the upstream said so itself";
  const SendResult late = outcome_of({.status = {StatusCode::DEADLINE_EXCEEDED, "behind me"}});
  EXPECT_FALSE(late.unanswered);
}

TEST(OtlpGrpc, RetryInfoComesThrough) {
  const auto reply = [](grpc::StatusCode code) {
    return GrpcUpstreamReply{
        .status = {code, "later", encode_rpc_status(code, "later", std::chrono::seconds(17))}};
  };
  const SendResult throttled = outcome_of(reply(grpc::StatusCode::RESOURCE_EXHAUSTED));
  EXPECT_EQ(throttled.outcome, Outcome::retry);
  EXPECT_EQ(throttled.retry_after, std::chrono::seconds(17));
  EXPECT_EQ(outcome_of(reply(grpc::StatusCode::UNAVAILABLE)).retry_after, std::chrono::seconds(17));
  EXPECT_EQ(outcome_of({.status = {grpc::StatusCode::RESOURCE_EXHAUSTED, "quota"}}).outcome,
            Outcome::hold);
}

TEST(OtlpGrpc, PartialSuccessIsReadAndOkAloneIsNoDelivery) {
  const SendResult partial = outcome_of({.message = "\x0A\x06\x08\x05\x12\x02no"});
  EXPECT_EQ(partial.outcome, Outcome::delivered);
  EXPECT_EQ(partial.rejected_items, 5U);
  EXPECT_EQ(partial.message, "no");
  EXPECT_EQ(outcome_of({.without_message = true}).outcome, Outcome::retry);
}

TEST(OtlpGrpc, MessageThatIsTooLargeForTheUpstreamIsKnown) {
  for (const bool inflates : {false, true}) {
    ScriptedGrpcUpstream upstream(ok, {.inflates = inflates, .message_bytes_max = 1'000});
    OtlpGrpcOptions options = options_for(upstream.target());
    options.compression = ContentCoding::identity;
    const SendResult result = send_once(options, std::string(5'000'000, 'x'));
    EXPECT_EQ(result.outcome, Outcome::too_large) << result.message;
    EXPECT_EQ(upstream.requests().size(), 0U);
  }
}

TEST(OtlpGrpc, NobodyListensUntilSomebodyDoes) {
  const std::string address = "127.0.0.1:" + std::to_string(closed_port());
  const auto exporter = make_otlp_grpc_exporter(options_for("dns:///" + address), Signal::traces);
  for (int i = 0; i < 4; ++i) {  // by then gRPC itself would wait for seconds between two attempts
    const SendResult result = send(*exporter);
    EXPECT_EQ(result.outcome, Outcome::retry);
    EXPECT_TRUE(result.upstream_down);
    EXPECT_FALSE(result.unanswered) << "nothing has gone out";
    EXPECT_EQ(result.status, 0);
    EXPECT_NE(result.message.find("refused"), std::string::npos) << result.message;
  }
  ScriptedGrpcUpstream upstream(ok, {.address = address});
  EXPECT_EQ(send(*exporter).outcome, Outcome::delivered);
}

TEST(OtlpGrpc, WaitForReadyWaits) {
  const std::string address = "127.0.0.1:" + std::to_string(closed_port());
  OtlpGrpcOptions options = options_for("dns:///" + address);
  options.wait_for_ready = true;
  options.timeout = milliseconds(100);
  const auto impatient = std::chrono::steady_clock::now();
  EXPECT_EQ(send_once(options).outcome, Outcome::retry);
  EXPECT_GE(std::chrono::steady_clock::now() - impatient, milliseconds(100));
  options.timeout = milliseconds(20'000);
  auto result = std::async(std::launch::async, [&] { return send_once(options); });
  ScriptedGrpcUpstream upstream(ok, {.address = address});
  EXPECT_EQ(result.get().outcome, Outcome::delivered);
}

TEST(OtlpGrpc, UpstreamThatWasRestartedMeanwhileGetsTheNextCall) {
  auto upstream = std::make_unique<ScriptedGrpcUpstream>(ok);
  const std::string address = "127.0.0.1:" + std::to_string(upstream->port());
  const auto exporter = make_otlp_grpc_exporter(options_for(upstream->target()), Signal::traces);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(send(*exporter).outcome, Outcome::delivered) << i;
    upstream.reset();
    upstream = std::make_unique<ScriptedGrpcUpstream>(ok, GrpcUpstreamOptions{.address = address});
  }
}

TEST(OtlpGrpc, SilentUpstreamIsLeftAndTheNextCallHasANewConnection) {
  std::atomic<bool> silent{true};
  ScriptedGrpcUpstream upstream(
      [&](const GrpcUpstreamRequest&) { return GrpcUpstreamReply{.silent = silent}; });
  OtlpGrpcOptions options = options_for(upstream.target());
  options.timeout = milliseconds(50);
  const auto exporter = make_otlp_grpc_exporter(options, Signal::traces);
  SendResult result = send(*exporter);
  while (upstream.requests().empty()) result = send(*exporter);  // a slow machine may need more
  EXPECT_EQ(result.outcome, Outcome::retry);
  EXPECT_TRUE(result.upstream_down);
  EXPECT_TRUE(result.unanswered);
  EXPECT_EQ(result.rpc_code, "DEADLINE_EXCEEDED");
  silent = false;
  while (send(*exporter).outcome != Outcome::delivered) {
  }
  EXPECT_NE(upstream.requests().front().peer, upstream.requests().back().peer);
}

TEST(OtlpGrpc, StopCutsOffACallAtOnce) {
  ScriptedGrpcUpstream upstream(
      [](const GrpcUpstreamRequest&) { return GrpcUpstreamReply{.silent = true}; });
  OtlpGrpcOptions options = options_for(upstream.target());
  options.timeout = milliseconds(0);  // it would wait for ever
  std::stop_source stop;
  auto result =
      std::async(std::launch::async, [&] { return send_once(options, "body", stop.get_token()); });
  ASSERT_TRUE(upstream.wait_for_requests(1));
  const auto asked = std::chrono::steady_clock::now();
  stop.request_stop();
  EXPECT_EQ(result.get().outcome, Outcome::retry);
  EXPECT_LT(std::chrono::steady_clock::now() - asked, std::chrono::seconds(1));
}

TEST(OtlpGrpc, StopBeforeSendingSendsNothing) {
  ScriptedGrpcUpstream upstream(ok);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(send_once(options_for(upstream.target()), "body", stop.get_token()).outcome,
            Outcome::retry);
  EXPECT_EQ(upstream.requests().size(), 0U);
}

TEST(OtlpGrpc, BodyThatNobodyReadsIsUnanswered) {
  const std::string settings("\0\0\0\x04\0\0\0\0\0", 9);  // it speaks HTTP/2, and reads nothing
  ScriptedUpstream upstream(
      [](const UpstreamRequest&) { return otlp_ok(); },
      [&](int) {
        return std::optional(UpstreamReply{.bytes = settings, .then = UpstreamReply::Then::hang});
      });
  const std::string target = "dns:///127.0.0.1:" + std::to_string(upstream.port());
  OtlpGrpcOptions options = options_for(target);
  options.timeout = milliseconds(300);
  const SendResult result = send_once(options, std::string(1'000'000, 'x'));
  EXPECT_EQ(result.outcome, Outcome::retry);
  EXPECT_TRUE(result.unanswered);
}

TEST(OtlpGrpc, WhatSpeaksNoGrpcIsARetryNeverADelivery) {
  for (const char* bytes : {"", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "SSH-2.0-x\r\n"}) {
    ScriptedUpstream upstream(
        [](const UpstreamRequest&) { return otlp_ok(); },
        [&](int) {
          return std::optional(UpstreamReply{.bytes = bytes, .then = UpstreamReply::Then::close});
        });
    const SendResult result =
        send_once(options_for("dns:///127.0.0.1:" + std::to_string(upstream.port())));
    EXPECT_EQ(result.outcome, Outcome::retry) << bytes;
    EXPECT_TRUE(result.upstream_down) << bytes;
  }
}

TEST(OtlpGrpc, TargetsOfAllKinds) {
  const TempDirectory directory;
  const std::string socket = directory.path() + "/s";
  ScriptedGrpcUpstream local(ok, {.address = "unix://" + socket});
  EXPECT_EQ(send_once(options_for("unix://" + socket)).outcome, Outcome::delivered);
  ScriptedGrpcUpstream both(ok, {.address = "[::]:0"});
  const std::string port = std::to_string(both.port());
  EXPECT_EQ(send_once(options_for("dns:///localhost:" + port)).outcome, Outcome::delivered);
  EXPECT_EQ(send_once(options_for("[::1]:" + port)).outcome, Outcome::delivered);
  OtlpGrpcOptions options = options_for("dns:///localhost:" + port);
  options.balancer_name = "round_robin";
  EXPECT_EQ(send_once(options).outcome, Outcome::delivered);
  for (const char* target : {"", "dns:///nowhere.invalid:4317", "ftp://127.0.0.1:1", "no port"}) {
    EXPECT_EQ(send_once(options_for(target)).outcome, Outcome::retry) << target;
  }
}

TEST(OtlpGrpc, ProxyOfTheEnvironmentIsNotForThisMachine) {
  const std::string nobody = "http://127.0.0.1:" + std::to_string(closed_port());
  ::setenv("http_proxy", nobody.c_str(), 1);
  ScriptedGrpcUpstream upstream(ok);
  EXPECT_EQ(send_once(options_for(upstream.target())).outcome, Outcome::delivered);
  const SendResult proxied = send_once(options_for("dns:///upstream.invalid:4317"));
  ::unsetenv("http_proxy");
  EXPECT_NE(proxied.message.find("refused"), std::string::npos) << proxied.message;
}

}  // namespace
}  // namespace holdfast
