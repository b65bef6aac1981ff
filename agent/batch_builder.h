// One batch on its way out: records gathered from the log, and the body for all of its requests or
// for any run of them.
//
// Records are kept in the form that costs least for the upstream's coding: deflate fragments for
// gzip, so that whole records leave as they lie on disk; raw bytes for the others and for JSON. A
// run that cuts through a record inflates that one alone. Not thread-safe: its drain's alone.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/request_body.h"
#include "buffer/deflate.h"
#include "buffer/record.h"
#include "buffer/result.h"
#include "exporters/exporter.h"

namespace holdfast {

/// Requests of a batch by their number in it, [first, last).
struct RequestRun {
  std::size_t first = 0;
  std::size_t last = 0;
  std::size_t size() const { return last - first; }
};

struct BatchBody {
  std::string_view bytes;  // until the builder is used again
  std::uint64_t items = 0;
  std::uint64_t raw_bytes = 0;
};

/// One request of the batch, on its own.
struct BatchRequest {
  std::uint64_t seq = 0;
  std::uint32_t index = 0;  // within its record
  std::uint32_t items = 0;
  std::string_view raw;  // as the client sent it; until the builder is used again
};

struct BatchLimits {
  std::uint64_t items_max = 0;
  std::uint64_t raw_bytes_max = 0;
  std::size_t requests_max = SIZE_MAX;  // of a run
};

class BatchBuilder {
 public:
  BatchBuilder(Signal signal, const BodyForm& form);
  ~BatchBuilder();
  BatchBuilder(const BatchBuilder&) = delete;
  BatchBuilder& operator=(const BatchBuilder&) = delete;

  /// Copies what it needs of the record. Fails when the bytes do not inflate; the record is then
  /// not in the batch.
  Status add(const Record& record);

  /// Empty again. Keeps its memory while batches stay about as large.
  void clear();

  std::size_t requests() const { return requests_.size(); }
  std::uint64_t items() const { return items_; }
  std::uint64_t raw_bytes() const { return raw_bytes_; }

  /// The batch cut into runs within the limits; a request that is larger than those is a run of its
  /// own.
  std::vector<RequestRun> runs(const BatchLimits& limits) const;

  /// The body of a run, in the coding. Fails when a record must be cut and does not inflate. Ends
  /// the adding.
  Result<BatchBody> body(RequestRun run);

  /// Where request `number` is from; `raw` are the stored bytes of its record when those do not
  /// inflate.
  BatchRequest request(std::size_t number);

 private:
  struct Part {  // a record
    std::uint64_t seq = 0;
    std::size_t offset = 0;  // in bytes_
    std::size_t length = 0;
    std::uint32_t raw_length = 0;
    std::uint32_t raw_crc32 = 0;
    std::size_t first_request = 0;
    std::size_t requests = 0;
  };
  struct Request {
    std::uint32_t part = 0;
    std::uint32_t offset = 0;  // in the raw bytes of its record
    std::uint32_t length = 0;
    std::uint32_t items = 0;
  };

  bool keeps_fragments() const {
    return form_.coding == ContentCoding::gzip && form_.encoding == BodyEncoding::protobuf;
  }
  Status append_fragment(const Record& record);
  Status append_raw(const Record& record);
  void add_requests(const Record& record);
  std::string_view bytes_of(const Part& part) const;
  /// The raw bytes of a record; kept, since a bisection comes back to the same one.
  Result<std::string_view> raw_of(std::size_t part);
  Result<std::string_view> gzip_body(RequestRun run);
  Status join_piece(std::size_t part, RequestRun run, GzipJoiner& joiner);
  Result<std::string_view> coded_body(RequestRun run);

  const BodyForm form_;
  RequestBody body_;
  std::string bytes_;  // gzip: the body of the whole batch as it grows; else: raw bytes
  std::optional<GzipJoiner> joiner_;
  bool finished_ = false;
  std::vector<Part> parts_;
  std::vector<Request> requests_;
  std::uint64_t items_ = 0;
  std::uint64_t raw_bytes_ = 0;

  std::unique_ptr<Deflater> deflater_;  // made when a fragment must be
  std::string run_body_;                // of a run that is not the whole
  std::string inflated_;
  std::optional<std::size_t> inflated_part_;
};

}  // namespace holdfast
