// The exporter against upstreams on real sockets: what it sends, and that no answer is taken for
// more than it is.
#include "exporters/otlp_http.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <string>
#include <thread>

#include "tests/support/scripted_upstream.h"

namespace holdfast {
namespace {

using Outcome = SendResult::Outcome;
using Then = UpstreamReply::Then;
using std::chrono::milliseconds;

OtlpHttpOptions options_for(const std::string& url) {
  OtlpHttpOptions options;
  options.urls.fill(url);
  options.timeout = milliseconds(10'000);
  return options;
}

SendResult send_once(const OtlpHttpOptions& options, std::string_view body = "body",
                     std::stop_token stop = {}) {
  const auto exporter = make_otlp_http_exporter(options, Signal::traces);
  return exporter->send({.coding = exporter->form().coding, .body = body}, stop);
}

/// What becomes of a batch when the upstream replies with these bytes.
SendResult outcome_of(UpstreamReply reply, std::string_view body = "body") {
  ScriptedUpstream upstream([&](const UpstreamRequest&) { return reply; });
  return send_once(options_for(upstream.url()), body);
}

TEST(OtlpHttp, RequestIsWhatTheProtocolAsksFor) {
  ScriptedUpstream upstream([](const UpstreamRequest&) { return otlp_ok(); });
  OtlpHttpOptions options = options_for(upstream.url("/v1/traces"));
  options.headers = {{"Authorization", "Bearer x"}, {"X-Empty", ""}};
  const std::string body(3'000'000, '\0');
  EXPECT_EQ(send_once(options, body).outcome, Outcome::delivered);
  const UpstreamRequest request = upstream.requests().at(0);
  EXPECT_TRUE(request.head.starts_with("POST /v1/traces HTTP/1.1\r\n")) << request.head;
  EXPECT_EQ(request.header("Content-Type"), "application/x-protobuf");
  EXPECT_EQ(request.header("Content-Encoding"), "gzip");
  EXPECT_EQ(request.header("User-Agent"), "holdfast/" HOLDFAST_VERSION);
  EXPECT_EQ(request.header("Authorization"), "Bearer x");
  EXPECT_NE(request.head.find("X-Empty:"), std::string::npos);
  EXPECT_EQ(request.head.find("Expect"), std::string::npos);
  EXPECT_EQ(request.head.find("Transfer-Encoding"), std::string::npos);
  EXPECT_EQ(request.body, body);
}

TEST(OtlpHttp, IdentityHasNoContentEncodingAndEmptyBodyIsSent) {
  ScriptedUpstream upstream([](const UpstreamRequest&) { return otlp_ok(); });
  OtlpHttpOptions options = options_for(upstream.url());
  options.compression = ContentCoding::identity;
  EXPECT_EQ(send_once(options, "").outcome, Outcome::delivered);
  const UpstreamRequest request = upstream.requests().at(0);
  EXPECT_EQ(request.head.find("Content-Encoding"), std::string::npos);
  EXPECT_EQ(request.header("Content-Length"), "0");
}

TEST(OtlpHttp, EachSignalHasItsUrl) {
  ScriptedUpstream upstream([](const UpstreamRequest&) { return otlp_ok(); });
  OtlpHttpOptions options;
  options.urls = {upstream.url("/t"), upstream.url("/m"), upstream.url("/l"), upstream.url("/p")};
  for (const Signal signal : kSignals) {
    EXPECT_EQ(make_otlp_http_exporter(options, signal)->send({.body = "b"}, {}).outcome,
              Outcome::delivered);
  }
  EXPECT_TRUE(upstream.requests().at(0).head.starts_with("POST /t "));
  EXPECT_TRUE(upstream.requests().at(1).head.starts_with("POST /m "));
  EXPECT_TRUE(upstream.requests().at(2).head.starts_with("POST /l "));
  EXPECT_TRUE(upstream.requests().at(3).head.starts_with("POST /p "));
}

TEST(OtlpHttp, ConnectionIsKept) {
  ScriptedUpstream upstream([](const UpstreamRequest&) { return otlp_ok(); });
  const auto exporter = make_otlp_http_exporter(options_for(upstream.url()), Signal::traces);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(exporter->send({.body = "b"}, {}).outcome, Outcome::delivered);
  }
  for (const UpstreamRequest& request : upstream.requests()) EXPECT_EQ(request.connection, 0);
}

TEST(OtlpHttp, EachRequestHasAConnectionOfItsOwnIfAskedFor) {
  ScriptedUpstream upstream([](const UpstreamRequest&) { return otlp_ok(); });
  OtlpHttpOptions options = options_for(upstream.url());
  options.keep_alive = false;
  const auto exporter = make_otlp_http_exporter(options, Signal::traces);
  for (int i = 0; i < 3; ++i) {
    exporter->send({.coding = exporter->form().coding, .body = "body"}, {});
  }
  EXPECT_EQ(upstream.requests().at(2).connection, 2);
}

TEST(OtlpHttp, JsonIsSentAsJson) {
  ScriptedUpstream upstream([](const UpstreamRequest&) {
    return http_answer(200, "application/json", R"({"partialSuccess":{"rejectedSpans":"2"}})");
  });
  OtlpHttpOptions options = options_for(upstream.url());
  options.encoding = BodyEncoding::json;
  options.compression = ContentCoding::identity;
  EXPECT_EQ(send_once(options, "{}").rejected_items, 2U);
  EXPECT_EQ(upstream.requests().at(0).header("Content-Type"), "application/json");
}

TEST(OtlpHttp, ConnectionThatTheUpstreamClosedMeanwhileIsMadeAnew) {
  ScriptedUpstream upstream([](const UpstreamRequest&) {
    UpstreamReply reply = otlp_ok();
    reply.then = Then::close;  // without saying so
    return reply;
  });
  const auto exporter = make_otlp_http_exporter(options_for(upstream.url()), Signal::traces);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(exporter->send({.body = "b"}, {}).outcome, Outcome::delivered);
  }
}

TEST(OtlpHttp, HeadersCannotSmuggleLines) {
  ScriptedUpstream upstream([](const UpstreamRequest&) { return otlp_ok(); });
  OtlpHttpOptions options = options_for(upstream.url());
  options.headers = {{"X-Value", "a\r\nX-Evil: 1"},
                     {"X-Name\r\nX-Evil", "1"},
                     {"", "1"},
                     {"X-Nul", std::string("a\0b", 3)},
                     {"Content-Length", "1"},
                     {"transfer-encoding", "chunked"},
                     {"X Space", "1"},
                     {"X-Good", "gr\xC3\xBC\xC3\x9F"}};
  EXPECT_EQ(send_once(options).outcome, Outcome::delivered);
  const UpstreamRequest request = upstream.requests().at(0);
  EXPECT_EQ(request.head.find("Evil"), std::string::npos) << request.head;
  EXPECT_EQ(request.head.find("X-Nul"), std::string::npos);
  EXPECT_EQ(request.head.find("chunked"), std::string::npos);
  EXPECT_EQ(request.header("Content-Length"), "4");
  EXPECT_EQ(request.header("X-Good"), "gr\xC3\xBC\xC3\x9F");
}

TEST(OtlpHttp, StatusesAndRetryAfterComeThrough) {
  EXPECT_EQ(outcome_of(http_answer(204, "", "")).outcome, Outcome::delivered);
  const SendResult busy = outcome_of(http_answer(503, "text/plain", "busy", "Retry-After: 17\r\n"));
  EXPECT_EQ(busy.outcome, Outcome::retry);
  EXPECT_EQ(busy.status, 503);
  EXPECT_EQ(busy.retry_after, std::chrono::seconds(17));
  EXPECT_EQ(busy.message, "busy");
  EXPECT_EQ(outcome_of(http_answer(400, "text/plain", "bad")).outcome, Outcome::rejected);
  EXPECT_EQ(outcome_of(http_answer(413, "", "")).outcome, Outcome::too_large);
  EXPECT_EQ(outcome_of(http_answer(401, "", "")).outcome, Outcome::hold);
}

TEST(OtlpHttp, ChunkedAnswerAndContinueAreUnderstood) {
  const SendResult chunked = outcome_of(
      {.bytes = std::string(
           "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"
           "Content-Type: application/x-protobuf\r\nTransfer-Encoding: "
           "chunked\r\n\r\n2\r\n\x0A\x02\r\n2\r\n\x08\x05\r\n0\r\nX-Trailer: 1\r\n\r\n")});
  EXPECT_EQ(chunked.outcome, Outcome::delivered);
  EXPECT_EQ(chunked.rejected_items, 5U);
}

TEST(OtlpHttp, BrokenAnswersAreARetryNeverADelivery) {
  const std::string ok_head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n";
  const std::vector<UpstreamReply> replies{
      {.bytes = "", .then = Then::close},
      {.bytes = "", .then = Then::reset},
      {.bytes = "\x16\x03\x01 this is not HTTP\r\n\r\n", .then = Then::close},
      {.bytes = "HTTP/1.1 200", .then = Then::close},
      {.bytes = "HTTP/1.1 200 OK\r\nContent-", .then = Then::close},
      {.bytes = ok_head, .then = Then::close},
      {.bytes = ok_head + "Content-Length: 100\r\n\r\n\x0A", .then = Then::close},
      {.bytes = ok_head + "Content-Length: 100\r\n\r\n\x0A", .then = Then::reset},
      {.bytes = ok_head + "Transfer-Encoding: chunked\r\n\r\n5\r\nab", .then = Then::close},
      {.bytes = ok_head + "Transfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n",
       .then = Then::close},
      {.bytes = ok_head + "Content-Length: -5\r\n\r\n", .then = Then::close},
      {.bytes = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>", .then = Then::close},
      {.bytes = ok_head + "Content-Length: 9999999\r\n\r\n" + std::string(3'000'000, 'x'),
       .then = Then::close},
      {.bytes = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: "
                "0\r\n\r\n"},
  };
  for (std::size_t i = 0; i < replies.size(); ++i) {
    const SendResult result = outcome_of(replies[i]);
    EXPECT_EQ(result.outcome, Outcome::retry) << i << ": " << result.message;
  }
}

TEST(OtlpHttp, EndlessErrorAnswerIsJudgedByItsStatus) {
  const SendResult result = outcome_of(
      {.bytes = "HTTP/1.1 400 Bad\r\n\r\n" + std::string(3'000'000, 'x'), .then = Then::close});
  EXPECT_EQ(result.outcome, Outcome::rejected);
  EXPECT_EQ(result.message.size(), 1024U);
}

TEST(OtlpHttp, RedirectIsNotFollowed) {
  ScriptedUpstream elsewhere([](const UpstreamRequest&) { return otlp_ok(); });
  const SendResult result =
      outcome_of(http_answer(307, "", "", "Location: " + elsewhere.url() + "\r\n"));
  EXPECT_EQ(result.outcome, Outcome::retry);
  EXPECT_EQ(elsewhere.request_count(), 0U);
}

TEST(OtlpHttp, AnswerBeforeTheBodyHasGoneOutIsTaken) {
  ScriptedUpstream upstream([](const UpstreamRequest&) { return otlp_ok(); },
                            [](int) {
                              UpstreamReply reply = http_answer(413, "", "");
                              reply.then = Then::hang;
                              return std::optional(reply);
                            });
  EXPECT_EQ(send_once(options_for(upstream.url()), std::string(30'000'000, 'x')).outcome,
            Outcome::too_large);
}

TEST(OtlpHttp, NobodyListens) {
  const SendResult result =
      send_once(options_for("http://127.0.0.1:" + std::to_string(closed_port()) + "/"));
  EXPECT_EQ(result.outcome, Outcome::retry);
  EXPECT_TRUE(result.upstream_down);
  EXPECT_EQ(result.status, 0);
  EXPECT_FALSE(result.message.empty());
}

TEST(OtlpHttp, ImpossibleUrlsAreARetryAndNothingElseIsSpoken) {
  for (const char* url :
       {"", "ftp://127.0.0.1/", "file:///etc/hostname", "http://", "http://[::1"}) {
    EXPECT_EQ(send_once(options_for(url)).outcome, Outcome::retry) << url;
  }
}

TEST(OtlpHttp, SilentUpstreamIsLeftAfterTheTimeout) {
  ScriptedUpstream upstream(
      [](const UpstreamRequest&) { return UpstreamReply{.then = Then::hang}; });
  OtlpHttpOptions options = options_for(upstream.url());
  options.timeout = milliseconds(50);
  const SendResult result = send_once(options);
  EXPECT_EQ(result.outcome, Outcome::retry);
  EXPECT_TRUE(result.upstream_down);
}

TEST(OtlpHttp, StopCutsOffARequestAtOnce) {
  ScriptedUpstream upstream(
      [](const UpstreamRequest&) { return UpstreamReply{.then = Then::hang}; });
  OtlpHttpOptions options = options_for(upstream.url());
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

TEST(OtlpHttp, StopBeforeSendingSendsNothing) {
  ScriptedUpstream upstream([](const UpstreamRequest&) { return otlp_ok(); });
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(send_once(options_for(upstream.url()), "body", stop.get_token()).outcome,
            Outcome::retry);
  EXPECT_EQ(upstream.request_count(), 0U);
}

TEST(OtlpHttp, TlsNeedsATrustedCertificate) {
  const UpstreamTls tls = make_tls();
  ScriptedUpstream upstream([](const UpstreamRequest&) { return otlp_ok(); }, {}, tls);
  OtlpHttpOptions options = options_for(upstream.url());
  const SendResult untrusted = send_once(options);
  EXPECT_EQ(untrusted.outcome, Outcome::retry);
  EXPECT_NE(untrusted.message.find("certificate"), std::string::npos) << untrusted.message;
  EXPECT_EQ(upstream.request_count(), 0U);

  options.tls.insecure_skip_verify = true;
  EXPECT_EQ(send_once(options).outcome, Outcome::delivered);

  options.tls.insecure_skip_verify = false;
  options.tls.ca_file = testing::TempDir() + "otlp_http_test_ca.pem";
  std::ofstream(options.tls.ca_file) << tls.certificate_pem;
  EXPECT_EQ(send_once(options).outcome, Outcome::delivered);
  std::filesystem::remove(options.tls.ca_file);
}

TEST(OtlpHttp, ProxyOfTheEnvironmentIsUsedButNotForLoopback) {
  ScriptedUpstream proxy([](const UpstreamRequest&) { return otlp_ok(); });
  ScriptedUpstream upstream([](const UpstreamRequest&) { return otlp_ok(); });
  ::setenv("HTTP_PROXY", proxy.url("").c_str(), 1);
  EXPECT_EQ(send_once(options_for("http://upstream.invalid:4318/v1/traces")).outcome,
            Outcome::delivered);
  EXPECT_EQ(send_once(options_for(upstream.url())).outcome, Outcome::delivered);
  ::setenv("NO_PROXY", "upstream.invalid", 1);
  EXPECT_EQ(send_once(options_for("http://upstream.invalid:4318/v1/traces")).outcome,
            Outcome::retry);
  ::unsetenv("NO_PROXY");
  ::unsetenv("HTTP_PROXY");
  ASSERT_EQ(proxy.request_count(), 1U);
  EXPECT_TRUE(proxy.requests()[0].head.starts_with("POST http://upstream.invalid:4318/v1/traces "));
  EXPECT_EQ(upstream.request_count(), 1U);
}

}  // namespace
}  // namespace holdfast
