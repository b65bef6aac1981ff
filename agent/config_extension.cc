// extensions: health_check, file_storage, and those that are accepted without effect.
#include <fmt/format.h>

#include "agent/config_parts.h"
#include "agent/config_values.h"

namespace holdfast {

namespace {

Reader optional_text(std::optional<std::string>& out) {
  return [&out](const Value& value) {
    if (!value.is_null()) out = text_of(value);
  };
}

Reader health_path(std::string& out) {
  return [&out](const Value& value) {
    text(out)(value);
    if (out.empty() || out.front() != '/') {
      value.fail(fmt::format("{} is not a path", quoted(out)), "a path starts with /");
      out = "/";
    } else if (out == "/status" || out == "/metrics") {
      value.fail(fmt::format("{} is in use for the agent's own pages", quoted(out)));
    }
  };
}

Reader component_health(std::optional<ComponentHealthConfig>& out) {
  return [&out](const Value& value) {
    if (value.is_null()) return;
    ComponentHealthConfig config;
    read_section(value, {
                            {"include_permanent_errors", boolean(config.include_permanent)},
                            {"include_recoverable_errors", boolean(config.include_recoverable)},
                            {"recovery_duration", duration(config.recovery, milliseconds(0))},
                        });
    out = config;
  };
}

/// The path of a page of version 2, if it is switched on.
Reader v2_path(std::string& out) {
  return [&out](const Value& value) {
    text(out)(value);
    if (!out.starts_with('/')) {
      value.fail(fmt::format("{} is not a path", quoted(out)), "a path starts with /");
    } else if (out == "/metrics" || out == "/holdfast/status") {
      value.fail(fmt::format("{} is in use for the agent's own pages", quoted(out)));
    }
  };
}

/// `http` of version 2: a server with its two pages.
Reader health_v2_http(HealthConfig& health) {
  return [&health](const Value& value) {
    Keys keys = http_server_keys(value, health);
    HealthV2Config& v2 = *health.v2;
    const auto secrets = "it would show secrets; `holdfast print-config` shows the rest";
    keys.push_back({"status", section({
                                  {"enabled", boolean(v2.status_enabled)},
                                  {"path", v2_path(v2.status_path)},
                                  {"verbose", boolean(v2.verbose)},
                                  {"include_attributes", accepted()},  // there are none
                              })});
    keys.push_back({"config", section({
                                  {"enabled", refused_unless_off(secrets)},
                                  {"path", accepted()},
                              })});
    for (const char* name : {"max_request_body_size", "compression_algorithms"}) {
      keys.push_back({name, no_effect("what is asked for has no body")});
    }
    for (const char* name : {"auth", "cors"}) {
      keys.push_back(
          {name, refused_unless_off("the page has no secrets; localhost keeps strangers out")});
    }
    read_section(value, keys);
  };
}

void read_health_check(const Value& value, DeclaredExtension& extension) {
  HealthConfig health;
  Keys keys = http_server_keys(value, health);
  const auto unread = "what is asked for has no body";
  const auto open = "the port shows no telemetry; localhost or a unix socket keeps strangers out";
  for (Key& key : Keys{
           {"max_request_body_size", no_effect(unread)},
           {"compression_algorithms", no_effect(unread)},
           {"auth", refused_unless_off(open)},
           {"cors", refused_unless_off(open)},
           {"path", health_path(health.path)},
           {"response_body", section({
                                 {"healthy", optional_text(health.body_healthy)},
                                 {"unhealthy", optional_text(health.body_unhealthy)},
                             })},
           {"check_collector_pipeline",
            section({
                {"enabled", refused_unless_off("/status tells the state of the pipelines")},
                {"interval", accepted()},
                {"exporter_failure_threshold", accepted()},
            })},
       }) {
    keys.push_back(std::move(key));
  }
  bool use_v2 = false;
  HealthConfig v2;
  v2.v2 = HealthV2Config{.extension = extension.id.id};
  keys.push_back({"use_v2", boolean(use_v2)});
  keys.push_back({"http", health_v2_http(v2)});
  keys.push_back({"grpc", refused("supported: http")});
  keys.push_back({"component_health", component_health(v2.v2->component_health)});
  read_section(value, keys);
  const Member* http = value.node.find("http");
  if (use_v2 && http == nullptr) value.fail("use_v2 needs a protocol", "as in http: {}");
  if (use_v2 && http != nullptr) {
    extension.listener = {v2.endpoint, join_key(value.key, "http"), http->value.place};
    extension.health = std::move(v2);
    return;
  }
  const Member* member = value.node.find("endpoint");
  extension.listener = {health.endpoint, value.key,
                        member != nullptr ? member->value.place : extension.id.place};
  extension.health = std::move(health);
}

void read_file_storage(const Value& value, DeclaredExtension& extension) {
  constexpr std::uint64_t kBytesMin = 1ULL << 20;
  FileStorage storage;
  const auto fsync = [](const Value& v) {
    bool on = true;
    boolean(on)(v);
    if (!on) v.warn("false has no effect: extensions::disk_buffer::durability decides");
  };
  read_section(
      value,
      {
          {"directory", text(storage.directory)},
          {"create_directory", accepted()},  // it is always made
          {"directory_permissions", permissions(storage.directory_permissions)},
          {"timeout", no_effect("a directory in use by another process is told at once")},
          {"fsync", fsync},
          {"recreate", no_effect("damage costs the damaged record, never the file")},
          {"max_size", size(storage.bytes_max, kBytesMin, 1ULL << 50)},
          {"compaction",
           no_effect_section("files are deleted when they are delivered",
                             {"on_start", "on_rebound", "directory", "rebound_needed_threshold_mib",
                              "rebound_trigger_threshold_mib", "max_transaction_size",
                              "check_interval", "cleanup_on_start"})},
      });
  if (storage.directory.empty()) value.fail_at("directory", "must not be empty");
  extension.file_storage = std::move(storage);
}

}  // namespace

void read_extensions(const Value& section, Declared& declared) {
  const auto with = [&declared](auto read) {
    return [&declared, read](const ComponentId& id, const Value& value) {
      DeclaredExtension extension;
      extension.id = id;
      extension.key = value.key;
      read(value, extension);
      declared.extensions.push_back(std::move(extension));
    };
  };
  const auto disk_buffer = [](const Value& value, DeclaredExtension& extension) {
    extension.disk_buffer = read_disk_buffer(value);
  };
  const auto nothing = [](const Value&, DeclaredExtension&) {};
  declared.extension_ids = read_components(section, "extension",
                                           {{"health_check", with(read_health_check)},
                                            {"healthcheckv2", with(read_health_check)},
                                            {"file_storage", with(read_file_storage)},
                                            {"disk_buffer", with(disk_buffer)},
                                            {"basicauth", with(read_basic_auth)},
                                            {"bearertokenauth", with(read_bearer_token_auth)},
                                            {"pprof", with(nothing)},
                                            {"zpages", with(nothing)}});
}

}  // namespace holdfast
