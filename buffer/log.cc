#include "buffer/log.h"

#include <algorithm>

#include "buffer/log_impl.h"

namespace holdfast {

std::string_view name_of(DropReason reason) {
  switch (reason) {
    case DropReason::folder_full:
      return "folder_full";
    case DropReason::expired:
      return "expired";
    case DropReason::corrupt:
      return "corrupt";
  }
  return "unknown";
}

Result<std::unique_ptr<Log>> Log::open(FileSystem& fs, const Clock& clock, LogOptions options,
                                       const std::vector<ReaderSpec>& readers) {
  auto log = std::make_unique<LogImpl>(fs, clock, std::move(options));
  if (Status status = log->recover(readers); !status) return status.error();
  return std::unique_ptr<Log>(std::move(log));
}

std::vector<ReaderSpec> readers_named(const std::vector<std::string>& names) {
  std::vector<ReaderSpec> specs;
  for (const std::string& name : names) specs.push_back({name});
  return specs;
}

LogLimits with_quarantine_bounded(LogLimits limits) {
  limits.quarantine_bytes_max = std::min(limits.quarantine_bytes_max, limits.folder_bytes_max / 4);
  return limits;
}

LogImpl::LogImpl(FileSystem& fs, const Clock& clock, LogOptions options)
    : fs_(fs),
      clock_(clock),
      options_(std::move(options)),
      quarantine_(fs, clock, options_.directory + "/quarantine", options_.quarantine_bytes_max),
      reserve_(fs, options_.directory) {
  take_limits(options_);
}

std::string LogImpl::path_of(std::string_view file_name) const {
  return options_.directory + "/" + std::string(file_name);
}

void LogImpl::report(std::string_view message, std::string_view detail) {
  if (options_.report) options_.report(message, detail);
}

void LogImpl::note_error(std::string_view message, const Error& error) {
  {
    std::lock_guard lock(mutex_);
    ++counters_.write_errors;
    counters_.last_error = error.message;
  }
  report(message, error.message);
}

std::uint64_t LogImpl::folder_bytes_locked() const {
  return segments_bytes_ + left_alone_bytes_ + quarantine_.stats().bytes;
}

void LogImpl::set_allocated_locked(Segment& segment, std::uint64_t bytes) {
  segments_bytes_ += bytes - segment.allocated;
  segment.allocated = bytes;
}

std::deque<Segment>::iterator LogImpl::from_locked(std::uint64_t first_seq) {
  return std::lower_bound(segments_.begin(), segments_.end(), first_seq,
                          [](const Segment& s, std::uint64_t seq) { return s.first_seq < seq; });
}

Segment* LogImpl::find_locked(std::uint64_t first_seq) {
  const auto found = from_locked(first_seq);
  return found != segments_.end() && found->first_seq == first_seq ? &*found : nullptr;
}

LogStats LogImpl::stats() const {
  const Quarantine::Stats quarantined = quarantine_.stats();
  std::lock_guard lock(mutex_);
  LogStats stats = counters_;
  stats.allocated_bytes = folder_bytes_locked();
  stats.segments = segments_.size();
  stats.quarantine_bytes = quarantined.bytes;
  stats.quarantine_entries = quarantined.entries;
  stats.quarantine_evicted_entries = quarantined.evicted;
  stats.next_seq = next_seq_;
  for (const auto& reader : readers_) {
    const ReaderState& state = reader->state_;
    ReaderStats& shown = stats.readers.emplace_back();
    shown.name = state.name;
    shown.pending_items = state.pending_items;
    shown.pending_records = state.pending_records;
    shown.next_seq = state.acknowledged.next_seq;
    shown.recovered_items = state.recovered_items;
    std::copy(std::begin(state.drops), std::end(state.drops), std::begin(shown.drops));
    const auto oldest = std::find_if(segments_.begin(), segments_.end(), [&](const Segment& s) {
      return s.next_seq > state.acknowledged.next_seq &&
             counts_without(s, reader->skipped_in(s)).records > 0;
    });
    if (state.pending_records > 0 && oldest != segments_.end()) {
      shown.oldest_unix_ns = oldest->created_unix_ns;
    }
  }
  return stats;
}

}  // namespace holdfast
