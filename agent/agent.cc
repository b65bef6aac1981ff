#include "agent/agent.h"

#include <algorithm>
#include <mutex>
#include <thread>
#include <utility>

#include "agent/logging.h"
#include "agent/own_resource.h"
#include "agent/routes.h"
#include "buffer/clock.h"
#include "buffer/filesystem.h"

namespace holdfast {
namespace {

constexpr std::chrono::milliseconds kReceiverGrace{4'000};
constexpr std::chrono::milliseconds kDrainGrace{2'000};
constexpr std::chrono::milliseconds kDrainLook{10};

}  // namespace

Agent::Agent(Config config)
    : config_(std::move(config)),
      budget_(config_.in_flight_bytes_max),
      forwards_(config_, budget_) {
  telemetry_.budget = &budget_;
  telemetry_.buffer_directory = config_.buffer.directory;
  telemetry_.resource = own_resource(config_.telemetry.resource);
  telemetry_.pipelines = config_.pipelines;
  if (!config_.telemetry.traces.processors.empty()) {
    tracer_ = std::make_unique<Tracer>(config_.telemetry.traces, telemetry_.resource,
                                       telemetry_.own_dropped[index_of(Signal::traces)]);
    telemetry_.tracer = tracer_.get();
  }
}

Agent::~Agent() { stop(); }

Status Agent::start() {
  if (Status opened = open_buffer(); !opened) return opened;
  start_upkeep();
  flows_.start_missing(config_, pointers_to(logs_));
  for (const ExporterConfig& exporter : config_.exporters) {
    forwards_.add(exporter, flows_.stats_of(exporter));
  }
  start_import(pointers_to(logs_));
  auto receivers = receivers_.prepare(config_, pointers_to(logs_), {});
  if (!receivers) return receivers.error();
  receivers_.apply(std::move(*receivers), kReceiverGrace);
  telemetry_.configuration.loaded_unix_ns = system_clock().unix_ns();
  telemetry_.ready = true;  // before the port that says so opens: a probe must not find it unready
  return start_ports();
}

Status Agent::open_buffer() {
  FileSystem& fs = posix_filesystem();
  const BufferConfig& buffer = config_.buffer;
  if (Status made = fs.make_directories(buffer.directory, buffer.directory_permissions); !made) {
    return Error{made.error().code, "the buffer directory cannot be used (" +
                                        buffer.directory_source + "): " + made.error().message};
  }
  auto lock = fs.lock(buffer.directory + "/LOCK");
  if (!lock) {
    const bool taken = lock.error().code == EWOULDBLOCK;
    return Error{lock.error().code, taken ? "the buffer directory " + buffer.directory +
                                                " is in use by another holdfast process"
                                          : "the buffer directory cannot be used (" +
                                                buffer.directory_source +
                                                "): " + lock.error().message};
  }
  lock_ = std::move(*lock);
  log(LogLevel::info, "buffering on disk",
      {{"directory", buffer.directory}, {"chosen_by", buffer.directory_source}});
  for (const Signal signal : kSignals) {
    if (readers_of(config_, signal).empty()) continue;
    auto opened = open_log(config_, signal);
    if (!opened) return opened.error();
    logs_[index_of(signal)] = std::move(*opened);
  }
  show_logs(pointers_to(logs_));
  return {};
}

Result<std::unique_ptr<Log>> Agent::open_log(const Config& config, Signal signal) {
  LogOptions options = config.buffer.logs[index_of(signal)];
  options.report = [signal](std::string_view message, std::string_view detail) {
    log(LogLevel::warn, message, {{"signal", name_of(signal)}, {"detail", detail}});
  };
  auto opened =
      Log::open(posix_filesystem(), system_clock(), std::move(options), readers_of(config, signal));
  if (!opened) {
    return Error{opened.error().code, "the buffer of " + std::string(name_of(signal)) +
                                          " cannot be opened: " + opened.error().message};
  }
  (*opened)->on_dirty([this] { upkeep_.wake(); });
  for (const ReaderStats& reader : (*opened)->stats().readers) {
    if (reader.recovered_items == 0) continue;
    log(LogLevel::info, "backlog found",
        {{"signal", name_of(signal)},
         {"exporter", reader.name},
         {"items", reader.recovered_items}});
  }
  return opened;
}

void Agent::show_logs(const SignalLogs& logs) {
  std::lock_guard lock(telemetry_.mutex);
  telemetry_.logs = logs;
  telemetry_.free_bytes_min = 0;
  for (const Signal signal : kSignals) {
    const std::size_t index = index_of(signal);
    if (logs[index] == nullptr) continue;
    const LogOptions& options = config_.buffer.logs[index];
    telemetry_.capacity_bytes[index] = options.folder_bytes_max;
    telemetry_.free_bytes_min = std::max(telemetry_.free_bytes_min, options.free_bytes_min);
  }
}

void Agent::start_upkeep() {
  std::vector<Log*> opened;
  for (const auto& log : logs_) {
    if (log != nullptr) opened.push_back(log.get());
  }
  upkeep_.start(std::move(opened));
}

ImportTargets Agent::import_targets(const SignalLogs& logs) const {
  ImportTargets targets;
  for (const Signal signal : kSignals) {
    const LogOptions& options = config_.buffer.logs[index_of(signal)];
    targets[index_of(signal)] = {signal, logs[index_of(signal)], options.folder_bytes_max,
                                 options.quarantine_bytes_max,
                                 options.durability == Durability::batch};
  }
  return targets;
}

void Agent::start_import(const SignalLogs& logs) {
  const ImportConfig& config = config_.buffer.import;
  if (config.directories == decltype(config.directories){}) return;
  import_targets_ = import_targets(logs);
  ReceiverStats& stats = receivers_.stats_of("disk_buffer", kImportTransport);
  {
    std::lock_guard lock(telemetry_.mutex);
    import_ = std::make_unique<DirectoryImport>(config, import_targets_, stats, telemetry_.imports,
                                                budget_);
  }
  import_->start();
}

Status Agent::start_ports() {
  if (config_.health) {
    auto started = HealthPort::start(*config_.health, telemetry_);
    if (!started) {
      return Error{started.error().code, "health_check: " + started.error().message};
    }
    health_ = std::move(*started);
    log(LogLevel::info, "health port open",
        {{"endpoint", config_.health->endpoint}, {"port", health_->port()}});
  }
  own_telemetry_ = std::make_unique<OwnTelemetry>(config_.telemetry, telemetry_);
  return {};
}

bool Agent::is_delivering() const {
  for (const auto& exporter : telemetry_.exporters) {
    for (const Signal signal : kSignals) {
      const std::size_t index = index_of(signal);
      // A windowed drain leaves the newest for the next start, as it does all the time.
      if (logs_[index] == nullptr || config_.buffer.logs[index].drain == DrainMode::windowed)
        continue;
      const auto state = static_cast<UpstreamState>(exporter->signals[index].state.load());
      if (state != UpstreamState::ok && state != UpstreamState::idle) continue;
      for (const ReaderStats& reader : logs_[index]->stats().readers) {
        if (reader.name == exporter->exporter && reader.pending_items > 0) return true;
      }
    }
  }
  return false;
}

void Agent::let_drains_finish() {
  const auto deadline = std::chrono::steady_clock::now() + kDrainGrace;
  while (is_delivering() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(kDrainLook);
  }
}

void Agent::stop() {
  if (lock_ == nullptr) return;
  telemetry_.ready = false;
  forwards_.finish();
  {
    // All at once: none goes on taking requests while another one waits for its clients.
    const std::jthread receivers([this] { receivers_.stop(kReceiverGrace); });
    if (import_ != nullptr) import_->stop();
  }
  import_.reset();
  forwards_.clear();
  // While the upstream takes data, what is here goes out: nothing is cut off and sent twice.
  let_drains_finish();
  flows_.stop();
  telemetry_.tracer = nullptr;
  tracer_.reset();
  upkeep_.stop();
  // The ports show the counters until the end, but not longer than the logs live.
  if (health_ != nullptr) health_->stop();
  health_.reset();
  own_telemetry_.reset();
  for (auto& opened : logs_) {
    if (opened != nullptr) opened->close();
    opened.reset();
  }
  lock_.reset();
}

SignalLogs pointers_to(const std::array<std::unique_ptr<Log>, kSignalCount>& logs) {
  SignalLogs pointers{};
  for (std::size_t i = 0; i < kSignalCount; ++i) pointers[i] = logs[i].get();
  return pointers;
}

}  // namespace holdfast
