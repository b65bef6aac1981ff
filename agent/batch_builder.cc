#include "agent/batch_builder.h"

#include <algorithm>

#include "agent/request_boundaries.h"

namespace holdfast {
namespace {

constexpr std::size_t kBytesAlwaysKept = 256U << 10;

/// Gives memory back after a batch that was much larger than the one just sent.
void reset(std::string& buffer) {
  if (buffer.capacity() > kBytesAlwaysKept && buffer.size() < buffer.capacity() / 4) {
    buffer.shrink_to_fit();
  }
  buffer.clear();
}

}  // namespace

BatchBuilder::BatchBuilder(Signal signal, const BodyForm& form)
    : form_(form), body_(signal, form) {}
BatchBuilder::~BatchBuilder() = default;

void BatchBuilder::clear() {
  joiner_.reset();
  finished_ = false;
  reset(bytes_);
  reset(run_body_);
  reset(inflated_);
  inflated_part_.reset();
  parts_.clear();
  requests_.clear();
  items_ = 0;
  raw_bytes_ = 0;
}

Status BatchBuilder::add(const Record& record) {
  if (keeps_fragments() && !joiner_) joiner_.emplace(bytes_);
  const std::size_t offset = bytes_.size();
  if (Status added = keeps_fragments() ? append_fragment(record) : append_raw(record); !added) {
    return added;
  }
  Part part;
  part.seq = record.seq;
  part.offset = offset;
  part.length = bytes_.size() - offset;
  part.raw_length = record.raw_length;
  part.raw_crc32 = record.raw_crc32;
  part.first_request = requests_.size();
  add_requests(record);
  part.requests = requests_.size() - part.first_request;
  parts_.push_back(part);
  items_ += record.item_count;
  raw_bytes_ += record.raw_length;
  return {};
}

Status BatchBuilder::append_fragment(const Record& record) {
  if (record.codec == Codec::deflate_fragment) {
    joiner_->add(record.stored, record.raw_crc32, record.raw_length);
    return {};
  }
  if (deflater_ == nullptr) deflater_ = std::make_unique<Deflater>();
  run_body_.clear();
  if (Status made = deflater_->fragment(record.stored, run_body_); !made) return made;
  joiner_->add(run_body_, record.raw_crc32, record.raw_length);
  return {};
}

Status BatchBuilder::append_raw(const Record& record) {
  if (record.codec == Codec::deflate_fragment) {
    return inflate_fragment(record.stored, record.raw_length, bytes_);
  }
  bytes_.append(record.stored);
  return {};
}

void BatchBuilder::add_requests(const Record& record) {
  const auto part = static_cast<std::uint32_t>(parts_.size());
  if (record.request_count > 1) {
    if (const auto boundaries = request_boundaries(record)) {
      for (const RequestBoundary& boundary : *boundaries) {
        requests_.push_back({part, boundary.offset, boundary.length, boundary.items});
      }
      return;
    }
  }
  // One request, or a record that cannot be told apart: it stands or falls as a whole.
  requests_.push_back({part, 0, record.raw_length, record.item_count});
}

std::vector<RequestRun> BatchBuilder::runs(const BatchLimits& limits) const {
  std::vector<RequestRun> runs;
  if (items_ <= limits.items_max && raw_bytes_ <= limits.raw_bytes_max &&
      requests_.size() <= limits.requests_max) {
    if (!requests_.empty()) runs.push_back({0, requests_.size()});
    return runs;
  }
  std::uint64_t items = 0;
  std::uint64_t raw_bytes = 0;
  for (std::size_t number = 0; number < requests_.size(); ++number) {
    const Request& request = requests_[number];
    const bool over = items + request.items > limits.items_max ||
                      raw_bytes + request.length > limits.raw_bytes_max;
    if (runs.empty() || over || runs.back().size() >= limits.requests_max) {
      runs.push_back({number, number});
      items = raw_bytes = 0;
    }
    runs.back().last = number + 1;
    items += request.items;
    raw_bytes += request.length;
  }
  return runs;
}

Result<BatchBody> BatchBuilder::body(RequestRun run) {
  BatchBody body;
  for (std::size_t number = run.first; number < run.last; ++number) {
    body.items += requests_[number].items;
    body.raw_bytes += requests_[number].length;
  }
  const auto bytes = keeps_fragments() ? gzip_body(run) : coded_body(run);
  if (!bytes) return bytes.error();
  body.bytes = *bytes;
  return body;
}

Result<std::string_view> BatchBuilder::gzip_body(RequestRun run) {
  if (run.size() == requests_.size()) {
    if (!finished_) joiner_->finish();
    finished_ = true;
    return std::string_view(bytes_);
  }
  run_body_.clear();
  GzipJoiner joiner(run_body_);
  for (std::size_t at = requests_[run.first].part; at <= requests_[run.last - 1].part; ++at) {
    const Part& part = parts_[at];
    const RequestRun piece{std::max(run.first, part.first_request),
                           std::min(run.last, part.first_request + part.requests)};
    if (piece.size() == part.requests) {
      joiner.add(bytes_of(part), part.raw_crc32, part.raw_length);
    } else if (Status joined = join_piece(at, piece, joiner); !joined) {
      return joined.error();
    }
  }
  joiner.finish();
  return std::string_view(run_body_);
}

Status BatchBuilder::join_piece(std::size_t part, RequestRun run, GzipJoiner& joiner) {
  const auto raw = raw_of(part);
  if (!raw) return raw.error();
  const Request& last = requests_[run.last - 1];
  const std::uint32_t begin = requests_[run.first].offset;
  const std::string_view piece = raw->substr(begin, last.offset + last.length - begin);
  if (deflater_ == nullptr) deflater_ = std::make_unique<Deflater>();
  std::string fragment;
  if (Status made = deflater_->fragment(piece, fragment); !made) return made;
  joiner.add(fragment, crc32_gzip(0, piece), static_cast<std::uint32_t>(piece.size()));
  return {};
}

Result<std::string_view> BatchBuilder::coded_body(RequestRun run) {
  const Request& first = requests_[run.first];
  const Request& last = requests_[run.last - 1];
  const std::size_t begin = parts_[first.part].offset + first.offset;
  const std::size_t end = parts_[last.part].offset + last.offset + last.length;
  const std::string_view raw = std::string_view(bytes_).substr(begin, end - begin);
  return body_.make(raw);
}

BatchRequest BatchBuilder::request(std::size_t number) {
  const Request& request = requests_[number];
  const Part& part = parts_[request.part];
  BatchRequest found;
  found.seq = part.seq;
  found.index = static_cast<std::uint32_t>(number - part.first_request);
  found.items = request.items;
  const auto raw = raw_of(request.part);
  found.raw = raw ? raw->substr(request.offset, request.length) : bytes_of(part);
  return found;
}

std::string_view BatchBuilder::bytes_of(const Part& part) const {
  return std::string_view(bytes_).substr(part.offset, part.length);
}

Result<std::string_view> BatchBuilder::raw_of(std::size_t part) {
  if (!keeps_fragments()) return bytes_of(parts_[part]);
  if (inflated_part_ != part) {
    inflated_part_.reset();
    inflated_.clear();
    const Status inflated =
        inflate_fragment(bytes_of(parts_[part]), parts_[part].raw_length, inflated_);
    if (!inflated) return inflated.error();
    inflated_part_ = part;
  }
  return std::string_view(inflated_);
}

}  // namespace holdfast
