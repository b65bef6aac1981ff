// Configurations that are wrong: each error by its exact words and place.
#include <gtest/gtest.h>

#include "agent/config.h"
#include "tests/support/config_text.h"

namespace holdfast {
namespace {

TEST(ConfigErrorsTest, AllErrorsComeInOneGo) {
  EXPECT_EQ(
      errors_of("receivers:\n"
                "  otlp:\n"
                "    protocols:\n"
                "      grpc: {endpiont: localhost:4317}\n"
                "      http: {read_timeout: 30}\n"
                "processors:\n"
                "  batch: {timeout: fast}\n"
                "exporters:\n"
                "  otlp_http: {endpoint: localhost:4318}\n"
                "service:\n"
                "  pipelines:\n"
                "    traces: {receivers: [otpl], processors: [batch], exporters: [x]}\n"
                "    metrics:\n"
                "  telemetri:\n"),
      (Lines{
          "yaml:4:14: receivers::otlp::protocols::grpc::endpiont: unknown key (did you mean "
          "\"endpoint\"?)",
          "yaml:5:28: receivers::otlp::protocols::http::read_timeout: must be a duration, but "
          "is \"30\" (the unit is missing, as in \"30s\")",
          "yaml:7:20: processors::batch::timeout: must be a duration, but is \"fast\" (as in "
          "\"1m30s\", \"200ms\")",
          "yaml:9:25: exporters::otlp_http::endpoint: \"localhost:4318\" is not an http:// or "
          "https:// URL (did you mean \"http://localhost:4318\"?)",
          "yaml:12:26: service::pipelines::traces: references receiver \"otpl\" which is not "
          "configured (did you mean \"otlp\"?)",
          "yaml:12:66: service::pipelines::traces: references exporter \"x\" which is not "
          "configured (there is: otlp_http)",
          "yaml:13:5: service::pipelines::metrics: must have at least one receiver",
          "yaml:13:5: service::pipelines::metrics: must have at least one exporter",
          "yaml:14:3: service::telemetri: unknown key (did you mean \"telemetry\"?)",
      }));
}

struct Fault {
  std::string text;
  std::string error;
};

void expect_faults(const std::vector<Fault>& faults) {
  for (const Fault& fault : faults) {
    EXPECT_EQ(errors_of(fault.text), Lines{fault.error}) << fault.text;
  }
}

TEST(ConfigErrorsTest, KeepaliveOfHttpExcludesTheKeysThatItReplaces) {
  const std::string key = "receivers::otlp::protocols::http::keepalive";
  const auto http = [](const std::string& keys) {
    return receiver_config("      http: {" + keys + "}\n");
  };
  const std::string error =
      ": cannot stand beside idle_timeout and keep_alives_enabled, which it replaces";
  expect_faults({
      {http("idle_timeout: 1s, keepalive: {idle_timeout: 2s}"), "yaml:6:43: " + key + error},
      {http("keep_alives_enabled: false, keepalive: {}"), "yaml:6:53: " + key + error},
      {receiver_config("      grpc: {enabled: false}\n"),
       "yaml:5:5: receivers::otlp::protocols: names no protocol, so nothing listens (write grpc:, "
       "http: or both)"},
  });
}

TEST(ConfigErrorsTest, ReceiverFaultsAreNamed) {
  const auto grpc = [](const std::string& keys) {
    return receiver_config("      grpc: {" + keys + "}\n");
  };
  const auto http = [](const std::string& keys) {
    return receiver_config("      http: {" + keys + "}\n");
  };
  const std::string g = "receivers::otlp::protocols::grpc::";
  const std::string h = "receivers::otlp::protocols::http::";
  expect_faults({
      {grpc("endpoint: localhost"), "yaml:6:24: " + g +
                                        "endpoint: \"localhost\" is not host:port (the port is "
                                        "missing, as in \"localhost:4317\")"},
      {grpc("endpoint: localhost:70000"),
       "yaml:6:24: " + g +
           "endpoint: \"localhost:70000\" is not host:port (a port is a number from 0 to 65535)"},
      {grpc("endpoint: \"::1:4317\""),
       "yaml:6:24: " + g +
           "endpoint: \"::1:4317\" is not host:port (an IPv6 address stands in brackets, as in "
           "\"[::1]:4317\")"},
      {grpc("max_recv_msg_size_mib: -1"),
       "yaml:6:37: " + g + "max_recv_msg_size_mib: must be at least 0"},
      {grpc("max_recv_msg_size_mib: 5000"),
       "yaml:6:37: " + g + "max_recv_msg_size_mib: must be at most 1024"},
      {grpc("max_concurrent_streams: many"),
       "yaml:6:38: " + g + "max_concurrent_streams: must be an integer, but is \"many\""},
      {grpc("transport: udp"),
       "yaml:6:25: " + g +
           "transport: \"udp\" is not supported in this version (supported: tcp, unix)"},
      {grpc("transport: unix"), "yaml:6:13: " + g + "endpoint: is missing: the path of the socket"},
      {http("transport: unix, endpoint: localhost:4318"),
       "yaml:6:41: " + h +
           "endpoint: \"localhost:4318\" is not a path (with transport unix the endpoint is a "
           "path, as in \"/run/otlp.sock\")"},
      {http("endpoint: /" + std::string(107, 'x') + ", transport: unix"),
       "yaml:6:24: " + h + "endpoint: is too long for a socket: the system takes 107 bytes"},
      {http("endpoint: http://localhost:4318/"),
       "yaml:6:24: " + h +
           "endpoint: \"http://localhost:4318/\" is not host:port (did you mean "
           "\"localhost:4318\"?)"},
      {http("max_request_body_size: 8M"),
       "yaml:6:37: " + h +
           "max_request_body_size: must be a size, but is \"8M\" (bytes, or as in \"8MiB\", "
           "\"10MB\")"},
      {http("idle_timeout: -1s"), "yaml:6:28: " + h + "idle_timeout: must not be negative"},
      {http("keep_alives_enabled: yes"),
       "yaml:6:35: " + h + "keep_alives_enabled: must be true or false, but is \"yes\""},
      {http("logs_url_path: /v1/traces"),
       "yaml:6:29: " + h + "logs_url_path: \"/v1/traces\" is the path of traces too"},
      {http("metrics_url_path: /v1development/profiles"),
       "yaml:6:32: " + h +
           "metrics_url_path: \"/v1development/profiles\" is the path of profiles too"},
      {http("cors: {allowed_origins: all}"),
       "yaml:6:38: " + h + "cors::allowed_origins: must be a list, but is \"all\""},
      {http("response_headers: {\"a b\": c}"),
       "yaml:6:40: " + h + "response_headers::a b: \"a b\" is not the name of a header"},
      {receiver_config("      grcp:\n"),
       "yaml:6:7: receivers::otlp::protocols::grcp: unknown key (did you mean \"grpc\"?)"},
      {receiver_config("      grpc: true\n"),
       "yaml:6:13: receivers::otlp::protocols::grpc: must be a map, but is \"true\""},
      {receiver_config(""),
       "yaml:5:5: receivers::otlp::protocols: names no protocol, so nothing listens (write grpc:, "
       "http: or both)"},
  });
}

TEST(ConfigErrorsTest, ProcessorFaultsAreNamed) {
  const auto batch = [](const std::string& keys) {
    return processor_config("batch", "  batch: {" + keys + "}\n");
  };
  const auto limiter = [](const std::string& keys) {
    return processor_config("memory_limiter", "  memory_limiter: {" + keys + "}\n");
  };
  expect_faults({
      {batch("send_batch_size: \"8192\""),
       "yaml:5:28: processors::batch::send_batch_size: must be an integer, but is the string "
       "\"8192\""},
      {batch("send_batch_size: -1"),
       "yaml:5:28: processors::batch::send_batch_size: must be at least 0"},
      {batch("send_batch_size: 10, send_batch_max_size: 5"),
       "yaml:5:53: processors::batch::send_batch_max_size: must not be less than send_batch_size "
       "(10)"},
      {batch("metadata_keys: [tenant]"),
       "yaml:5:26: processors::batch::metadata_keys: is not supported in this version: requests "
       "are merged whoever sent them"},
      {limiter("limit_mib: 100"),
       "yaml:5:19: processors::memory_limiter::check_interval: must be greater than zero (as in "
       "check_interval: 1s)"},
      {limiter("check_interval: 1s"),
       "yaml:5:19: processors::memory_limiter::limit_mib: limit_mib or limit_percentage must be "
       "set (as in limit_mib: 256)"},
      {limiter("check_interval: 1s, limit_mib: 100, spike_limit_mib: 100"),
       "yaml:5:73: processors::memory_limiter::spike_limit_mib: must be less than limit_mib (100)"},
      {limiter("check_interval: 1s, limit_percentage: 101"),
       "yaml:5:58: processors::memory_limiter::limit_percentage: must be at most 100"},
      {processor_config("attributes", "  attributes: {}\n"),
       "yaml:5:3: processors::attributes: processor \"attributes\" is not supported in this "
       "version (supported: batch, memory_limiter; a Collector behind this agent can have it)"},
      {processor_config("k8sattributes", "  k8sattributes: {}\n"),
       "yaml:5:3: processors::k8sattributes: processor \"k8sattributes\" is not supported in this "
       "version (supported: batch, memory_limiter; the SDK can say it, or a Collector before this "
       "agent)"},
  });
}

TEST(ConfigErrorsTest, ExporterFaultsAreNamed) {
  const auto with = [](const std::string& keys) {
    return exporter_config("    endpoint: http://localhost:4318\n    " + keys + "\n");
  };
  const std::string e = "exporters::otlp_http::";
  expect_faults({
      {exporter_config("    timeout: 1s\n"),
       "yaml:5:5: " + e +
           "endpoint: is missing: where to send to (as in endpoint: http://host:4318)"},
      {with("compression: gzp"),
       "yaml:6:18: " + e +
           "compression: \"gzp\" is not one of gzip, none, zstd, zlib, deflate, snappy, "
           "x-snappy-framed, lz4 (did "
           "you mean \"gzip\"?)"},
      {with("encoding: xml"), "yaml:6:15: " + e + "encoding: \"xml\" is not one of proto, json"},
      {with("timeout: 2 minutes"),
       "yaml:6:14: " + e +
           "timeout: must be a duration, but is \"2 minutes\" (as in \"1m30s\", \"200ms\")"},
      {with("headers: {x: \"a\\nb\"}"),
       "yaml:6:18: " + e + "headers::x: the value of a header must be a single line"},
      {with("headers: {Content-Encoding: br}"),
       "yaml:6:33: " + e + "headers::Content-Encoding: is a header that the exporter sets itself"},
      {with("headers: {x: [1]}"),
       "yaml:6:18: " + e + "headers::x: must be a string, but is a list"},
      {with("sending_queue: {num_consumers: 0}"),
       "yaml:6:36: " + e + "sending_queue::num_consumers: must be at least 1"},
      {with("sending_queue: {storage: file_storage}"),
       "yaml:6:30: " + e +
           "sending_queue::storage: references extension \"file_storage\" which is not configured"},
      {with("sending_queue: {batch: {sizer: requests}}"),
       "yaml:6:36: " + e + "sending_queue::batch::sizer: \"requests\" is not one of items, bytes"},
      {with("sending_queue: {batch: {min_size: 9, max_size: 8}}"),
       "yaml:6:52: " + e + "sending_queue::batch::max_size: must not be less than min_size (9)"},
      {with("retry_on_failure: {multiplier: 0.5}"),
       "yaml:6:36: " + e + "retry_on_failure::multiplier: must be at least 1"},
      {with("retry_on_failure: {initial_interval: 0}"),
       "yaml:6:42: " + e + "retry_on_failure::initial_interval: must not be zero or negative"},
      {with("retry_on_failure: {randomization_factor: 1.5}"),
       "yaml:6:46: " + e + "retry_on_failure::randomization_factor: must be at most 1"},
      {with("retry_on_failur: {}"),
       "yaml:6:5: " + e + "retry_on_failur: unknown key (did you mean \"retry_on_failure\"?)"},
      {exporter_config("    metrics_endpoint: http://localhost:4318/m\n"),
       "yaml:2:63: service::pipelines::traces: exporter \"otlp_http\" has neither endpoint nor "
       "traces_endpoint"},
  });
}

TEST(ConfigErrorsTest, UnsupportedComponentsSayWhatThereIs) {
  const std::string text = minimal_config();
  const auto with = [&](const std::string& section) {
    // The last section of each kind is our own: flow style cannot be added to.
    return "service: {pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}\n" + section;
  };
  expect_faults({
      {with("receivers: {otlp: {protocols: {http: }}}\nexporters:\n  nop:\n  kafka: {topic: x}\n"),
       "yaml:5:3: exporters::kafka: exporter \"kafka\" is not supported in this version "
       "(supported: "
       "debug, file, nop, otlp, otlp_grpc, otlp_http, otlphttp; a Collector behind this agent can "
       "have "
       "it)"},
      {with("receivers: {otlp: {protocols: {http: }}}\nexporters:\n  nop:\n  otlp_htp:\n"),
       "yaml:5:3: exporters::otlp_htp: exporter \"otlp_htp\" is not supported in this version (did "
       "you mean \"otlp_http\"?)"},
      {with("exporters: {nop: }\nreceivers:\n  otlp: {protocols: {http: }}\n  kafka:\n"),
       "yaml:5:3: receivers::kafka: receiver \"kafka\" is not supported in this version "
       "(supported: otlp; a Collector before this agent can have it, and send here)"},
      {text + "extensions: {oidc: {}}\n",
       "yaml:4:14: extensions::oidc: extension \"oidc\" is not supported in this version "
       "(supported: basicauth, bearertokenauth, disk_buffer, file_storage, health_check, "
       "healthcheckv2, pprof, zpages; a Collector behind this agent can have it)"},
      {text + "extensions: {\"9lives\": }\n",
       "yaml:4:14: extensions::9lives: \"9lives\" is not type or type/name (a type is letters, "
       "digits and underscores; a name has no spaces)"},
      {text + "extensions: {pprof/: }\n",
       "yaml:4:14: extensions::pprof/: \"pprof/\" is not type or type/name (a type is letters, "
       "digits and underscores; a name has no spaces)"},
      {text + "connectors: {forward: }\n",
       "yaml:4:13: connectors: is not supported in this version: a Collector behind this agent can "
       "have them"},
      {text + "exporter: {}\n", "yaml:4:1: exporter: unknown key (did you mean \"exporters\"?)"},
  });
}

TEST(ConfigErrorsTest, ServiceFaultsAreNamed) {
  const auto with = [](const std::string& service) {
    return "receivers: {otlp: {protocols: {http: }}, otlp/b: {protocols: {http: }}}\n"
           "exporters: {nop: }\n"
           "extensions: {health_check: , health_check/b: {endpoint: \"localhost:1\"}}\n"
           "service:\n" +
           service;
  };
  const std::string good = "  pipelines: {traces: {receivers: [otlp], exporters: [nop]}}\n";
  expect_faults({
      {"receivers: {}\n", "yaml:1:1: service: is missing: it says which pipelines there are"},
      {with("  pipelines: {}\n"),
       "yaml:5:3: service::pipelines: must have at least one pipeline (as in pipelines: {traces: "
       "{receivers: [otlp], exporters: [otlp_http]}})"},
      {with("  pipelines: {events: {receivers: [otlp], exporters: [nop]}}\n"),
       "yaml:5:15: service::pipelines::events: signal \"events\" is not supported in this "
       "version (supported: logs, metrics, profiles, traces)"},
      {with("  pipelines: {traces: {receivers: otlp, exporters: [nop]}}\n"),
       "yaml:5:35: service::pipelines::traces::receivers: must be a list of names (did you mean "
       "[otlp]?)"},
      {with("  pipelines: {traces: {receivers: [otlp, otlp/b], exporters: [nop]}}\n"),
       "yaml:1:63: receivers::otlp/b::protocols::http: listens on \"localhost:4318\", as does "
       "receivers::otlp::protocols::http"},
      {with(good + "  extensions: [zpages]\n"),
       "yaml:6:16: service::extensions: references extension \"zpages\" which is not configured "
       "(there is: health_check, health_check/b)"},
      {with(good + "  extensions: [health_check, health_check/b]\n"),
       "yaml:6:30: service::extensions: a second health_check is not supported in this version, "
       "\"health_check\" is the first"},
      {with(good + "  telemetry: {metrics: {address: localhost:4318}}\n"),
       "yaml:6:34: service::telemetry::metrics::address: listens on \"localhost:4318\", as does "
       "receivers::otlp::protocols::http"},
      {with(good + "  telemetry: {logs: {level: loud}}\n"),
       "yaml:6:29: service::telemetry::logs::level: \"loud\" is not one of debug, info, warn, "
       "error, DEBUG, INFO, WARN, ERROR, dpanic, panic, fatal"},
      {with(good + "  telemetry: {metrics: {readers: [{periodic: {}}]}}\n"),
       "yaml:6:46: service::telemetry::metrics::readers[0]::periodic::exporter: names none (there "
       "is: otlp)"},
  });
}

TEST(ConfigErrorsTest, WildcardAddressTakesEveryHostsPort) {
  const auto errors = errors_of(receiver_config(
      "      grpc: {endpoint: 0.0.0.0:4318}\n      http: {endpoint: 10.0.0.1:4318}\n"));
  EXPECT_EQ(errors, Lines{"yaml:7:24: receivers::otlp::protocols::http: listens on "
                          "\"10.0.0.1:4318\", as does receivers::otlp::protocols::grpc"});
}

TEST(ConfigErrorsTest, PortZeroIsNeverTaken) {
  EXPECT_EQ(errors_of(receiver_config(
                "      grpc: {endpoint: localhost:0}\n      http: {endpoint: localhost:0}\n")),
            Lines{});
}

TEST(ConfigErrorsTest, DuplicateKeysAreErrors) {
  expect_faults({
      {minimal_config() + "exporters: {nop: }\n",
       "yaml:4:1: exporters: the key stands twice in one map, first in line 2"},
  });
}

TEST(ConfigErrorsTest, SecondDocumentIsAnError) {
  expect_faults({{minimal_config() + "---\na: 1\n",
                  "yaml:5:1: a second YAML document: a configuration is a single one"}});
}

TEST(ConfigErrorsTest, WhatIsNotYamlHasALineToo) {
  expect_faults({
      {"receivers: [otlp\nservice: }\n", "yaml:2:8: not YAML: end of sequence flow not found"},
      {"a: *nothing\n", "yaml:1:4: not YAML: the referenced anchor is not defined"},
      {"just words\n", "yaml:1:1: a configuration must be a map of sections"},
  });
}

TEST(ConfigErrorsTest, SecretsAreNotInMessages) {
  const Lines errors =
      errors_of(exporter_config("    endpoint: http://localhost:4318\n"
                                "    headers: {authorization: \"hunter2\\n\"}\n"));
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_EQ(errors[0].find("hunter2"), std::string::npos);
}

}  // namespace
}  // namespace holdfast
