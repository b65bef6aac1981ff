// What passes through the agent, counted where it passes; read by /metrics and /status.
//
// Thread safety: relaxed atomics, texts under a lock of their own.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proto/signal.h"

namespace holdfast {

using Counter = std::atomic<std::uint64_t>;

/// What went wrong last, "" while all is well.
class LastError {
 public:
  void set(std::string text) {
    std::lock_guard lock(mutex_);
    text_ = std::move(text);
  }
  std::string text() const {
    std::lock_guard lock(mutex_);
    return text_;
  }

 private:
  mutable std::mutex mutex_;
  std::string text_;
};

/// One transport ("grpc", "http") of one receiver, one signal. Items unless said otherwise.
struct ReceiverSignalStats {
  Counter accepted{0};
  Counter refused{0};  // not taken: over budget, disk full
  Counter failed{0};   // not taken: bad bytes, counted as requests since their items are unknown
  Counter requests{0};
  Counter wire_bytes{0};    // as received
  Counter raw_bytes{0};     // after inflation
  Counter invalid_utf8{0};  // string fields
};
class Tracer;

struct ReceiverStats {
  std::string receiver;      // "otlp"
  std::string transport;     // "grpc" or "http"
  Tracer* tracer = nullptr;  // of its requests; none: they are not traced
  std::array<ReceiverSignalStats, kSignalCount> signals;
};

/// One directory that is imported (extensions::disk_buffer::import_directories).
struct ImportDirectoryStats {
  std::string directory;
  Signal signal = Signal::traces;
  Counter imported_files{0};
  Counter quarantined{0};    // records and torn ends
  Counter pending_files{0};  // when last looked, as pending_bytes
  Counter pending_bytes{0};
  LastError last_error;
};

enum class UpstreamState : std::uint8_t { idle, ok, retrying, holding };
std::string_view name_of(UpstreamState state);

/// One endpoint of an exporter that has several.
struct EndpointStats {
  std::string endpoint;                // without credentials
  std::atomic<std::uint8_t> state{0};  // UpstreamState
  Counter delivered{0};                // requests
  Counter failed{0};                   // requests
  LastError last_error;
};

/// One exporter, one signal.
struct ExporterSignalStats {
  Counter sent{0};  // items in delivered batches, those of a partial success included
  Counter send_failed{
      0};  // items of attempts that were not delivered (they are kept and tried again)
  Counter partial_rejected{0};  // items that a partial success named as rejected
  Counter quarantined{0};       // items
  Counter dropped{0};           // items that could be kept nowhere
  Counter attempts{0};
  Counter retries{0};
  Counter in_flight{0};                // gauge: requests being sent, backing off included
  Counter body_bytes{0};               // sent, as coded
  std::atomic<std::uint8_t> state{0};  // UpstreamState
  std::atomic<std::int64_t> failing_since_unix_ns{0};  // 0: it does not, or never sent
  std::atomic<std::int64_t> last_success_unix_ns{0};
  std::atomic<std::int64_t> retry_at_unix_ns{0};  // 0: none is waiting
  LastError last_error;
  std::vector<std::unique_ptr<EndpointStats>> endpoints;  // if there are several
};

/// The configuration that is in force, and what became of the last reload.
struct ConfigurationStats {
  std::atomic<std::int64_t> loaded_unix_ns{0};       // of the one in force
  std::atomic<std::int64_t> last_reload_unix_ns{0};  // 0: none so far
  Counter taken{0};                                  // reloads
  Counter refused{0};
  LastError last_error;  // why the last reload was refused; "": it was not
};

struct ExporterStats {
  std::string exporter;                        // "otlp_http/backup"
  std::array<bool, kSignalCount> forwarded{};  // without a queue: see forwarder.h
  std::array<ExporterSignalStats, kSignalCount> signals;
};

}  // namespace holdfast
