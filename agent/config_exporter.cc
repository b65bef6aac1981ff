// exporters: otlp_http (alias otlphttp), debug and nop; what all exporters have in common.
#include "agent/config_exporter.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/config_parts.h"
#include "agent/config_values.h"

namespace holdfast {

namespace {

constexpr milliseconds kNotNegative{0};
constexpr milliseconds kPositive{1};

Reader url(std::string& out) {
  return [&out](const Value& value) {
    std::string content;
    text(content)(value);
    if (content.empty()) return;
    if (is_http_url(content)) {
      out = content;
      return;
    }
    const bool bare = content.find("://") == std::string::npos && is_http_url("http://" + content);
    value.fail(fmt::format("{} is not an http:// or https:// URL", quoted(content)),
               bare ? fmt::format("did you mean {}?", quoted("http://" + content)) : "");
  };
}

void base_url(const Value& value, std::vector<std::string>& out) {
  std::string base;
  url(base)(value);
  while (base.ends_with('/')) base.pop_back();
  if (!base.empty()) out.push_back(base);
}

Reader proxy(std::string& out) {
  return [&out](const Value& value) {
    text(out)(value);
    const std::string scheme = out.substr(0, out.find("://"));
    if (out.empty() || scheme == "http" || scheme == "https" || scheme == "socks5") return;
    out.clear();
    // Not the URL itself: a password may be in it.
    value.fail("is not an http://, https:// or socks5:// URL");
  };
}

Reader own_headers(std::vector<std::pair<std::string, std::string>>& out) {
  return [&out](const Value& value) {
    headers(out)(value);
    for (const auto& [name, content] : out) {
      std::string lower = name;
      std::transform(lower.begin(), lower.end(), lower.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      for (const char* own : {"content-type", "content-encoding", "content-length",
                              "transfer-encoding", "connection"}) {
        if (lower == own) value.fail_at(name, "is a header that the exporter sets itself");
      }
    }
  };
}

Reader compression(ContentCoding& out) {
  static constexpr std::array kCodings{
      ContentCoding::gzip,          ContentCoding::identity, ContentCoding::zstd,
      ContentCoding::zlib,          ContentCoding::zlib,     ContentCoding::snappy,
      ContentCoding::snappy_framed, ContentCoding::lz4,      ContentCoding::identity};
  return choice({"gzip", "none", "zstd", "zlib", "deflate", "snappy", "x-snappy-framed", "lz4", ""},
                [&out](std::size_t i) { out = kCodings[i]; });
}

}  // namespace

void read_retry(const Value& value, RetryConfig& retry) {
  read_section(value, {
                          {"enabled", boolean(retry.enabled)},
                          {"initial_interval", duration(retry.initial_interval, kPositive)},
                          {"randomization_factor", number(retry.randomization_factor, 0, 1)},
                          {"multiplier", number(retry.multiplier, 1, 1000)},
                          {"max_interval", duration(retry.max_interval, kPositive)},
                          {"max_elapsed_time", duration(retry.max_elapsed_time, kNotNegative)},
                      });
  if (retry.initial_interval > retry.max_interval) {
    value.warn(fmt::format("max_interval ({}) is less than initial_interval, which is taken for it",
                           duration_text(retry.max_interval)));
    retry.max_interval = retry.initial_interval;
  }
}

namespace {

/// Sizes are counted as the queue's are, unless there is a sizer for them.
std::string_view sizer_of(const Value& batch) {
  if (batch.node.find("sizer") != nullptr || batch.section == nullptr) return "";
  const Member* queue = batch.section->find("sizer");
  return queue != nullptr ? queue->value.text : std::string_view();
}

BatchConfig read_queue_batch(const Value& value) {
  BatchConfig batch;
  batch.timeout = milliseconds(200);
  std::uint64_t min_size = batch.items_target;
  std::uint64_t max_size = 0;
  bool bytes = sizer_of(value) == "bytes";
  const auto senders = "requests are merged whoever sent them";
  read_section(value,
               {
                   {"flush_timeout", duration(batch.timeout, kPositive)},
                   {"min_size", integer(min_size, {})},
                   {"max_size", integer(max_size, {})},
                   {"sizer", choice({"items", "bytes"}, [&](std::size_t i) { bytes = i == 1; })},
                   {"partition", section({{"metadata_keys", refused_unless_off(senders)},
                                          {"cache_size", accepted()},
                                          {"idle_timeout", accepted()}})},
               });
  if (sizer_of(value) == "requests") {
    value.fail("is counted in requests, as the queue is: not supported", "sizer: items, or bytes");
  }
  if (max_size != 0 && max_size < min_size) {
    value.fail_at("max_size", fmt::format("must not be less than min_size ({})", min_size));
    return batch;
  }
  const std::uint64_t limit = max_size != 0 ? max_size : min_size;
  if (bytes) {
    if (limit != 0) batch.raw_bytes_max = limit;
    return batch;
  }
  batch.items_target = min_size;
  if (limit != 0) batch.items_max = limit;
  return batch;
}

Keys queue_keys(DeclaredExporter& exporter) {
  const auto limits = "the buffer is limited by extensions::disk_buffer::max_folder_size";
  const auto words = [](const Value& value) {
    choice({"requests", "items", "bytes"}, [](std::size_t) {})(value);
  };
  const auto storage = [&exporter](const Value& value) {
    text(exporter.storage)(value);
    exporter.storage_place = value.node.place;
  };
  const auto batch = [&exporter](const Value& value) {
    exporter.config.batch = read_queue_batch(value);
  };
  return {
      {"enabled", boolean(exporter.config.queued)},
      {"num_consumers", integer(exporter.config.consumers, {1, 1000})},
      {"queue_size", no_effect(limits)},
      {"sizer", words},
      {"block_on_overflow", no_effect("extensions::disk_buffer::overflow says what happens")},
      {"wait_for_result", no_effect("a request is answered when it is on disk")},
      {"storage", storage},
      {"batch", batch},
  };
}

}  // namespace

Reader sending_queue(DeclaredExporter& exporter) {
  return [&exporter](const Value& value) {
    read_section(value, queue_keys(exporter));
    if (!exporter.config.queued || value.node.find("num_consumers") == nullptr) return;
    value.findings.warning(value.place_of("num_consumers"), join_key(value.key, "num_consumers"),
                           "has no effect: one connection a signal keeps the order");
  };
}

namespace {

constexpr const char* kOneConnection = "each signal has one connection, kept open";

/// What stands for `idle_conn_timeout` and `disable_keep_alives`.
Reader client_keepalive(OtlpHttpOptions& options, bool& no_keep_alives) {
  return [&](const Value& value) {
    bool enabled = true;
    read_section(value, {{"enabled", boolean(enabled)},
                         {"idle_conn_timeout", duration(options.idle_timeout, kNotNegative)},
                         {"max_idle_conns", no_effect(kOneConnection)},
                         {"max_idle_conns_per_host", no_effect(kOneConnection)}});
    no_keep_alives = no_keep_alives || !enabled;
  };
}

Keys transport_keys() {
  const auto connections = kOneConnection;
  const auto http1 = "requests go over HTTP/1.1";
  return {
      {"read_buffer_size", no_effect("buffers have a fixed size")},
      {"write_buffer_size", no_effect("buffers have a fixed size")},
      {"max_idle_conns", no_effect(connections)},
      {"max_idle_conns_per_host", no_effect(connections)},
      {"max_conns_per_host", no_effect(connections)},
      {"http2_read_idle_timeout", no_effect(http1)},
      {"http2_ping_timeout", no_effect(http1)},
      {"force_attempt_http2", no_effect(http1)},
      {"cookies", no_effect_section("cookies are not kept", {"enabled"})},
      {"middlewares", middlewares()},
  };
}

Reader encoding(BodyEncoding& out) {
  return choice({"proto", "json"}, [&out](std::size_t i) {
    out = i == 0 ? BodyEncoding::protobuf : BodyEncoding::json;
  });
}

/// Numbers below 0 are names in zlib, -1 that of the default.
Reader compression_params(int& level) {
  return [&level](const Value& value) {
    read_section(value, {{"level", integer(level, {-2, 1000})}});
    level = std::max(level, 0);
  };
}

void read_otlp_http(const ComponentId& id, const Value& value, Declared& declared) {
  DeclaredExporter exporter;
  exporter.key = value.key;
  exporter.config.name = id.id;
  exporter.config.kind = ExporterConfig::Kind::otlp_http;
  OtlpHttpOptions& options = exporter.config.otlp_http;
  std::string base;
  std::array<std::string, kSignalCount> own;
  bool no_keep_alives = false;
  Keys keys{
      {"endpoint", url(base)},
      {"endpoints", endpoint_list(base_url, exporter.config.endpoints)},
      {"endpoint_strategy", endpoint_strategy(exporter.config.endpoint_strategy)},
      {"traces_endpoint", url(own[index_of(Signal::traces)])},
      {"metrics_endpoint", url(own[index_of(Signal::metrics)])},
      {"logs_endpoint", url(own[index_of(Signal::logs)])},
      {"profiles_endpoint", url(own[index_of(Signal::profiles)])},
      {"headers", own_headers(options.headers)},
      {"compression", compression(options.compression)},
      {"compression_params", compression_params(options.compression_level)},
      {"encoding", encoding(options.encoding)},
      {"auth", authenticator(exporter.auth)},
      {"proxy_url", proxy(options.proxy_url)},
      {"timeout", duration(options.timeout, kNotNegative)},
      {"idle_conn_timeout", duration(options.idle_timeout, kNotNegative)},
      {"disable_keep_alives", boolean(no_keep_alives)},
      {"keepalive", client_keepalive(options, no_keep_alives)},
      {"tls", client_tls(options.tls)},
      {"retry_on_failure", [&](const Value& v) { read_retry(v, exporter.config.retry); }},
      {"sending_queue", sending_queue(exporter)},
  };
  for (Key& key : transport_keys()) keys.push_back(std::move(key));
  read_section(value, keys);
  options.keep_alive = !no_keep_alives;
  if (options.compression_level != 0 && options.compression != ContentCoding::zstd) {
    value.findings.warning(value.place_of("compression_params"),
                           join_key(value.key, "compression_params"),
                           "has no effect: only zstd has levels here");
  }
  check_endpoints(value, {"endpoint", "traces_endpoint", "metrics_endpoint", "logs_endpoint",
                          "profiles_endpoint"});
  if (!exporter.config.endpoints.empty()) base = exporter.config.endpoints.front();
  const bool named =
      value.node.find("endpoint") != nullptr || value.node.find("endpoints") != nullptr ||
      std::any_of(kSignals.begin(), kSignals.end(), [&](Signal signal) {
        return value.node.find(fmt::format("{}_endpoint", name_of(signal))) != nullptr;
      });
  if (!named) {
    value.fail_at("endpoint", "is missing: where to send to", "as in endpoint: http://host:4318");
  }
  while (!base.empty() && base.back() == '/') base.pop_back();
  for (const Signal signal : kSignals) {
    std::string& target = options.urls[index_of(signal)];
    if (!own[index_of(signal)].empty()) {
      target = own[index_of(signal)];
    } else if (!base.empty()) {
      target = base + std::string(traits(signal).http_path);
    }
  }
  declared.exporters.push_back(std::move(exporter));
}

void read_debug(const ComponentId& id, const Value& value, Declared& declared) {
  DeclaredExporter exporter;
  exporter.key = value.key;
  exporter.config.name = id.id;
  exporter.config.kind = ExporterConfig::Kind::debug;
  DebugVerbosity& verbosity = exporter.config.debug_verbosity;
  static constexpr std::array kVerbosities{DebugVerbosity::basic, DebugVerbosity::normal,
                                           DebugVerbosity::detailed};
  const auto all = "every batch is written to the log";
  read_section(
      value, {
                 {"verbosity", choice({"basic", "normal", "detailed"},
                                      [&](std::size_t i) { verbosity = kVerbosities[i]; })},
                 {"sampling_initial", no_effect(all)},
                 {"sampling_thereafter", no_effect(all)},
                 {"use_internal_logger", no_effect(all)},
                 {"output_paths", no_effect(all)},
                 {"sending_queue",
                  no_effect_section("it reads the buffer as every exporter does",
                                    {"enabled", "num_consumers", "queue_size", "sizer",
                                     "block_on_overflow", "wait_for_result", "storage", "batch"})},
             });
  declared.exporters.push_back(std::move(exporter));
}

void read_nop(const ComponentId& id, const Value& value, Declared& declared) {
  read_section(value, {});
  DeclaredExporter exporter;
  exporter.key = value.key;
  exporter.config.name = id.id;
  exporter.config.kind = ExporterConfig::Kind::nop;
  declared.exporters.push_back(std::move(exporter));
}

}  // namespace

void read_exporters(const Value& section, Declared& declared) {
  const auto with = [&](auto read) {
    return [&declared, read](const ComponentId& id, const Value& v) { read(id, v, declared); };
  };
  declared.exporter_ids = read_components(section, "exporter",
                                          {{"otlp_http", with(read_otlp_http)},
                                           {"otlphttp", with(read_otlp_http)},
                                           {"otlp_grpc", with(read_otlp_grpc)},
                                           {"otlp", with(read_otlp_grpc)},
                                           {"file", with(read_file)},
                                           {"debug", with(read_debug)},
                                           {"nop", with(read_nop)}});
}

}  // namespace holdfast
