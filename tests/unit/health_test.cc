#include "agent/health.h"

#include <curl/curl.h>
#include <simdjson.h>

#include <memory>

#include "tests/support/exposition.h"
#include "tests/support/telemetry_fixture.h"
#include "tests/support/tls_client.h"
#include "tests/support/tls_files.h"

namespace holdfast {
namespace {

struct Answer {
  long status = 0;
  std::string content_type;
  std::string allow;
  std::string body;
};

std::size_t collect(char* bytes, std::size_t size, std::size_t count, void* to) {
  static_cast<std::string*>(to)->append(bytes, size * count);
  return size * count;
}

std::size_t collect_allow(char* bytes, std::size_t size, std::size_t count, void* to) {
  const std::string_view line(bytes, size * count);
  if (line.starts_with("Allow: ")) {
    *static_cast<std::string*>(to) = line.substr(7, line.size() - 9);
  }
  return size * count;
}

Answer ask(std::uint16_t port, const std::string& target, const std::string& method = "GET",
           const std::string& body = "") {
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(),
                                                                 &curl_easy_cleanup);
  Answer answer;
  const std::string url = "http://127.0.0.1:" + std::to_string(port) + target;
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_PROXY, "");
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT, 20L);
  curl_easy_setopt(curl.get(), CURLOPT_PATH_AS_IS, 1L);
  if (method == "HEAD") curl_easy_setopt(curl.get(), CURLOPT_NOBODY, 1L);
  if (!body.empty()) {
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
    curl_easy_setopt(curl.get(), CURLOPT_COPYPOSTFIELDS, body.c_str());
  }
  curl_easy_setopt(curl.get(), CURLOPT_CUSTOMREQUEST, method.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, &collect);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &answer.body);
  curl_easy_setopt(curl.get(), CURLOPT_HEADERFUNCTION, &collect_allow);
  curl_easy_setopt(curl.get(), CURLOPT_HEADERDATA, &answer.allow);
  const CURLcode code = curl_easy_perform(curl.get());
  EXPECT_EQ(code, CURLE_OK) << curl_easy_strerror(code);
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &answer.status);
  const char* type = nullptr;
  curl_easy_getinfo(curl.get(), CURLINFO_CONTENT_TYPE, &type);
  if (type != nullptr) answer.content_type = type;
  return answer;
}

class HealthTest : public TelemetryFixture {
 protected:
  void start(HealthConfig config = {}) {
    config.endpoint = "127.0.0.1:0";
    auto started = HealthPort::start(config, telemetry);
    ASSERT_TRUE(started.ok()) << started.error().message;
    port_ = std::move(*started);
  }
  Answer get(const std::string& target, const std::string& method = "GET",
             const std::string& body = "") {
    return ask(port_->port(), target, method, body);
  }

  std::unique_ptr<HealthPort> port_;
};

TEST_F(HealthTest, ReadyAgentAnswersAsTheCollectorDoes) {
  clock.advance_ms(62'300);
  start();
  const Answer answer = get("/");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.content_type, "application/json");
  EXPECT_EQ(answer.body,
            R"({"status":"Server available","upSince":"2027-01-15T08:00:00Z","uptime":"1m2.3s"})");
}

TEST_F(HealthTest, AgentThatIsNotReadyAnswers503) {
  telemetry.ready = false;
  start();
  const Answer answer = get("/");
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.content_type, "application/json");
  EXPECT_EQ(answer.body,
            R"({"status":"Server not available","upSince":"0001-01-01T00:00:00Z","uptime":""})");
  telemetry.ready = true;
  EXPECT_EQ(get("/").status, 200);
}

TEST_F(HealthTest, ConfiguredBodiesReplaceTheJson) {
  HealthConfig config;
  config.body_healthy = "I'm good";
  config.body_unhealthy = "I'm bad";
  start(config);
  EXPECT_EQ(get("/").body, "I'm good");
  telemetry.ready = false;
  EXPECT_EQ(get("/").status, 503);
  EXPECT_EQ(get("/").body, "I'm bad");
}

TEST_F(HealthTest, BodyThatIsNotConfiguredIsEmptyOnceTheOtherIs) {
  HealthConfig config;
  config.body_healthy = "fine";
  start(config);
  telemetry.ready = false;
  const Answer answer = get("/");
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.body, "");
}

TEST_F(HealthTest, ResponseHeadersAreOnEveryAnswer) {
  HealthConfig config;
  config.path = "/live";
  config.response_headers = {{"Allow", "nobody"}};  // the one that the client of this test keeps
  start(config);
  for (const char* target : {"/live", "/status", "/metrics", "/nowhere"}) {
    EXPECT_EQ(get(target).allow, "nobody") << target;
  }
}

TEST_F(HealthTest, HealthTakesAnyMethodAndIgnoresTheBody) {
  start();
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS"}) {
    EXPECT_EQ(get("/", method, "body").status, 200) << method;
  }
  const Answer head = get("/", "HEAD");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.body, "");
}

TEST_F(HealthTest, RootPathTakesWhatIsBelowItToo) {
  start();
  EXPECT_EQ(get("/healthz?verbose").status, 200);
  EXPECT_EQ(get("/a/b/").status, 200);
  EXPECT_EQ(get("/status/").body, get("/").body);
}

TEST_F(HealthTest, OtherPathIsExactAndTheRestIsNotFound) {
  HealthConfig config;
  config.path = "/live";
  start(config);
  EXPECT_EQ(get("/live?x=1").status, 200);
  EXPECT_EQ(get("/metrics").status, 200);
  for (const char* target : {"/", "/live/", "/livex", "/metricsx", "/%6cive"}) {
    const Answer answer = get(target);
    EXPECT_EQ(answer.status, 404) << target;
    EXPECT_EQ(answer.body, "404 page not found\n") << target;
  }
}

TEST_F(HealthTest, StatusAndMetricsAreServedBesideIt) {
  open_log(Signal::traces, {"otlp_http"});
  add_exporter("otlp_http").signals[0].sent = 41;
  start();
  const Answer status = get("/status?pretty");
  EXPECT_EQ(status.status, 200);
  EXPECT_EQ(status.content_type, "application/json");
  simdjson::dom::parser parser;
  std::uint64_t delivered = 0;
  ASSERT_EQ(parser.parse(status.body)
                .at_pointer("/signals/traces/exporters/otlp_http/delivered_items")
                .get(delivered),
            simdjson::SUCCESS);
  EXPECT_EQ(delivered, 41U);
  const Answer metrics = get("/metrics");
  EXPECT_EQ(metrics.status, 200);
  EXPECT_EQ(metrics.content_type, "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_EQ(Exposition(metrics.body).sum("holdfast_delivered_items_total", {}), 41);
  EXPECT_EQ(get("/metrics", "HEAD").body, "");
}

TEST_F(HealthTest, StatusAndMetricsAreOnlyRead) {
  start();
  for (const char* target : {"/status", "/metrics"}) {
    for (const char* method : {"POST", "DELETE", "PUT"}) {
      const Answer answer = get(target, method, "x");
      EXPECT_EQ(answer.status, 405) << target << " " << method;
      EXPECT_EQ(answer.allow, "GET, HEAD");
    }
  }
}

TEST_F(HealthTest, DegradedAgentIsStillAlive) {
  open_log(Signal::traces, {"up"});
  add_exporter("up").signals[0].state = static_cast<std::uint8_t>(UpstreamState::retrying);
  start();
  EXPECT_NE(get("/status").body.find(R"("health":"degraded")"), std::string::npos);
  EXPECT_EQ(get("/").status, 200);
}

TEST_F(HealthTest, LargeBodyIsRefusedAndThePortLivesOn) {
  start();
  EXPECT_GE(get("/", "POST", std::string(1 << 20, 'x')).status, 400);
  EXPECT_EQ(get("/").status, 200);
}

TEST_F(HealthTest, PortInUseIsAnErrorThatNamesIt) {
  start();
  HealthConfig config;
  config.endpoint = "127.0.0.1:" + std::to_string(port_->port());
  const auto second = HealthPort::start(config, telemetry);
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.error().message.find(config.endpoint), std::string::npos)
      << second.error().message;
}

TEST_F(HealthTest, StopsTwiceWithoutHarm) {
  start();
  port_->stop();
  port_->stop();
}

TEST_F(HealthTest, MetricsPortServesMetricsAlone) {
  auto started = start_metrics_port({.endpoint = "127.0.0.1:0"}, telemetry);
  ASSERT_TRUE(started.ok()) << started.error().message;
  const std::uint16_t port = (*started)->port();
  EXPECT_EQ(Exposition(ask(port, "/metrics").body).value("holdfast_ready"), 1);
  EXPECT_EQ(ask(port, "/metrics", "POST", "x").status, 405);
  for (const char* target : {"/", "/status", "/metrics/"}) {
    EXPECT_EQ(ask(port, target).status, 404) << target;
  }
}

TEST_F(HealthTest, ThePortMayHaveTls) {
  const TempDirectory directory;
  TlsAuthority authority(directory, "good");
  const TlsIdentity identity = authority.issue("server");
  HealthConfig config;
  config.tls = {.cert_file = identity.cert_file, .key_file = identity.key_file};
  start(std::move(config));
  telemetry.ready = true;
  TlsClient client(port_->port(), {.ca_file = authority.ca_file()});
  EXPECT_TRUE(
      client.exchange("GET /status HTTP/1.1\r\nHost: agent\r\n\r\n").starts_with("HTTP/1.1 200 "));
}

}  // namespace
}  // namespace holdfast
