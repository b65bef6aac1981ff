// Declarations and service put together: every name must lead somewhere, every port must be free.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "agent/config_parts.h"
#include "agent/config_values.h"
#include "agent/listen.h"
#include "agent/routes.h"

namespace holdfast {

namespace {

bool contains(const std::vector<std::string>& list, const std::string& word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

/// Goes through the references of one list: reports those that lead nowhere, drops repetitions.
/// Calls `take` with the rest.
template <typename Take>
void resolve(const std::vector<Reference>& references, const std::vector<std::string>& declared,
             std::string_view noun, const std::string& key, Findings& findings, Take take) {
  std::set<std::string> seen;
  for (const Reference& reference : references) {
    if (!contains(declared, reference.id)) {
      findings.error(
          reference.place, key,
          fmt::format("references {} {} which is not configured", noun, quoted(reference.id)),
          suggest(reference.id, declared));
    } else if (!seen.insert(reference.id).second) {
      findings.warning(reference.place, key,
                       fmt::format("names {} {} twice", noun, quoted(reference.id)));
    } else {
      take(reference);
    }
  }
}

/// Loopback and "all addresses" have many names.
std::string host_class(const std::string& host) {
  if (host.empty() || host == "0.0.0.0" || host == "::") return "*";
  if (host == "localhost" || host == "127.0.0.1" || host == "::1") return "loopback";
  return host;
}

bool same_port(const std::string& a, const std::string& b) {
  if (const std::string path = unix_path(a); !path.empty()) return a == b;
  const auto left = parse_endpoint(a);
  const auto right = parse_endpoint(b);
  if (!left || !right || left->port != right->port || left->port == 0) return false;
  const std::string left_host = host_class(left->host);
  const std::string right_host = host_class(right->host);
  return left_host == right_host || left_host == "*" || right_host == "*";
}

void check_ports(const std::vector<Listener>& listeners, Findings& findings) {
  for (std::size_t i = 0; i < listeners.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (!same_port(listeners[i].endpoint, listeners[j].endpoint)) continue;
      findings.error(listeners[i].place, listeners[i].key,
                     fmt::format("listens on {}, as does {}", quoted(listeners[i].endpoint),
                                 listeners[j].key));
      break;
    }
  }
}

class Assembly {
 public:
  Assembly(const Declared& declared, Findings& findings)
      : declared_(declared), findings_(findings) {}

  Config run(Service service) {
    list_extensions(service);
    for (DeclaredPipeline& pipeline : service.pipelines) connect(pipeline);
    std::map<std::uint16_t, std::string> sources;
    for (const DeclaredReceiver& receiver : declared_.receivers) {
      if (used_receivers_.count(receiver.config.name) == 0) continue;
      tell_apart(receiver, sources);
      config_.receivers.push_back(with_authenticators(receiver));
      for (const Listener& listener : receiver.listeners) listeners_.push_back(listener);
    }
    std::vector<const DeclaredExporter*> exporters;
    for (const DeclaredExporter& exporter : declared_.exporters) {
      if (used_exporters_.count(exporter.config.name) == 0) continue;
      config_.exporters.push_back(exporter.config);
      config_.exporters.back().auth =
          resolve_authenticator(exporter.auth, AuthUse::exporter, listed_, declared_, findings_);
      exporters.push_back(&exporter);
      if (!exporter.config.batch) check_batches(exporter.config.name, service.pipelines);
    }
    // The health port and the metrics port come last: a clash is told where it is easier to mend.
    for (const DeclaredExtension* extension : listed_) {
      if (extension->listener) listeners_.push_back(*extension->listener);
    }
    for (const Listener& listener : service.metrics_listeners) listeners_.push_back(listener);
    check_ports(listeners_, findings_);
    config_.telemetry = service.telemetry;
    config_.buffer = choose_buffer(listed_, exporters, declared_, findings_);
    if (in_flight_bytes_max_) config_.in_flight_bytes_max = *in_flight_bytes_max_;
    check_budget();
    return std::move(config_);
  }

 private:
  OtlpReceiverConfig with_authenticators(const DeclaredReceiver& receiver) {
    OtlpReceiverConfig config = receiver.config;
    const auto resolve = [this](const AuthReference& reference) {
      return resolve_authenticator(reference, AuthUse::receiver, listed_, declared_, findings_);
    };
    if (config.grpc) config.grpc->auth = resolve(receiver.grpc_auth);
    if (config.http) config.http->auth = resolve(receiver.http_auth);
    return config;
  }

  void list_extensions(const Service& service) {
    const std::string key = "service::extensions";
    resolve(service.extensions, declared_.extension_ids, "extension", key, findings_,
            [&](const Reference& reference) { list_extension(reference, key); });
    for (const DeclaredExtension& extension : declared_.extensions) {
      const bool listed = std::find(listed_.begin(), listed_.end(), &extension) != listed_.end();
      if (listed || !extension.disk_buffer) continue;
      findings_.warning(extension.id.place, extension.key,
                        "has no effect: it is not in service::extensions");
    }
  }

  void list_extension(const Reference& reference, const std::string& key) {
    for (const DeclaredExtension& extension : declared_.extensions) {
      if (extension.id.id != reference.id) continue;
      const auto rival =
          std::find_if(listed_.begin(), listed_.end(), [&](const DeclaredExtension* other) {
            return (extension.health && other->health) ||
                   (extension.disk_buffer && other->disk_buffer);
          });
      if (rival != listed_.end()) {
        findings_.error(reference.place, key,
                        fmt::format("a second {} is not supported in this version, {} is the first",
                                    extension.id.type, quoted((*rival)->id.id)));
        return;
      }
      listed_.push_back(&extension);
      if (extension.health) config_.health = extension.health;
      if (extension.id.type == "pprof" || extension.id.type == "zpages") {
        findings_.warning(
            reference.place, key,
            fmt::format("{} has no effect: it shows a Go program from inside", extension.id.id));
      }
    }
  }

  void connect(DeclaredPipeline& pipeline) {
    PipelineConfig& config = pipeline.config;
    resolve(pipeline.receivers, declared_.receiver_ids, "receiver", pipeline.key, findings_,
            [&](const Reference& reference) {
              config.receivers.push_back(reference.id);
              used_receivers_.insert(reference.id);
            });
    resolve(pipeline.exporters, declared_.exporter_ids, "exporter", pipeline.key, findings_,
            [&](const Reference& reference) {
              config.exporters.push_back(reference.id);
              used_exporters_.insert(reference.id);
              check_url(reference, pipeline);
            });
    bool batched = false;
    resolve(pipeline.processors, declared_.processor_ids, "processor", pipeline.key, findings_,
            [&](const Reference& reference) { process(reference, pipeline, batched); });
    config_.pipelines.push_back(config);
  }

  void process(const Reference& reference, DeclaredPipeline& pipeline, bool& batched) {
    for (const DeclaredProcessor& processor : declared_.processors) {
      if (processor.id != reference.id) continue;
      if (processor.in_flight_bytes_max) {
        in_flight_bytes_max_ =
            std::min(in_flight_bytes_max_.value_or(SIZE_MAX), *processor.in_flight_bytes_max);
      }
      if (!processor.batch) continue;
      if (!traits(pipeline.config.signal).requests_join) {
        findings_.warning(reference.place, pipeline.key,
                          fmt::format("processor {} has no effect: {} are sent request by request",
                                      quoted(reference.id), name_of(pipeline.config.signal)));
        continue;
      }
      if (batched) {
        findings_.error(
            reference.place, pipeline.key,
            fmt::format("a second batch processor, {}, is not supported in this version",
                        quoted(reference.id)));
      }
      pipeline.config.batch = *processor.batch;
      pipeline.batch_place = reference.place;
      batched = true;
    }
  }

  /// Records know their receiver by a number that follows from its name.
  void tell_apart(const DeclaredReceiver& receiver, std::map<std::uint16_t, std::string>& sources) {
    const std::string& name = receiver.config.name;
    const auto [other, is_first] = sources.emplace(source_of(name), name);
    if (is_first) return;
    findings_.error(
        receiver.place, receiver.key,
        fmt::format("cannot be told from receiver {} in the buffer", quoted(other->second)),
        "give one of them another name");
  }

  /// One drain sends what an exporter gets of a signal, whatever pipeline it came through.
  void check_batches(const std::string& exporter, const std::vector<DeclaredPipeline>& pipelines) {
    for (const DeclaredPipeline& pipeline : pipelines) {
      const PipelineConfig& config = pipeline.config;
      const PipelineConfig* const first = pipeline_of(config_, config.signal, exporter);
      if (!contains(config.exporters, exporter) || pipeline.batch_place.line == 0) continue;
      if (config.batch == first->batch) continue;
      findings_.warning(pipeline.batch_place, pipeline.key,
                        fmt::format("this batch processor does not count for exporter {}: that of "
                                    "pipeline {} does, which names it first",
                                    quoted(exporter), quoted(first->name)));
    }
  }

  void check_url(const Reference& reference, const DeclaredPipeline& pipeline) {
    for (const DeclaredExporter& exporter : declared_.exporters) {
      if (exporter.config.name != reference.id) continue;
      const OtlpHttpOptions& options = exporter.config.otlp_http;
      if (exporter.config.kind != ExporterConfig::Kind::otlp_http) continue;
      if (!options.urls[index_of(pipeline.config.signal)].empty()) continue;
      // Without any URL the exporter itself has been complained about.
      if (options.urls == decltype(options.urls){}) continue;
      findings_.error(reference.place, pipeline.key,
                      fmt::format("exporter {} has neither endpoint nor {}_endpoint",
                                  quoted(reference.id), name_of(pipeline.config.signal)));
    }
  }

  /// A limit that a single allowed request exceeds would refuse that request for ever.
  void check_budget() {
    if (!in_flight_bytes_max_) return;
    std::size_t request_max = 0;
    for (const OtlpReceiverConfig& receiver : config_.receivers) {
      if (receiver.grpc) request_max = std::max(request_max, receiver.grpc->recv_message_bytes_max);
      if (receiver.http) request_max = std::max(request_max, receiver.http->request_body_bytes_max);
    }
    if (request_max <= *in_flight_bytes_max_) return;
    findings_.warning({}, "processors::memory_limiter",
                      fmt::format("allows {} in flight, less than one request may have ({})",
                                  size_text(*in_flight_bytes_max_), size_text(request_max)));
  }

  const Declared& declared_;
  Findings& findings_;
  Config config_;
  std::vector<const DeclaredExtension*> listed_;
  std::vector<Listener> listeners_;
  std::set<std::string> used_receivers_;
  std::set<std::string> used_exporters_;
  std::optional<std::size_t> in_flight_bytes_max_;
};

}  // namespace

Config assemble(const Declared& declared, Service service, Findings& findings) {
  return Assembly(declared, findings).run(std::move(service));
}

}  // namespace holdfast
