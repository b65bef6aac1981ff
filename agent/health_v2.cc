#include "agent/health_v2.h"

#include <algorithm>
#include <charconv>
#include <shared_mutex>
#include <utility>
#include <vector>

#include "agent/json_writer.h"
#include "agent/status_snapshot.h"
#include "agent/time_text.h"

namespace holdfast {
namespace {

enum class Health : std::uint8_t { ok, stopping, recoverable, permanent };

std::string_view name_of(Health health) {
  switch (health) {
    case Health::ok:
      return "StatusOK";
    case Health::stopping:
      return "StatusStopping";
    case Health::recoverable:
      return "StatusRecoverableError";
    case Health::permanent:
      return "StatusPermanentError";
  }
  return "StatusNone";
}

struct Node {
  std::string name;  // "pipeline:traces", "exporter:otlp_http"; "" of the whole
  Health health = Health::ok;
  std::int64_t since_unix_ns = 0;
  std::string error;
  std::vector<Node> parts = {};
};

class ComponentStatus {
 public:
  ComponentStatus(const HealthV2Config& config, const Telemetry& telemetry)
      : config_(config),
        telemetry_(telemetry),
        ready_(telemetry.ready.load(std::memory_order_relaxed)),
        snapshot_(take_snapshot(telemetry)) {}

  Node whole() const {
    Node node;
    Node extensions{.name = "extensions"};
    extensions.parts.push_back(component("extension:" + config_.extension));
    sum_up(extensions);
    node.parts.push_back(std::move(extensions));
    for (const PipelineConfig& pipeline : telemetry_.pipelines) {
      node.parts.push_back(of(pipeline));
    }
    sum_up(node);
    return node;
  }

  /// All but what is opted in is healthy.
  bool is_healthy(const Node& node) const {
    if (!config_.component_health) return true;
    const ComponentHealthConfig& counted = *config_.component_health;
    if (node.health == Health::permanent) return !counted.include_permanent;
    if (node.health == Health::recoverable && counted.include_recoverable) {
      return snapshot_.unix_ns < node.since_unix_ns + counted.recovery.count() * kNsPerMs;
    }
    return true;
  }

 private:
  Node component(std::string name) const {
    return {.name = std::move(name),
            .health = ready_ ? Health::ok : Health::stopping,
            .since_unix_ns = telemetry_.start_unix_ns};
  }

  Node of(const PipelineConfig& pipeline) const {
    Node node{.name = "pipeline:" + pipeline.name};
    const auto signal =
        std::find_if(snapshot_.signals.begin(), snapshot_.signals.end(),
                     [&](const SignalSnapshot& each) { return each.signal == pipeline.signal; });
    for (const std::string& receiver : pipeline.receivers) {
      Node part = component("receiver:" + receiver);
      if (ready_ && signal != snapshot_.signals.end() && signal->log.disk_nearly_full) {
        part.health = Health::recoverable;
        part.error = "requests are refused: the disk is at its floor or the folder at its limit";
      }
      node.parts.push_back(std::move(part));
    }
    for (const std::string& exporter : pipeline.exporters) {
      Node part = component("exporter:" + exporter);
      if (ready_ && signal != snapshot_.signals.end()) look_at(exporter, *signal, part);
      node.parts.push_back(std::move(part));
    }
    sum_up(node);
    return node;
  }

  static void look_at(const std::string& exporter, const SignalSnapshot& signal, Node& part) {
    for (const FlowSnapshot& flow : signal.flows) {
      if (flow.exporter != exporter) continue;
      if (flow.state != UpstreamState::retrying && flow.state != UpstreamState::holding) return;
      part.health = flow.state == UpstreamState::holding ? Health::permanent : Health::recoverable;
      part.error = flow.last_error;
      const std::int64_t since = flow.counters->failing_since_unix_ns;
      if (since != 0) part.since_unix_ns = since;
    }
  }

  /// Where recoverable errors count and permanent ones do not, they are the more telling ones.
  int weight(Health health) const {
    const bool reversed = config_.component_health &&
                          config_.component_health->include_recoverable &&
                          !config_.component_health->include_permanent;
    if (reversed && health == Health::permanent) return static_cast<int>(Health::recoverable);
    if (reversed && health == Health::recoverable) return static_cast<int>(Health::permanent);
    return static_cast<int>(health);
  }

  /// The worst of the parts, the latest of these.
  void sum_up(Node& node) const {
    const auto worst = std::max_element(node.parts.begin(), node.parts.end(),
                                        [this](const Node& a, const Node& b) {
                                          return std::pair(weight(a.health), a.since_unix_ns) <
                                                 std::pair(weight(b.health), b.since_unix_ns);
                                        });
    if (worst == node.parts.end()) return;
    node.health = worst->health;
    node.since_unix_ns = worst->since_unix_ns;
    node.error = worst->error;
  }

  const HealthV2Config& config_;
  const Telemetry& telemetry_;
  const bool ready_;
  const StatusSnapshot snapshot_;
};

void write_node(JsonWriter& json, const ComponentStatus& status, const Node& node, bool verbose) {
  json.key("healthy").boolean(status.is_healthy(node));
  json.key("status").string(name_of(node.health));
  if (!node.error.empty()) json.key("error").string(node.error);
  json.key("status_time").string(rfc3339_nano(node.since_unix_ns));
  if (!verbose || node.parts.empty()) return;
  json.key("components").begin_object();
  for (const Node& part : node.parts) {
    json.key(part.name).begin_object();
    write_node(json, status, part, verbose);
    json.end_object();
  }
  json.end_object();
}

/// "traces%2Fedge" is "traces/edge"; what is no such code stays as it is.
std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned byte = 0;
    const char* const end = text.data() + std::min(i + 3, text.size());
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(text.data() + i + 1, end, byte, 16).ptr == end) {
      out += static_cast<char>(byte);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

struct Query {
  std::string pipeline;
  bool verbose = false;
};
Query parse_query(std::string_view text) {
  Query query;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    const std::string_view name = part.substr(0, part.find('='));
    const std::string_view value = part.substr(std::min(part.size(), name.size() + 1));
    if (name == "pipeline") query.pipeline = percent_decoded(value);
    if (name == "verbose") query.verbose = value != "false" && value != "0";
  }
  return query;
}

}  // namespace

HttpResponse component_status_response(const HealthV2Config& config, std::string_view query,
                                       const Telemetry& telemetry) {
  const Query asked = parse_query(query);
  const std::shared_lock lock(telemetry.mutex);
  const ComponentStatus status(config, telemetry);
  Node node = status.whole();
  if (!asked.pipeline.empty()) {
    const std::string name =
        asked.pipeline == "extensions" ? asked.pipeline : "pipeline:" + asked.pipeline;
    const auto found = std::find_if(node.parts.begin(), node.parts.end(),
                                    [&](const Node& part) { return part.name == name; });
    HttpResponse unknown;
    unknown.status = 404;
    if (found == node.parts.end()) return unknown;
    Node part = std::move(*found);
    node = std::move(part);
  }
  HttpResponse response;
  response.status = node.health == Health::stopping ? 503 : status.is_healthy(node) ? 200 : 500;
  response.content_type = "application/json";
  JsonWriter json;
  json.begin_object();
  json.key("start_time").string(rfc3339_nano(telemetry.start_unix_ns));
  write_node(json, status, node, asked.verbose || config.verbose);
  json.end_object();
  response.body = json.text();
  return response;
}

}  // namespace holdfast
