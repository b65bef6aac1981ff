// The parts of a configuration between the tree and the structs of config.h: what is declared in
// each section, with the places that a later check may have to name.
//
// Owned by load_config() for one run. Single-threaded.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/config.h"
#include "agent/config_section.h"

namespace holdfast {

/// "type" or "type/name", as components and pipelines are called.
struct ComponentId {
  std::string id;
  std::string type;
  std::string name;
  Place place;
};

/// Nothing, and an error, if `id` is not one.
std::optional<ComponentId> parse_component_id(std::string_view id, const Place& place,
                                              const std::string& key, Findings& findings);

struct ComponentKind {
  std::string type;
  std::function<void(const ComponentId&, const Value&)> read;
};

/// Goes through `receivers:` and the like. Types that no kind has are errors. Returns all ids, so
/// that what refers to a wrong one is not called undefined as well.
std::vector<std::string> read_components(const Value& section, std::string_view noun,
                                         const std::vector<ComponentKind>& kinds);

/// A section of which all is accepted and without effect; unknown keys in it are errors still.
Reader no_effect_section(std::string reason, std::vector<std::string> names);

/// Where a server listens: host:port, or "unix:PATH" (listen.h).
Keys listen_keys(const Value& server, std::string& endpoint);

/// What all HTTP servers have, where they listen included.
Keys http_server_keys(const Value& server, HttpServerConfig& http);

/// Of all servers.
Reader include_metadata();
Reader middlewares();

/// What a server's TLS is of: gRPC chooses more by itself.
enum class TlsServerKind : std::uint8_t { http, grpc };

/// `tls` of a server, and of an exporter over HTTP.
Reader server_tls(std::optional<TlsServerOptions>& out, TlsServerKind kind);
Reader client_tls(HttpTlsOptions& out);

/// Keys of every `tls`.
Reader tpm();
Reader insecure_cipher_suites();

/// The `authenticator` of a receiver's or exporter's `auth`.
struct AuthReference {
  std::string id;  // "": none
  std::string key;
  Place place;
};

Reader authenticator(AuthReference& out);

/// A port that the agent will listen on.
struct Listener {
  std::string endpoint;
  std::string key;
  Place place;
};

struct DeclaredReceiver {
  OtlpReceiverConfig config;
  std::string key;
  Place place;
  AuthReference grpc_auth;
  AuthReference http_auth;
  std::vector<Listener> listeners;
};

struct DeclaredProcessor {
  std::string id;
  std::optional<BatchConfig> batch;
  std::optional<std::size_t> in_flight_bytes_max;
};

struct DeclaredExporter {
  ExporterConfig config;
  AuthReference auth;
  std::string key;
  std::string storage;  // sending_queue.storage
  Place storage_place;
};

struct FileStorage {
  std::string directory = "/var/lib/otelcol/file_storage";
  unsigned directory_permissions = 0750;
  std::uint64_t bytes_max = 0;  // 0: our own limit
};

struct DiskBuffer {
  std::optional<std::string> directory;
  unsigned directory_permissions = 0750;
  std::array<LogOptions, kSignalCount> logs;
  bool new_exporters_start_at_newest = false;
  ImportConfig import;
  std::vector<std::pair<std::string, Place>> import_places;  // of the directories as written
};

struct DeclaredExtension {
  ComponentId id;
  std::string key;
  std::optional<HealthConfig> health;
  std::optional<Listener> listener;
  std::optional<FileStorage> file_storage;
  std::optional<DiskBuffer> disk_buffer;
  std::optional<AuthenticatorConfig> authenticator;
};

void read_basic_auth(const Value& value, DeclaredExtension& extension);
void read_bearer_token_auth(const Value& value, DeclaredExtension& extension);

/// All sections but `service`, and the ids in each.
struct Declared {
  std::vector<DeclaredReceiver> receivers;
  std::vector<DeclaredProcessor> processors;
  std::vector<DeclaredExporter> exporters;
  std::vector<DeclaredExtension> extensions;
  std::vector<std::string> receiver_ids;
  std::vector<std::string> processor_ids;
  std::vector<std::string> exporter_ids;
  std::vector<std::string> extension_ids;
};

void read_receivers(const Value& section, Declared& declared);
void read_processors(const Value& section, Declared& declared);
void read_exporters(const Value& section, Declared& declared);
void read_extensions(const Value& section, Declared& declared);
DiskBuffer read_disk_buffer(const Value& section);

/// disk_buffer's import_directories and import_min_age.
Keys import_keys(DiskBuffer& buffer);
/// What lies inside the buffer cannot be drained into it.
void check_imports(const DiskBuffer& disk_buffer, const BufferConfig& buffer, Findings& findings);

/// A name in a list of `service`.
struct Reference {
  std::string id;
  Place place;
};

struct DeclaredPipeline {
  PipelineConfig config;
  std::string key;
  Place place;
  std::vector<Reference> receivers;
  std::vector<Reference> processors;
  std::vector<Reference> exporters;
  Place batch_place;  // of the batch processor's name, if there is one
};

struct Service {
  std::vector<Reference> extensions;
  std::vector<DeclaredPipeline> pipelines;
  TelemetryConfig telemetry;
  std::vector<Listener> metrics_listeners;
};

Service read_service(const Value& section);
void read_telemetry(const Value& section, Service& service);
void read_references(const Value& list, std::vector<Reference>& out);

/// Puts declarations and service together, and checks what refers to what.
Config assemble(const Declared& declared, Service service, Findings& findings);

enum class AuthUse : std::uint8_t { receiver, exporter };

/// What a reference leads to among the extensions that are in use; an error if it does not.
std::optional<AuthenticatorConfig> resolve_authenticator(
    const AuthReference& reference, AuthUse use,
    const std::vector<const DeclaredExtension*>& listed, const Declared& declared,
    Findings& findings);

/// Where the buffer lies and with what limits.
BufferConfig choose_buffer(const std::vector<const DeclaredExtension*>& listed,
                           const std::vector<const DeclaredExporter*>& exporters,
                           const Declared& declared, Findings& findings);

/// What this process may use at all: the smaller of the machine's memory and the control group's.
std::uint64_t memory_total_bytes();

}  // namespace holdfast
