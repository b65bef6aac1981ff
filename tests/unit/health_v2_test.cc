// The Collector's health check, version 2: status by component, and what it says of it in HTTP.
#include "agent/health_v2.h"

#include <gtest/gtest.h>

#include "tests/support/raw_http_client.h"
#include "tests/support/telemetry_fixture.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;

class HealthV2Test : public TelemetryFixture {
 protected:
  HealthV2Test() {
    open_log(Signal::traces, {"otlp_http/a", "otlp_http/b"});
    open_log(Signal::logs, {"otlp_http/a"});
    telemetry.pipelines = {
        {.name = "traces/edge",
         .signal = Signal::traces,
         .receivers = {"otlp"},
         .exporters = {"otlp_http/a", "otlp_http/b"}},
        {.name = "logs",
         .signal = Signal::logs,
         .receivers = {"otlp"},
         .exporters = {"otlp_http/a"}},
    };
    add_exporter("otlp_http/a");
    add_exporter("otlp_http/b");
    config.extension = "healthcheckv2";
  }

  void fail(std::size_t exporter, Signal signal, UpstreamState state, std::string error) {
    ExporterSignalStats& stats = telemetry.exporters[exporter]->signals[index_of(signal)];
    stats.state = static_cast<std::uint8_t>(state);
    stats.last_error.set(std::move(error));
    stats.failing_since_unix_ns = clock.unix_ns();
  }

  HttpResponse ask(const std::string& query = "") const {
    return component_status_response(config, query, telemetry);
  }
  /// What is told of the whole.
  static std::string status_in(const HttpResponse& response) {
    const std::size_t at = response.body.find("\"status\":\"") + 10;
    return response.body.substr(at, response.body.find('"', at) - at);
  }

  HealthV2Config config;
};

TEST_F(HealthV2Test, ConciseAnswerTellsTheWholeAlone) {
  const HttpResponse response = ask();
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.content_type, "application/json");
  EXPECT_TRUE(response.body.starts_with(R"({"start_time":")")) << response.body;
  EXPECT_NE(response.body.find(R"("healthy":true,"status":"StatusOK","status_time":")"),
            std::string::npos)
      << response.body;
  EXPECT_EQ(response.body.find("components"), std::string::npos);
}

TEST_F(HealthV2Test, VerboseAnswerNamesEachComponentOfEachPipeline) {
  fail(1, Signal::traces, UpstreamState::retrying, "HTTP 503: busy");
  const HttpResponse response = ask("verbose");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(status_in(response), "StatusRecoverableError");
  for (
      const char* name :
      {R"("extensions":{)", R"("extension:healthcheckv2":{)", R"("pipeline:traces/edge":{)",
       R"("pipeline:logs":{)", R"("receiver:otlp":{)", R"("exporter:otlp_http/a":{)",
       R"("exporter:otlp_http/b":{"healthy":true,"status":"StatusRecoverableError","error":"HTTP 503: busy")"}) {
    EXPECT_NE(response.body.find(name), std::string::npos) << name << " in " << response.body;
  }
  config.verbose = true;
  EXPECT_EQ(ask().body, response.body);
  EXPECT_EQ(ask("verbose=false").body, response.body);
}

TEST_F(HealthV2Test, PipelineIsJudgedByItself) {
  fail(1, Signal::traces, UpstreamState::retrying, "away");
  EXPECT_EQ(status_in(ask("pipeline=logs")), "StatusOK");
  EXPECT_EQ(status_in(ask("pipeline=traces%2Fedge")), "StatusRecoverableError");
  EXPECT_EQ(status_in(ask("verbose&pipeline=traces/edge")), "StatusRecoverableError");
  EXPECT_EQ(status_in(ask("pipeline=extensions")), "StatusOK");
  EXPECT_EQ(ask("pipeline=traces").status, 404);
  EXPECT_EQ(ask("pipeline=traces").body, "");
}

TEST_F(HealthV2Test, PermanentErrorsOutweighUnlessOnlyRecoverableOnesCount) {
  fail(0, Signal::traces, UpstreamState::holding, "HTTP 401");
  clock.advance_ms(1'000);
  fail(1, Signal::traces, UpstreamState::retrying, "HTTP 503");
  EXPECT_EQ(status_in(ask()), "StatusPermanentError");
  EXPECT_EQ(ask().status, 200) << "nothing is opted in";
  config.component_health = {.include_permanent = true};
  EXPECT_EQ(ask().status, 500);
  EXPECT_NE(ask().body.find(R"("healthy":false)"), std::string::npos);
  config.component_health = {.include_recoverable = true, .recovery = milliseconds(5'000)};
  EXPECT_EQ(status_in(ask()), "StatusRecoverableError");
}

TEST_F(HealthV2Test, RecoverableErrorCountsWhenItLastsLonger) {
  config.component_health = {.include_recoverable = true, .recovery = milliseconds(5'000)};
  fail(0, Signal::logs, UpstreamState::retrying, "HTTP 503");
  clock.advance_ms(4'999);
  EXPECT_EQ(ask().status, 200);
  clock.advance_ms(1);
  EXPECT_EQ(ask().status, 500);
  EXPECT_EQ(ask("pipeline=traces/edge").status, 200);
  telemetry.exporters[0]->signals[index_of(Signal::logs)].state =
      static_cast<std::uint8_t>(UpstreamState::ok);
  EXPECT_EQ(ask().status, 200);
}

TEST_F(HealthV2Test, StoppingAgentIsUnavailable) {
  telemetry.ready = false;
  EXPECT_EQ(ask().status, 503);
  EXPECT_EQ(status_in(ask("pipeline=logs")), "StatusStopping");
}

TEST_F(HealthV2Test, PortServesItBesideOurOwnPages) {
  HealthConfig port;
  port.endpoint = "127.0.0.1:0";
  port.v2 = config;
  port.v2->status_path = "/health/status";
  auto started = HealthPort::start(port, telemetry);
  ASSERT_TRUE(started.ok()) << started.error().message;
  const auto get = [&](const std::string& target) {
    RawHttpClient client((*started)->port());
    EXPECT_TRUE(client.send("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n"));
    return client.receive();
  };
  EXPECT_EQ(get("/health/status?pipeline=logs").status, 200);
  EXPECT_EQ(get("/health/status?pipeline=none").status, 404);
  EXPECT_NE(get("/holdfast/status").body.find("\"reasons\""), std::string::npos);
  EXPECT_EQ(get("/metrics").status, 200);
  EXPECT_EQ(get("/").status, 404);
  EXPECT_EQ(get("/status").status, 404);
}

}  // namespace
}  // namespace holdfast
