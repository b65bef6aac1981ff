// A `batch` or `simple` processor: spans or log records of the agent's own on their way to an OTLP
// upstream. Bounded; what has no room or is not delivered is dropped, and counted.
//
// Owns its thread, which sleeps while there is nothing. add() may be called from any thread.
#pragma once

#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "agent/own_exporter.h"
#include "agent/stats.h"

namespace holdfast {

class OwnRecords {
 public:
  struct Source {
    Signal signal = Signal::traces;
    std::string_view scope;  // a literal
    Attributes resource;
  };

  /// `dropped` must outlive it.
  OwnRecords(const OwnRecordsConfig& config, Source source, Counter& dropped);
  /// Waits a second at most until what is there has been sent.
  ~OwnRecords();

  /// An encoded Span or LogRecord. What comes from the thread that sends is not taken: a word about
  /// a failure would lead to the next one.
  void add(std::string record);

 private:
  void run(const std::stop_token& stop);
  void send(const std::vector<std::string>& records);

  const OwnRecordsConfig config_;
  const Source source_;
  Counter& dropped_;
  OwnExporter exporter_;
  std::stop_source cut_;  // ends a request that is under way
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<std::string> waiting_;
  bool ended_ = false;
  std::jthread thread_;  // last: it uses the rest
};

}  // namespace holdfast
