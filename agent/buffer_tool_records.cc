#include "agent/buffer_tool_records.h"

#include <algorithm>
#include <cerrno>
#include <ostream>
#include <vector>

#include "agent/buffer_tool_files.h"
#include "agent/request_boundaries.h"
#include "buffer/deflate.h"

namespace holdfast {
namespace {

using Step = SegmentReader::Step;

class RequestReading {
 public:
  RequestReading(const RecordFilter& filter, ToolContext& context, ProgressBar& progress,
                 const std::function<bool(const StoredRequest&)>& take)
      : filter_(filter), context_(context), progress_(progress), take_(take) {}

  void read_signal(const std::string& directory, Signal signal);
  const ReadTotals& totals() const { return totals_; }

 private:
  void read_segment(const std::string& folder, const std::string& file);
  bool wants(const RecordHeader& header) const;
  void give(const Step& step, const std::string& arena);
  void complain(const std::string& what);

  const RecordFilter& filter_;
  ToolContext& context_;
  ProgressBar& progress_;
  const std::function<bool(const StoredRequest&)>& take_;
  ReadTotals totals_;
  Signal signal_ = Signal::traces;
  std::string path_;
  std::uint64_t from_seq_ = 0;
  SkipRules rules_;  // of the exporter whose records are wanted
  std::string raw_;
};

void RequestReading::read_signal(const std::string& directory, Signal signal) {
  const std::string folder = folder_of(directory, signal);
  signal_ = signal;
  from_seq_ = filter_.from_seq;
  rules_.clear();
  if (!filter_.pending_exporter.empty()) {
    for (const StoredCursor& cursor : read_cursors(folder)) {
      if (cursor.exporter == filter_.pending_exporter) {
        from_seq_ = std::max(from_seq_, cursor.next_seq);
        rules_ = cursor.rules;
      }
    }
  }
  const std::vector<std::string> files = segment_files(folder);
  for (std::size_t i = 0; i < files.size() && !totals_.stopped; ++i) {
    const std::uint64_t bytes = file_bytes(folder + "/" + files[i]);
    const bool last = i + 1 == files.size();
    const bool before = !last && parse_segment_name(files[i + 1])->first_seq <= from_seq_;
    if (before || parse_segment_name(files[i])->first_seq > filter_.to_seq) {
      progress_.advance(bytes);
    } else {
      read_segment(folder, files[i]);
    }
  }
}

void RequestReading::read_segment(const std::string& folder, const std::string& file) {
  path_ = folder + "/" + file;
  auto steps = SegmentSteps::open(read_only_filesystem(), folder, file);
  if (!steps) {
    if (steps.error().code != ENOENT) complain(steps.error().message);
    return;
  }
  while (!totals_.stopped) {
    if (context_.stop.stop_requested()) {
      totals_.stopped = true;
      return;
    }
    const Step step = steps->next();
    progress_.advance(step.length);
    const std::string place = path_ + " at " + std::to_string(step.offset) + ": ";
    switch (step.kind) {
      case Step::Kind::end:
        return;
      case Step::Kind::io_error:
        complain(step.error.message);
        return;
      case Step::Kind::seal:
        break;
      case Step::Kind::record:
        if (wants(step.header)) give(step, steps->arena());
        break;
      case Step::Kind::bad_record:
        if (wants(step.header)) complain(place + "a damaged record was left out");
        break;
      case Step::Kind::damage:
        if (!step.tail) {
          complain(place + std::to_string(step.length) + " damaged bytes were left out");
        }
        break;
    }
  }
}

bool RequestReading::wants(const RecordHeader& header) const {
  return header.seq >= from_seq_ && header.seq <= filter_.to_seq &&
         header.received_unix_ns >= filter_.since_unix_ns &&
         header.received_unix_ns < filter_.until_unix_ns &&
         !skips(rules_, header.seq, header.source);
}

void RequestReading::give(const Step& step, const std::string& arena) {
  if (!content_is_whole(step, arena)) {
    complain(path_ + ": the record " + std::to_string(step.header.seq) +
             " does not inflate and was left out");
    return;
  }
  const Record record = make_record(
      step.header, std::string_view(arena).substr(step.payload_at, step.payload_length));
  raw_.clear();
  std::string_view raw = record.stored;
  if (record.codec == Codec::deflate_fragment) {
    if (!inflate_fragment(record.stored, record.raw_length, raw_)) return;
    raw = raw_;
  }
  std::vector<RequestBoundary> requests{{0, record.raw_length, record.item_count}};
  if (auto boundaries = request_boundaries(record)) requests = std::move(*boundaries);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    if (totals_.requests >= filter_.requests_max) {
      totals_.stopped = true;
      return;
    }
    StoredRequest request;
    request.signal = signal_;
    request.seq = record.seq;
    request.index = static_cast<std::uint32_t>(i);
    request.items = requests[i].items;
    request.received_unix_ns = record.received_unix_ns;
    request.raw = raw.substr(requests[i].offset, requests[i].length);
    if (!take_(request)) {
      totals_.stopped = true;
      return;
    }
    ++totals_.requests;
    totals_.items += request.items;
  }
}

void RequestReading::complain(const std::string& what) {
  progress_.clear();
  context_.err << what << "\n";
  ++totals_.damaged_places;
}

}  // namespace

ReadTotals read_requests(const std::string& directory, const RecordFilter& filter,
                         ToolContext& context, ProgressBar& progress,
                         const std::function<bool(const StoredRequest&)>& take) {
  RequestReading reading(filter, context, progress, take);
  for (const Signal signal : signals_of(filter.signal)) {
    if (!reading.totals().stopped) reading.read_signal(directory, signal);
  }
  return reading.totals();
}

std::uint64_t segment_bytes(const std::string& directory, std::optional<Signal> signal) {
  std::uint64_t bytes = 0;
  for (const Signal each : signals_of(signal)) {
    const std::string folder = folder_of(directory, each);
    for (const std::string& file : segment_files(folder)) bytes += file_bytes(folder + "/" + file);
  }
  return bytes;
}

}  // namespace holdfast
