// service::telemetry: metrics, resource.
#include <gtest/gtest.h>

#include "tests/support/config_text.h"

namespace holdfast {
namespace {

ConfigSources with_telemetry(const std::string& yaml) {
  ConfigSources sources = sources_of(minimal_config());
  sources.sets = {{"service::telemetry", yaml}};
  return sources;
}

TelemetryConfig telemetry_of(const std::string& yaml) {
  const Config config = load_good(with_telemetry(yaml));
  EXPECT_EQ(config.warnings, Lines{});
  return config.telemetry;
}

std::string prometheus(const std::string& keys) {
  return "{metrics: {readers: [{pull: {exporter: {prometheus: {host: '::1', port: 1" + keys +
         "}}}}]}}";
}

TEST(ConfigTelemetryTest, SeveralPullReadersEachHaveTheirStyle) {
  const TelemetryConfig telemetry = telemetry_of(
      "{metrics: {readers: [{pull: {exporter: {prometheus: {host: '::1', port: 1}}}}, "
      "{pull: {exporter: {prometheus: {port: 2, without_type_suffix: false, without_scope_info: "
      "false, without_target_info: true, with_resource_constant_labels: {included: "
      "[service.name]}}}}}]}}");
  ASSERT_EQ(telemetry.metrics_pull.size(), 2U);
  const MetricsPullConfig& plain = telemetry.metrics_pull[0];
  EXPECT_EQ(plain.endpoint, "[::1]:1");
  EXPECT_FALSE(plain.style.suffixes || plain.style.scope_info || plain.style.resource_labels);
  EXPECT_TRUE(plain.style.target_info);
  const MetricsPullConfig& full = telemetry.metrics_pull[1];
  EXPECT_EQ(full.endpoint, "localhost:2");
  EXPECT_TRUE(full.style.suffixes);
  EXPECT_TRUE(full.style.scope_info);
  EXPECT_FALSE(full.style.target_info);
  EXPECT_TRUE(full.style.resource_labels->takes("service.name"));
  EXPECT_FALSE(full.style.resource_labels->takes("service.version"));
}

TEST(ConfigTelemetryTest, SuffixesComeWithEitherKeyAndWithTheStrategy) {
  const auto suffixes = [](const std::string& keys) {
    return telemetry_of(prometheus(keys)).metrics_pull.at(0).style.suffixes;
  };
  EXPECT_FALSE(suffixes(", without_type_suffix: true, without_units: true"));
  EXPECT_TRUE(suffixes(", without_units: false"));
  EXPECT_TRUE(suffixes(", translation_strategy: UnderscoreEscapingWithSuffixes"));
  EXPECT_FALSE(suffixes(", translation_strategy: NoTranslation"));
}

TEST(ConfigTelemetryTest, ReadersThatClashOrMeanNothingAreErrors) {
  EXPECT_EQ(
      errors_of(
          with_telemetry("{metrics: {readers: [{pull: {exporter: {prometheus: {port: 9}}}}, {pull: "
                         "{exporter: {prometheus: {port: 9}}}}]}}"))
          .size(),
      1U);
  EXPECT_EQ(errors_of(with_telemetry("{metrics: {readers: [{}]}}")).size(), 1U);
  EXPECT_EQ(errors_of(with_telemetry(prometheus(
                          ", with_resource_constant_labels: {included: [a], excluded: [a]}")))
                .size(),
            1U);
}

TEST(ConfigTelemetryTest, AddressHasNoEffectBesideReaders) {
  const Config config = load_good(
      with_telemetry("{metrics: {address: 'localhost:7', readers: [{pull: {exporter: {prometheus: "
                     "{port: 9}}}}]}}"));
  ASSERT_EQ(config.telemetry.metrics_pull.size(), 1U);
  EXPECT_EQ(config.telemetry.metrics_pull[0].endpoint, "localhost:9");
  EXPECT_EQ(config.warnings.size(), 1U);
}

TEST(ConfigTelemetryTest, ResourceIsAMapOrAListOfTypedAttributes) {
  const ResourceConfig map =
      telemetry_of("{resource: {service.name: edge, service.instance.id: null, rack: '7'}}")
          .resource;
  EXPECT_EQ(map.attributes, (Attributes{{"service.name", "edge"}, {"rack", "7"}}));
  EXPECT_EQ(map.removed, Lines{"service.instance.id"});

  const ResourceConfig list =
      telemetry_of(
          "{resource: {schema_url: x, attributes: [{name: a, value: 7}, {name: b, value: true}, "
          "{name: c, value: 0.5}, {name: d, value: '7'}, {name: e, value: 7, type: string}, "
          "{name: f, value: '8', type: int}]}}")
          .resource;
  EXPECT_EQ(list.attributes, (Attributes{{"a", std::int64_t{7}},
                                         {"b", true},
                                         {"c", 0.5},
                                         {"d", "7"},
                                         {"e", "7"},
                                         {"f", std::int64_t{8}}}));
}

TEST(ConfigTelemetryTest, ResourceThatMakesNoSenseIsAnError) {
  for (const char* resource :
       {"[a]", "{attributes: {a: b}}", "{attributes: [{value: b}]}", "{attributes: [{name: a}]}",
        "{attributes: [{name: a, value: [1]}]}", "{attributes: [{name: a, value: x, type: int}]}",
        "{attributes: [{name: a, value: x}], b: c}", "{attributes_list: 'a=b'}", "{a: [b]}"}) {
    EXPECT_EQ(errors_of(with_telemetry(std::string("{resource: ") + resource + "}")).size(), 1U)
        << resource;
  }
}

std::string periodic(const std::string& otlp, const std::string& keys = "") {
  return "{metrics: {readers: [{periodic: {exporter: {otlp: " + otlp + "}" + keys + "}}]}}";
}

TEST(ConfigTelemetryTest, PeriodicReaderHasAnUpstreamOfItsOwn) {
  const TelemetryConfig telemetry = telemetry_of(
      "{metrics: {readers: [{periodic: {interval: 250, timeout: 900, exporter: {otlp: {protocol: "
      "http/protobuf, endpoint: 'http://up:4318', headers: {x-a: '1'}, headers_list: "
      "'x-a=2,x-b=3', compression: gzip, timeout: 700}}}}, {periodic: {timeout: 900, exporter: "
      "{otlp: {protocol: grpc/protobuf, endpoint: 'https://up:4317', headers: [{name: X-C, value: "
      "c}]}}}}]}}");
  EXPECT_TRUE(telemetry.metrics_pull.empty());
  ASSERT_EQ(telemetry.metrics_push.size(), 2U);
  const MetricsPushConfig& http = telemetry.metrics_push[0];
  EXPECT_EQ(http.interval, milliseconds(250));
  EXPECT_FALSE(http.exporter.over_grpc);
  EXPECT_EQ(http.exporter.http.urls[index_of(Signal::metrics)], "http://up:4318/v1/metrics");
  EXPECT_EQ(http.exporter.http.headers,
            (std::vector<std::pair<std::string, std::string>>{{"x-a", "1"}, {"x-b", "3"}}));
  EXPECT_EQ(http.exporter.http.compression, ContentCoding::gzip);
  EXPECT_EQ(http.exporter.http.timeout, milliseconds(700));
  const MetricsPushConfig& grpc = telemetry.metrics_push[1];
  EXPECT_EQ(grpc.interval, milliseconds(60'000));
  EXPECT_TRUE(grpc.exporter.over_grpc);
  EXPECT_EQ(grpc.exporter.grpc.target, "dns:///up:4317");
  EXPECT_TRUE(grpc.exporter.grpc.tls.enabled);
  EXPECT_EQ(grpc.exporter.grpc.headers.at(0).first, "x-c");
  EXPECT_EQ(grpc.exporter.grpc.compression, ContentCoding::identity);
  EXPECT_EQ(grpc.exporter.grpc.timeout, milliseconds(900));
}

TEST(ConfigTelemetryTest, EndpointWithoutASchemeIsSecureUnlessSaidOtherwise) {
  const auto exporter = [](const std::string& otlp) {
    return telemetry_of(periodic(otlp)).metrics_push.at(0).exporter;
  };
  const std::size_t metrics = index_of(Signal::metrics);
  EXPECT_EQ(exporter("{endpoint: 'up:1/own/path'}").http.urls[metrics], "https://up:1/own/path");
  EXPECT_EQ(exporter("{endpoint: 'up:1', insecure: true}").http.urls[metrics],
            "http://up:1/v1/metrics");
  EXPECT_TRUE(exporter("{protocol: grpc, endpoint: 'up:1'}").grpc.tls.enabled);
  EXPECT_FALSE(exporter("{protocol: grpc, endpoint: 'up:1', insecure: true}").grpc.tls.enabled);
  EXPECT_FALSE(exporter("{protocol: grpc, endpoint: 'http://up:1'}").grpc.tls.enabled);
}

TEST(ConfigTelemetryTest, UpstreamThatMakesNoSenseIsAnError) {
  for (const char* otlp :
       {"{}", "{endpoint: 'ftp://up'}", "{protocol: http/json, endpoint: 'http://up'}",
        "{protocol: grpc, endpoint: 'up'}", "{endpoint: 'http://up', headers_list: 'x'}",
        "{endpoint: 'http://up', headers: {'a b': c}}", "{endpoint: 'http://up', timeout: 5s}",
        "{endpoint: 'http://up', temporality_preference: delta}",
        "{endpoint: 'http://up', client_certificate: c.pem}"}) {
    EXPECT_EQ(errors_of(with_telemetry(periodic(otlp))).size(), 1U) << otlp;
  }
  EXPECT_EQ(
      errors_of(with_telemetry("{metrics: {readers: [{periodic: {exporter: {console: {}}}}]}}"))
          .size(),
      2U);
}

TEST(ConfigTelemetryTest, ViewsDropAndNeedTheDetailedLevel) {
  const std::string view =
      "[{selector: {instrument_name: 'otelcol_*'}, stream: {aggregation: "
      "{drop: {}}}}]";
  const TelemetryConfig telemetry =
      telemetry_of("{metrics: {level: detailed, views: " + view + "}}");
  ASSERT_EQ(telemetry.metrics_pull.at(0).dropped.size(), 1U);
  EXPECT_EQ(telemetry.metrics_pull[0].dropped[0].name, "otelcol_*");
  EXPECT_EQ(errors_of(with_telemetry("{metrics: {views: " + view + "}}")).size(), 1U);
  EXPECT_EQ(errors_of(with_telemetry("{metrics: {level: detailed, views: [{selector: "
                                     "{instrument_name: a}, stream: {name: b}}]}}"))
                .size(),
            1U);
}

TEST(ConfigTelemetryTest, TracesHaveProcessorsASamplerAndAPropagator) {
  const std::string up = "exporter: {otlp: {endpoint: 'http://up:4318'}}";
  const OwnTracesConfig traces =
      telemetry_of(
          "{traces: {level: basic, propagators: [tracecontext], processors: [{batch: "
          "{schedule_delay: 100, export_timeout: 300, max_queue_size: 10, "
          "max_export_batch_size: 20, " +
          up + "}}, {simple: {" + up +
          "}}], sampler: {parent_based: {root: {trace_id_ratio_based: {ratio: 0.25}}, "
          "remote_parent_not_sampled: {always_on: {}}}}}}")
          .traces;
  ASSERT_EQ(traces.processors.size(), 2U);
  EXPECT_EQ(traces.processors[0].delay, milliseconds(100));
  EXPECT_EQ(traces.processors[0].queue_max, 10U);
  EXPECT_EQ(traces.processors[0].batch_max, 10U);
  EXPECT_EQ(traces.processors[0].exporter.http.timeout, milliseconds(300));
  EXPECT_EQ(traces.processors[0].exporter.http.urls[0], "http://up:4318/v1/traces");
  EXPECT_EQ(traces.processors[1].batch_max, 1U);
  EXPECT_TRUE(traces.trace_context);
  EXPECT_EQ(traces.sampler.root, 0.25);
  EXPECT_EQ(traces.sampler.remote_sampled, 1);
  EXPECT_EQ(traces.sampler.remote_not_sampled, 1);

  const auto sampler = [](const char* of) {
    return telemetry_of(std::string("{traces: {sampler: ") + of + "}}").traces.sampler;
  };
  EXPECT_EQ(sampler("{always_off: {}}").remote_sampled, 0);
  EXPECT_EQ(sampler("{always_off: }").root, 0);
  EXPECT_EQ(sampler("{trace_id_ratio_based: {ratio: 0.5}}").remote_not_sampled, 0.5);
  EXPECT_TRUE(telemetry_of("{traces: {level: none, processors: [{simple: {" + up + "}}]}}")
                  .traces.processors.empty());
}

TEST(ConfigTelemetryTest, TracesThatMakeNoSenseAreErrors) {
  for (const char* traces :
       {"{propagators: [b3]}", "{sampler: {always_on: {}, always_off: {}}}",
        "{sampler: {jaeger_remote: {}}}", "{sampler: {trace_id_ratio_based: {ratio: 2}}}",
        "{processors: [{batch: {}}]}", "{processors: [{}]}", "{processors: {}}"}) {
    EXPECT_EQ(errors_of(with_telemetry(std::string("{traces: ") + traces + "}")).size(), 1U)
        << traces;
  }
}

TEST(ConfigTelemetryTest, HeadersOfAnUpstreamAreNotPrinted) {
  const auto printed = print_config(with_telemetry(
      periodic("{endpoint: 'http://up', headers: [{name: authorization, value: SECRET}], "
               "headers_list: 'x-token=SECRET'}")));
  const std::string text = std::get<std::string>(printed);
  EXPECT_EQ(text.find("SECRET"), std::string::npos) << text;
  EXPECT_NE(text.find("authorization"), std::string::npos) << text;
}

TEST(ConfigTelemetryTest, LogHasOutputsFieldsSamplingAndProcessors) {
  const TelemetryConfig telemetry = telemetry_of(
      "{logs: {encoding: json, output_paths: [stdout, /tmp/a.log], initial_fields: {site: ship, "
      "rack: 7}, disable_zap_resource: true, sampling: {enabled: false, tick: 5s, initial: 3, "
      "thereafter: 0}, processors: [{batch: {exporter: {otlp: {endpoint: 'http://up'}}}}]}}");
  EXPECT_EQ(telemetry.log_outputs, (Lines{"stdout", "/tmp/a.log"}));
  EXPECT_EQ(telemetry.log_fields, (Attributes{{"site", "ship"}, {"rack", std::int64_t{7}}}));
  EXPECT_FALSE(telemetry.log_resource);
  EXPECT_FALSE(telemetry.log_sampled);
  EXPECT_EQ(telemetry.log_sampling->tick, milliseconds(5'000));
  EXPECT_EQ(telemetry.log_sampling->initial, 3U);
  EXPECT_EQ(telemetry.log_sampling->thereafter, 0U);
  ASSERT_EQ(telemetry.log_processors.size(), 1U);
  EXPECT_EQ(telemetry.log_processors[0].delay, milliseconds(1'000));
  EXPECT_EQ(telemetry.log_processors[0].exporter.http.urls[index_of(Signal::logs)],
            "http://up/v1/logs");
  EXPECT_FALSE(telemetry_of("{}").log_sampling);
}

}  // namespace
}  // namespace holdfast
