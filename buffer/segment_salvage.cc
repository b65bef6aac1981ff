#include "buffer/segment_salvage.h"

#include <algorithm>
#include <limits>
#include <map>
#include <string>

#include "buffer/clock.h"
#include "buffer/deflate.h"
#include "buffer/little_endian.h"

namespace holdfast {
namespace {

constexpr std::uint64_t kAlignment = 8;
constexpr std::size_t kWindowBytes = 64U << 10;
constexpr std::size_t kNonceAt = 40;
// Checksums over payloads that turn out wrong may take so many times the file's size together: a
// file that is made to look like many records must not hold a start up.
constexpr std::uint64_t kWastedSizesMax = 4;

class Salvage {
 public:
  Salvage(File& file, std::uint64_t size, bool around)
      : file_(file), size_(size), around_(around), waste_left_(kWastedSizesMax * size) {}

  struct Found {
    std::uint64_t records = 0;
    std::uint64_t seq = 0;  // of the first one
  };

  /// Finds records under whatever nonce.
  Status walk(std::optional<std::uint32_t> expected_nonce);
  const std::map<std::uint32_t, Found>& found() const { return found_; }

 private:
  Result<std::string_view> view(std::uint64_t offset, std::size_t length);
  Result<bool> payload_holds(const RecordHeader& header, std::uint64_t offset);
  Result<std::uint64_t> step(std::uint64_t offset, std::string_view bytes,
                             std::optional<std::uint32_t> expected_nonce);

  File& file_;
  const std::uint64_t size_;
  const bool around_;
  std::uint64_t waste_left_;
  std::map<std::uint32_t, Found> found_;
  std::string window_;
  std::uint64_t window_at_ = 0;
};

/// `length` bytes at `offset`, fewer at the end of the file.
Result<std::string_view> Salvage::view(std::uint64_t offset, std::size_t length) {
  if (offset < window_at_ || offset + length > window_at_ + window_.size()) {
    window_.resize(kWindowBytes);
    BadBlocks bad;
    const auto got = around_ ? pread_around(file_, window_.data(), window_.size(), offset, bad)
                             : file_.pread(window_.data(), window_.size(), offset);
    if (!got) return got.error();
    window_.resize(*got);
    window_at_ = offset;
  }
  return std::string_view(window_).substr(static_cast<std::size_t>(offset - window_at_), length);
}

Result<bool> Salvage::payload_holds(const RecordHeader& header, std::uint64_t offset) {
  const std::uint64_t length = std::uint64_t{header.extension_length} + header.stored_length;
  if (offset + length > size_ || length > waste_left_) return false;
  std::uint32_t crc = 0;
  for (std::uint64_t at = 0; at < length;) {
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(length - at, 32U << 10));
    const auto piece = view(offset + at, wanted);
    if (!piece) return piece.error();
    if (piece->empty()) return false;
    crc = crc32c(crc, *piece);
    at += piece->size();
  }
  if (crc == header.payload_crc32c) return true;
  waste_left_ -= length;
  return false;
}

/// What stands at `offset`: how far to go on.
Result<std::uint64_t> Salvage::step(std::uint64_t offset, std::string_view bytes,
                                    std::optional<std::uint32_t> expected_nonce) {
  const std::uint32_t nonce = nonce_of_record_header(bytes);
  const auto header = parse_record_header(bytes, nonce);
  if (!header) return kAlignment;
  const bool is_data = header->type == RecordType::data && header->stored_length > 0;
  // Under a nonce of which something is known a header proves itself. Under any other one it takes
  // its payload to tell it from 64 bytes that merely begin like one.
  bool holds = nonce == expected_nonce;
  if (!holds && is_data) {
    const auto whole = payload_holds(*header, offset + kRecordHeaderBytes);
    if (!whole) return whole.error();
    holds = *whole;
  }
  if (!holds) return kAlignment;
  Found& found = found_[nonce];
  if (is_data && found.records++ == 0) found.seq = header->seq;
  return header->padded_length();
}

Status Salvage::walk(std::optional<std::uint32_t> expected_nonce) {
  static constexpr std::string_view kRecordMagic = "HFRC";
  for (std::uint64_t offset = kSegmentHeaderBytes; offset + kRecordHeaderBytes <= size_;) {
    const auto bytes = view(offset, kRecordHeaderBytes);
    if (!bytes) return bytes.error();
    if (bytes->size() < kRecordHeaderBytes) return {};
    std::uint64_t length = kAlignment;
    if (bytes->starts_with(kRecordMagic)) {
      const std::string copy(*bytes);  // the window moves on to verify a payload
      const auto stepped = step(offset, copy, expected_nonce);
      if (!stepped) return stepped.error();
      length = *stepped;
    }
    offset += length;
  }
  return {};
}

}  // namespace

Result<std::optional<SegmentHeader>> salvage_segment_header(File& file,
                                                            std::string_view first_bytes,
                                                            const SegmentName& name, bool around) {
  const auto size = file.size();
  if (!size) return size.error();
  std::optional<std::uint32_t> written_nonce;
  if (first_bytes.size() >= kNonceAt + 4) {
    written_nonce = load_le<std::uint32_t>(first_bytes.data() + kNonceAt);
  }
  Salvage salvage(file, *size, around);
  if (Status walked = salvage.walk(written_nonce); !walked) return walked.error();
  // The nonce as it is written, if any record speaks for it; else the one that most speak for: a
  // record whose own header is damaged speaks for another one, and so does a payload that holds a
  // record.
  const Salvage::Found* best = nullptr;
  SegmentHeader header;
  for (const auto& [nonce, found] : salvage.found()) {
    if (found.records == 0) continue;
    const bool as_written = written_nonce == nonce;
    if (!as_written && best != nullptr && found.records <= best->records) continue;
    best = &found;
    header.nonce = nonce;
    if (as_written) break;
  }
  if (best == nullptr) return std::optional<SegmentHeader>();
  // The name is believed if so many records may have stood before the first that was found.
  const bool name_fits =
      name.first_seq <= best->seq && best->seq - name.first_seq <= *size / kRecordHeaderBytes;
  header.first_seq = name_fits ? name.first_seq : best->seq;
  if (name.created_unix_ms < std::numeric_limits<std::int64_t>::max() / kNsPerMs) {
    header.created_unix_ns = name.created_unix_ms * kNsPerMs;
  }
  return std::optional<SegmentHeader>(header);
}

}  // namespace holdfast
