#include "agent/agent.h"

#include <algorithm>
#include <utility>

#include "agent/exporter_factory.h"
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
}

Agent::~Agent() { stop(); }

Status Agent::start() {
  if (Status opened = open_buffer(); !opened) return opened;
  start_upkeep();
  start_drains();
  start_import();
  if (Status started = start_receivers(); !started) return started;
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
    if (Status opened = open_log(signal); !opened) return opened;
  }
  telemetry_.logs = log_pointers_;
  return {};
}

Status Agent::open_log(Signal signal) {
  const std::size_t index = index_of(signal);
  LogOptions options = config_.buffer.logs[index];
  telemetry_.capacity_bytes[index] = options.folder_bytes_max;
  telemetry_.free_bytes_min = std::max(telemetry_.free_bytes_min, options.free_bytes_min);
  options.report = [signal](std::string_view message, std::string_view detail) {
    log(LogLevel::warn, message, {{"signal", name_of(signal)}, {"detail", detail}});
  };
  auto opened = Log::open(posix_filesystem(), system_clock(), std::move(options),
                          readers_of(config_, signal));
  if (!opened) {
    return Error{opened.error().code, "the buffer of " + std::string(name_of(signal)) +
                                          " cannot be opened: " + opened.error().message};
  }
  logs_[index] = std::move(*opened);
  log_pointers_[index] = logs_[index].get();
  for (const ReaderStats& reader : logs_[index]->stats().readers) {
    if (reader.recovered_items == 0) continue;
    log(LogLevel::info, "backlog found",
        {{"signal", name_of(signal)},
         {"exporter", reader.name},
         {"items", reader.recovered_items}});
  }
  return {};
}

void Agent::start_upkeep() {
  for (const auto& opened : logs_) {
    if (opened == nullptr) continue;
    opened->on_dirty([this] {
      {
        std::lock_guard lock(upkeep_mutex_);
        upkeep_due_ = true;
      }
      upkeep_wanted_.notify_one();
    });
  }
  upkeep_ = std::jthread([this](const std::stop_token& stop) noexcept {
    while (!stop.stop_requested()) {
      std::int64_t due = INT64_MAX;
      upkeep_busy_since_ns_ = system_clock().steady_ns();
      for (const auto& opened : logs_) {
        if (opened != nullptr) due = std::min(due, opened->maintain());
      }
      upkeep_busy_since_ns_ = 0;
      std::unique_lock lock(upkeep_mutex_);
      const auto wanted = [this] { return upkeep_due_; };
      if (due == INT64_MAX) {
        upkeep_wanted_.wait(lock, stop, wanted);
      } else {
        const std::chrono::nanoseconds wait(
            std::max<std::int64_t>(0, due - system_clock().steady_ns()));
        upkeep_wanted_.wait_for(lock, stop, wait, wanted);
      }
      upkeep_due_ = false;
    }
  });
}

void Agent::start_drains() {
  for (const ExporterConfig& exporter : config_.exporters) {
    auto& stats = telemetry_.exporters.emplace_back(std::make_unique<ExporterStats>());
    stats->exporter = exporter.name;
    list_endpoints(exporter, *stats);
    forwards_.add(exporter, *stats);
    breakers_[exporter.name] = std::make_unique<Breaker>();
    for (const Signal signal : kSignals) {
      if (!reads(config_, signal, exporter.name)) continue;
      const PipelineConfig* const pipeline = pipeline_of(config_, signal, exporter.name);
      const std::size_t index = index_of(signal);
      DrainOptions options{signal, exporter.name, exporter.batch.value_or(pipeline->batch),
                           exporter.retry};
      drains_.push_back(
          std::make_unique<Drain>(std::move(options), logs_[index]->reader(exporter.name),
                                  make_exporter(exporter, signal, stats.get()),
                                  *breakers_[exporter.name], stats->signals[index]));
    }
  }
}

ReceiverStats& Agent::receiver_stats(const std::string& receiver, const std::string& transport) {
  auto& stats = telemetry_.receivers.emplace_back(std::make_unique<ReceiverStats>());
  stats->receiver = receiver;
  stats->transport = transport;
  return *stats;
}

void Agent::start_import() {
  const ImportConfig& config = config_.buffer.import;
  if (config.directories == decltype(config.directories){}) return;
  std::array<ImportTarget, kSignalCount> targets;
  for (const Signal signal : kSignals) {
    const LogOptions& options = config_.buffer.logs[index_of(signal)];
    targets[index_of(signal)] = {signal, log_pointers_[index_of(signal)], options.folder_bytes_max,
                                 options.quarantine_bytes_max,
                                 options.durability == Durability::batch};
  }
  import_ = std::make_unique<DirectoryImport>(
      config, targets, receiver_stats("disk_buffer", "import"), telemetry_.imports, budget_);
  import_->start();
}

Status Agent::start_receivers() {
  for (const OtlpReceiverConfig& receiver : config_.receivers) {
    SignalLogs logs{};  // of the pipelines that name this receiver
    for (const PipelineConfig& pipeline : config_.pipelines) {
      const auto& names = pipeline.receivers;
      if (std::find(names.begin(), names.end(), receiver.name) == names.end()) continue;
      if (!is_stored(config_, pipeline)) continue;
      logs[index_of(pipeline.signal)] = log_pointers_[index_of(pipeline.signal)];
    }
    if (receiver.grpc) {
      auto started =
          GrpcReceiver::start(*receiver.grpc, logs, receiver_stats(receiver.name, "grpc"), budget_,
                              forwards_.from(receiver.name));
      if (!started) return started.error();
      grpc_.push_back(std::move(*started));
      log(LogLevel::info, "receiving OTLP/gRPC",
          {{"receiver", receiver.name},
           {"endpoint", receiver.grpc->endpoint},
           {"port", grpc_.back()->port()}});
    }
    if (receiver.http) {
      auto started =
          HttpReceiver::start(*receiver.http, logs, receiver_stats(receiver.name, "http"), budget_,
                              forwards_.from(receiver.name));
      if (!started) {
        return Error{started.error().code,
                     "OTLP/HTTP (receiver " + receiver.name + "): " + started.error().message};
      }
      http_.push_back(std::move(*started));
      log(LogLevel::info, "receiving OTLP/HTTP",
          {{"receiver", receiver.name},
           {"endpoint", receiver.http->endpoint},
           {"port", http_.back()->port()}});
    }
  }
  return {};
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
    std::vector<std::jthread> stops;
    if (import_ != nullptr) stops.emplace_back([&] { import_->stop(); });
    for (auto& receiver : grpc_) stops.emplace_back([&] { receiver->stop(kReceiverGrace); });
    for (auto& receiver : http_) stops.emplace_back([&] { receiver->stop(kReceiverGrace); });
  }
  import_.reset();
  grpc_.clear();
  http_.clear();
  forwards_.clear();
  // While the upstream takes data, what is here goes out: nothing is cut off and sent twice.
  let_drains_finish();
  for (auto& drain : drains_) drain->request_stop();
  drains_.clear();
  if (upkeep_.joinable()) {
    upkeep_.request_stop();
    upkeep_.join();
  }
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

bool Agent::is_live(std::chrono::milliseconds limit) const {
  const std::int64_t since = upkeep_busy_since_ns_;
  return since == 0 || system_clock().steady_ns() - since < limit.count() * kNsPerMs;
}

}  // namespace holdfast
