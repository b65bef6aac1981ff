// Configurations that are right: what they mean, and what holds when they say nothing.
#include "agent/config.h"

#include <gtest/gtest.h>

#include "tests/support/config_text.h"

namespace holdfast {
namespace {

TEST(ConfigTest, CollectorConfigurationKeepsItsMeaning) {
  const Config config = load_good(R"(
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: 0.0.0.0:4317
        max_recv_msg_size_mib: 16
        max_concurrent_streams: 32
        keepalive:
          server_parameters: {max_connection_age: 1h, time: 30s, timeout: 5s}
          enforcement_policy: {min_time: 10s, permit_without_stream: true}
      http:
        endpoint: "[::1]:4318"
        max_request_body_size: 1048576
        traces_url_path: otlp/traces
        read_timeout: 1m30s
        cors: {allowed_origins: ["https://*.example.com"], max_age: 7200}
        response_headers: {x-served-by: edge}
processors:
  batch: {send_batch_size: 512, send_batch_max_size: 1024, timeout: 1s}
  memory_limiter: {check_interval: 1s, limit_mib: 100, spike_limit_mib: 25}
exporters:
  otlphttp/central:
    endpoint: https://central.example.com/otlp/
    logs_endpoint: https://logs.example.com/in
    headers: {authorization: "Bearer x"}
    compression: zstd
    timeout: 10s
    tls: {insecure_skip_verify: true}
    retry_on_failure: {initial_interval: 1s, max_interval: 10s, multiplier: 2, max_elapsed_time: 0}
  debug: {verbosity: detailed}
extensions:
  health_check: {endpoint: 0.0.0.0:13133, path: /health, response_body: {healthy: up}}
service:
  extensions: [health_check, ]
  pipelines:
    traces/edge: {receivers: [otlp], processors: [memory_limiter, batch], exporters: [otlphttp/central, debug]}
    logs: {receivers: [otlp], processors: [], exporters: [otlphttp/central]}
  telemetry:
    logs: {level: DEBUG, encoding: json}
    metrics: {level: detailed, readers: [{pull: {exporter: {prometheus: {host: 0.0.0.0, port: 9999}}}}]}
)");
  ASSERT_EQ(config.receivers.size(), 1U);
  const OtlpReceiverConfig& otlp = config.receivers[0];
  ASSERT_TRUE(otlp.grpc && otlp.http);
  EXPECT_EQ(otlp.grpc->endpoint, "0.0.0.0:4317");
  EXPECT_EQ(otlp.grpc->recv_message_bytes_max, 16U << 20);
  EXPECT_EQ(otlp.grpc->concurrent_streams_max, 32U);
  EXPECT_EQ(otlp.grpc->max_connection_age, milliseconds(3'600'000));
  EXPECT_EQ(otlp.grpc->keepalive_time, milliseconds(30'000));
  EXPECT_EQ(otlp.grpc->keepalive_timeout, milliseconds(5'000));
  EXPECT_EQ(otlp.grpc->keepalive_min_time, milliseconds(10'000));
  EXPECT_TRUE(otlp.grpc->keepalive_permit_without_stream);
  EXPECT_EQ(otlp.http->endpoint, "[::1]:4318");
  EXPECT_EQ(otlp.http->request_body_bytes_max, 1048576U);
  EXPECT_EQ(otlp.http->paths[0], "/otlp/traces");
  EXPECT_EQ(otlp.http->paths[2], "/v1/logs");
  EXPECT_EQ(otlp.http->read_timeout, milliseconds(90'000));
  EXPECT_EQ(otlp.http->cors.allowed_origins, Lines{"https://*.example.com"});
  EXPECT_EQ(otlp.http->cors.max_age_s, 7200);
  EXPECT_EQ(otlp.http->response_headers[0].second, "edge");

  ASSERT_EQ(config.exporters.size(), 2U);
  const ExporterConfig& central = config.exporters[0];
  EXPECT_EQ(central.name, "otlphttp/central");
  EXPECT_EQ(central.kind, ExporterConfig::Kind::otlp_http);
  EXPECT_EQ(central.otlp_http.urls[0], "https://central.example.com/otlp/v1/traces");
  EXPECT_EQ(central.otlp_http.urls[2], "https://logs.example.com/in");
  EXPECT_EQ(central.otlp_http.headers[0].second, "Bearer x");
  EXPECT_EQ(central.otlp_http.compression, ContentCoding::zstd);
  EXPECT_EQ(central.otlp_http.timeout, milliseconds(10'000));
  EXPECT_TRUE(central.otlp_http.tls.insecure_skip_verify);
  EXPECT_EQ(central.retry.initial_interval, milliseconds(1'000));
  EXPECT_EQ(central.retry.multiplier, 2.0);
  EXPECT_FALSE(central.batch);
  EXPECT_EQ(config.exporters[1].debug_verbosity, DebugVerbosity::detailed);

  ASSERT_EQ(config.pipelines.size(), 2U);
  EXPECT_EQ(config.pipelines[0].name, "traces/edge");
  EXPECT_EQ(config.pipelines[0].signal, Signal::traces);
  EXPECT_EQ(config.pipelines[0].batch.items_target, 512U);
  EXPECT_EQ(config.pipelines[0].batch.items_max, 1024U);
  EXPECT_EQ(config.pipelines[0].batch.timeout, milliseconds(1'000));
  EXPECT_EQ(config.pipelines[1].batch.timeout, BatchConfig().timeout);
  EXPECT_EQ(config.in_flight_bytes_max, 75U << 20);

  ASSERT_TRUE(config.health);
  EXPECT_EQ(config.health->path, "/health");
  EXPECT_EQ(config.health->body_healthy, "up");
  EXPECT_FALSE(config.health->body_unhealthy);
  EXPECT_EQ(config.telemetry.log_level, "debug");
  EXPECT_EQ(config.telemetry.log_encoding, TelemetryConfig::Encoding::json);
  EXPECT_EQ(config.telemetry.metrics_pull.at(0).endpoint, "0.0.0.0:9999");
  EXPECT_EQ(config.warnings, Lines{});
}

TEST(ConfigTest, WhatIsNotWrittenHasItsDefault) {
  const Config config = load_good(minimal_config());
  ASSERT_EQ(config.receivers.size(), 1U);
  EXPECT_FALSE(config.receivers[0].grpc);
  ASSERT_TRUE(config.receivers[0].http);
  EXPECT_EQ(config.receivers[0].http->endpoint, "localhost:4318");
  EXPECT_EQ(config.receivers[0].http->request_body_bytes_max, 20U << 20);
  EXPECT_EQ(config.in_flight_bytes_max, 64U << 20);
  EXPECT_FALSE(config.health);
  EXPECT_EQ(config.telemetry.log_level, "info");
  EXPECT_EQ(config.telemetry.metrics_pull.at(0).endpoint, "localhost:8888");
  EXPECT_EQ(config.pipelines[0].batch.items_target, 8192U);
}

TEST(ConfigTest, NullSectionsAndEmptyListsAreValid) {
  const Config config = load_good(R"(
receivers: {otlp: {protocols: {grpc: , http: ~}}}
processors: {batch: }
exporters: {otlp_http: {endpoint: "http://localhost:4318", sending_queue: , retry_on_failure: , headers: , tls: }}
extensions:
service:
  extensions: []
  pipelines: {metrics: {receivers: [otlp, ], processors: [batch], exporters: [otlp_http]}}
  telemetry:
)");
  ASSERT_EQ(config.receivers.size(), 1U);
  EXPECT_TRUE(config.receivers[0].grpc);
  EXPECT_EQ(config.pipelines[0].receivers, Lines{"otlp"});
  EXPECT_EQ(config.pipelines[0].batch.timeout, milliseconds(200));
  EXPECT_EQ(config.exporters[0].otlp_http.timeout, milliseconds(30'000));
}

TEST(ConfigTest, AnchorsAndMergeKeysWork) {
  const Config config = load_good(R"(
receivers: {otlp: {protocols: {http: }}}
exporters:
  otlp_http: &base
    endpoint: http://one:4318
    timeout: 7s
    compression: none
  otlp_http/two:
    <<: *base
    endpoint: http://two:4318
service: {pipelines: {traces: {receivers: [otlp], exporters: [otlp_http, otlp_http/two]}}}
)");
  ASSERT_EQ(config.exporters.size(), 2U);
  EXPECT_EQ(config.exporters[1].otlp_http.urls[0], "http://two:4318/v1/traces");
  EXPECT_EQ(config.exporters[1].otlp_http.timeout, milliseconds(7'000));
  EXPECT_EQ(config.exporters[1].otlp_http.compression, ContentCoding::identity);
}

TEST(ConfigTest, OnlyWhatAPipelineUsesIsTaken) {
  const Config config = load_good(
      "receivers: {otlp: {protocols: {http: }}, otlp/idle: {protocols: {http: }}}\n"
      "exporters: {nop: , debug: }\n"
      "service: {pipelines: {logs: {receivers: [otlp], exporters: [nop]}}}\n");
  ASSERT_EQ(config.receivers.size(), 1U);
  ASSERT_EQ(config.exporters.size(), 1U);
  EXPECT_EQ(config.exporters[0].name, "nop");
}

TEST(ConfigTest, SendBatchMaxSizeOfZeroIsSendBatchSize) {
  const Config config =
      load_good(processor_config("batch", "  batch: {send_batch_size: 100, timeout: 0s}\n"));
  EXPECT_EQ(config.pipelines[0].batch.items_target, 100U);
  EXPECT_EQ(config.pipelines[0].batch.items_max, 100U);
  EXPECT_EQ(config.pipelines[0].batch.timeout, milliseconds(0));
}

TEST(ConfigTest, SpikeIsAFifthOfTheLimitUnlessSet) {
  const Config config = load_good(processor_config(
      "memory_limiter", "  memory_limiter: {check_interval: 1s, limit_mib: 100}\n"));
  EXPECT_EQ(config.in_flight_bytes_max, 80U << 20);
}

TEST(ConfigTest, SmallestMemoryLimiterHolds) {
  const Config config = load_good(
      "receivers: {otlp: {protocols: {http: }}}\n"
      "exporters: {nop: }\n"
      "processors:\n"
      "  memory_limiter: {check_interval: 1s, limit_mib: 200, spike_limit_mib: 100}\n"
      "  memory_limiter/small: {check_interval: 1s, limit_mib: 50, spike_limit_mib: 10}\n"
      "service:\n"
      "  pipelines:\n"
      "    traces: {receivers: [otlp], processors: [memory_limiter], exporters: [nop]}\n"
      "    logs: {receivers: [otlp], processors: [memory_limiter/small], exporters: [nop]}\n");
  EXPECT_EQ(config.in_flight_bytes_max, 40U << 20);
}

TEST(ConfigTest, PercentageIsOfTheMemoryThatThereIs) {
  const auto with = [](const std::string& keys) {
    return load_good(processor_config("memory_limiter",
                                      "  memory_limiter: {check_interval: 1s, " + keys + "}\n"))
        .in_flight_bytes_max;
  };
  const std::size_t forty = with("limit_percentage: 50, spike_limit_percentage: 10");
  EXPECT_GT(forty, 1U << 20);
  EXPECT_EQ(with("limit_percentage: 50"), forty);  // the spike is a fifth
  EXPECT_EQ(with("limit_percentage: 100, spike_limit_percentage: 20"), 2 * forty);
}

TEST(ConfigTest, QueueBatchIsTheExportersOwn) {
  const Config config = load_good(exporter_config(
      "    endpoint: http://localhost:4318\n"
      "    sending_queue: {batch: {flush_timeout: 1s, min_size: 10, max_size: 20}}\n"));
  ASSERT_TRUE(config.exporters[0].batch);
  EXPECT_EQ(config.exporters[0].batch->items_target, 10U);
  EXPECT_EQ(config.exporters[0].batch->items_max, 20U);
  EXPECT_EQ(config.exporters[0].batch->timeout, milliseconds(1'000));
}

TEST(ConfigTest, QueueBatchInBytesLimitsTheBody) {
  const Config config = load_good(exporter_config(
      "    endpoint: http://localhost:4318\n"
      "    sending_queue: {batch: {sizer: bytes, min_size: 1000, max_size: 2000}}\n"));
  EXPECT_EQ(config.exporters[0].batch->raw_bytes_max, 2000U);
  EXPECT_EQ(config.exporters[0].batch->items_target, 8192U);
}

TEST(ConfigTest, WithoutAQueueTheConsumersForward) {
  const std::string endpoint = "    endpoint: http://localhost:4318\n";
  const Config forwarded = load_good(
      exporter_config(endpoint + "    retry_on_failure: {max_elapsed_time: 1m}\n"
                                 "    sending_queue: {enabled: false, num_consumers: 3}\n"));
  EXPECT_FALSE(forwarded.exporters[0].queued);
  EXPECT_EQ(forwarded.exporters[0].consumers, 3U);
  EXPECT_EQ(forwarded.exporters[0].retry.max_elapsed_time, milliseconds(60'000));
  EXPECT_EQ(forwarded.warnings, Lines{});
  const Config queued =
      load_good(exporter_config(endpoint + "    sending_queue: {num_consumers: 3}\n"));
  EXPECT_TRUE(queued.exporters[0].queued);
  EXPECT_EQ(queued.warnings,
            Lines{"yaml:6:21: exporters::otlp_http::sending_queue::num_consumers: has no effect: "
                  "one connection a signal keeps the order"});
}

TEST(ConfigTest, QueueBatchIsSizedAsTheQueueUnlessItSaysSo) {
  const auto batch = [](const std::string& queue) {
    const Config config = load_good(exporter_config(
        "    endpoint: http://localhost:4318\n    sending_queue: {" + queue + "}\n"));
    return config.exporters.at(0).batch.value_or(BatchConfig());
  };
  EXPECT_EQ(batch("batch: {min_size: 1000}, sizer: bytes").raw_bytes_max, 1000U);
  EXPECT_EQ(batch("sizer: items, batch: {min_size: 1000}").items_target, 1000U);
  EXPECT_EQ(batch("sizer: bytes, batch: {min_size: 1000, sizer: items}").items_target, 1000U);
}

TEST(ConfigTest, HeadersMayBeAList) {
  const Config config =
      load_good(exporter_config("    endpoint: http://localhost:4318\n"
                                "    headers: [{name: x-a, value: 1}, {name: x-b, value: two}]\n"));
  ASSERT_EQ(config.exporters[0].otlp_http.headers.size(), 2U);
  EXPECT_EQ(config.exporters[0].otlp_http.headers[0].second, "1");
}

TEST(ConfigTest, SectionWithEnabledFalseIsNotThere) {
  const Config config =
      load_good(receiver_config("      grpc: {enabled: false, endpoint: 0.0.0.0:4317}\n"
                                "      http:\n"
                                "        tls: {enabled: false, cert_file: /nowhere}\n"
                                "        auth: {enabled: false, authenticator: nobody}\n"
                                "        cors: {enabled: false, allowed_origins: [\"*\"]}\n"
                                "        keepalive: {enabled: false}\n"));
  EXPECT_FALSE(config.receivers[0].grpc);
  ASSERT_TRUE(config.receivers[0].http);
  EXPECT_FALSE(config.receivers[0].http->tls);
  EXPECT_FALSE(config.receivers[0].http->auth);
  EXPECT_TRUE(config.receivers[0].http->cors.allowed_origins.empty());
  EXPECT_FALSE(config.receivers[0].http->keep_alives);
  EXPECT_EQ(config.warnings, Lines{});
}

TEST(ConfigTest, HttpKeysHoldForTheHealthPortToo) {
  ConfigSources sources = sources_of(minimal_config());
  sources.sets = {{"extensions::health_check",
                   "{keepalive: {idle_timeout: 5s}, read_timeout: 1s, read_header_timeout: 2s, "
                   "write_timeout: 3s, response_headers: {x-a: b}}"},
                  {"service::extensions", "[health_check]"}};
  const Config config = load_good(sources);
  ASSERT_TRUE(config.health);
  EXPECT_EQ(config.health->idle_timeout, milliseconds(5'000));
  EXPECT_EQ(config.health->read_timeout, milliseconds(1'000));
  EXPECT_EQ(config.health->read_header_timeout, milliseconds(2'000));
  EXPECT_EQ(config.health->write_timeout, milliseconds(3'000));
  EXPECT_EQ(config.health->response_headers.at(0).second, "b");
}

TEST(ConfigTest, MetricsPortGoesWithLevelNoneOrAnEmptyListOfReaders) {
  for (const char* metrics : {"{level: none}", "{readers: []}"}) {
    ConfigSources sources = sources_of(minimal_config());
    sources.sets = {{"service::telemetry::metrics", metrics}};
    EXPECT_TRUE(load_good(sources).telemetry.metrics_pull.empty()) << metrics;
  }
}

TEST(ConfigTest, ProfilesAreAPipelineOfTheirOwnThatNobodyBatches) {
  const Config config = load_good(
      "receivers: {otlp: {protocols: {http: }}}\n"
      "processors: {batch: {timeout: 7s}, memory_limiter: {limit_mib: 100, check_interval: 1s}}\n"
      "exporters: {otlp_http: {endpoint: \"http://host:4318/base\"}, otlp_http/own: "
      "{profiles_endpoint: \"http://host/p\"}}\n"
      "service: {pipelines: {profiles: {receivers: [otlp], processors: [memory_limiter, batch], "
      "exporters: [otlp_http, otlp_http/own]}}}\n");
  ASSERT_EQ(config.pipelines.size(), 1U);
  EXPECT_EQ(config.pipelines[0].signal, Signal::profiles);
  EXPECT_EQ(config.pipelines[0].batch.timeout, BatchConfig{}.timeout);
  EXPECT_EQ(config.exporters[0].otlp_http.urls[index_of(Signal::profiles)],
            "http://host:4318/base/v1development/profiles");
  EXPECT_EQ(config.exporters[1].otlp_http.urls[index_of(Signal::profiles)], "http://host/p");
  EXPECT_EQ(config.warnings,
            Lines{"yaml:4:82: service::pipelines::profiles: processor \"batch\" has no effect: "
                  "profiles are sent request by request"});
  EXPECT_EQ(errors_of("receivers: {otlp: {protocols: {http: }}}\n"
                      "exporters: {otlp_http: {traces_endpoint: \"http://host/t\"}}\n"
                      "service: {pipelines: {profiles: {receivers: [otlp], exporters: "
                      "[otlp_http]}}}\n"),
            Lines{"yaml:3:65: service::pipelines::profiles: exporter \"otlp_http\" has neither "
                  "endpoint nor profiles_endpoint"});
}

TEST(ConfigTest, AcceptedKeysWithoutEffectAreTold) {
  const Config config = load_good(
      "exporters: {otlp_http: {endpoint: \"http://localhost:4318\", max_idle_conns: 5}}\n"
      "extensions: {pprof: {endpoint: \"localhost:1777\"}}\n"
      "receivers: {otlp: {protocols: {http: {include_metadata: true}}}}\n"
      "service: {extensions: [pprof], pipelines: {logs: {receivers: [otlp], exporters: "
      "[otlp_http]}}}\n");
  EXPECT_EQ(config.warnings,
            (Lines{"yaml:1:76: exporters::otlp_http::max_idle_conns: has no effect: each signal "
                   "has one connection, kept open",
                   "yaml:3:57: receivers::otlp::protocols::http::include_metadata: has no effect: "
                   "nothing here uses a client's metadata",
                   "yaml:4:24: service::extensions: pprof has no effect: it shows a Go program "
                   "from inside"}));
}

TEST(ConfigTest, ComponentsAreListedAsYaml) {
  const std::string yaml = components_yaml();
  EXPECT_EQ(yaml.rfind("buildinfo:\n    command: holdfast\n    version: ", 0), 0U);
  EXPECT_NE(yaml.find("receivers:\n    - name: otlp\n      stability:\n        traces: Beta\n"),
            std::string::npos);
  EXPECT_NE(yaml.find("        logs: Beta\n        profiles: Alpha\nprocessors:\n"),
            std::string::npos);
  EXPECT_NE(yaml.find("        logs: Beta\n    - name: memory_limiter\n"), std::string::npos);
  for (const char* name : {"batch", "memory_limiter", "otlp_http", "debug", "nop", "disk_buffer",
                           "file_storage", "health_check", "pprof", "zpages"}) {
    EXPECT_NE(yaml.find("    - name: " + std::string(name) + "\n"), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace holdfast
