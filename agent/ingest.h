// The one seam between receivers and the buffer: bytes in, "stored" out, never before they are as
// durable as configured.
//
// A receiver's thread owns an IngestBatch: accept() checks and compresses at once, commit() writes
// everything that was accepted since as one group per signal and then calls back. Small requests of
// one commit share records, but for profiles.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "agent/stats.h"
#include "agent/wire_walker.h"
#include "buffer/log.h"
#include "proto/signal.h"

namespace holdfast {

struct IngestResult {
  enum class Outcome : std::uint8_t {
    stored,
    refused,  // bad bytes, or more than the buffer can hold: INVALID_ARGUMENT / 400
    full,     // no room or the disk failed: UNAVAILABLE / 503, with RetryInfo
  };
  Outcome outcome = Outcome::stored;
  std::string message;
  std::uint32_t items = 0;  // in the request, where it was stored
};

/// The logs by signal; null where no pipeline takes the signal.
using SignalLogs = std::array<Log*, kSignalCount>;

class IngestBatch {
 public:
  using Done = std::function<void(const IngestResult&)>;

  /// `source` stands for the receiver in what is stored (agent/routes.h); 0: for all exporters.
  /// `unstored`: signals that are taken even where there is no log, since they are forwarded.
  explicit IngestBatch(SignalLogs logs, std::uint16_t source = 0,
                       std::array<bool, kSignalCount> unstored = {});
  ~IngestBatch();
  IngestBatch(const IngestBatch&) = delete;
  IngestBatch& operator=(const IngestBatch&) = delete;

  /// Is there a pipeline for it?
  bool takes(Signal signal) const { return stores(signal) || unstored_[index_of(signal)]; }
  bool stores(Signal signal) const { return logs_[index_of(signal)] != nullptr; }

  /// `request` are the protobuf bytes of an Export*ServiceRequest; they are not needed after the
  /// call. `done` is called here for bad bytes, for a request without items and where there is no
  /// log, else in commit(), on the same thread.
  void accept(Signal signal, std::string_view request, ReceiverSignalStats& stats, Done done);

  /// Bytes that wait for commit(); a receiver commits when its burst ends or this passes about a
  /// MiB.
  std::size_t pending_bytes() const { return pending_bytes_; }
  bool empty() const { return waiting_ == 0; }

  void commit();

  /// Counts a request that was forwarded: what no log keeps is accepted when the upstream takes it.
  void note_forwarded(Signal signal, ReceiverSignalStats& stats, std::uint32_t items,
                      bool taken) const;

  /// Commits, and takes for these logs from then on.
  void send_to(const SignalLogs& logs);

 private:
  struct SignalBatch;
  SignalLogs logs_;
  const std::uint16_t source_;
  std::array<bool, kSignalCount> unstored_;
  std::array<std::unique_ptr<SignalBatch>, kSignalCount> batches_;
  std::size_t pending_bytes_ = 0;
  std::size_t waiting_ = 0;
};

}  // namespace holdfast
