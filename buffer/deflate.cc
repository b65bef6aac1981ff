#include "buffer/deflate.h"

#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#include <zlib.h>

#include <array>
#include <vector>

namespace holdfast {
namespace {

// Level 1 holds 34.6 bytes of a 339-byte span where level 0 holds 42, for less work than level 2.
constexpr std::uint32_t kLevel = 1;
constexpr std::size_t kStoredBlockOverhead = 5;
constexpr std::size_t kStoredBlockBytes = 65'535;

std::uint8_t* bytes_of(std::string_view text) {
  return const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(text.data()));
}

}  // namespace

std::uint32_t crc32_gzip(std::uint32_t crc, std::string_view bytes) {
  return crc32_gzip_refl(crc, bytes_of(bytes), bytes.size());
}

std::uint32_t crc32_combine_gzip(std::uint32_t crc_a, std::uint32_t crc_b, std::uint64_t length_b) {
  return static_cast<std::uint32_t>(crc32_combine(crc_a, crc_b, static_cast<z_off_t>(length_b)));
}

struct Deflater::Impl {
  isal_zstream stream{};
  std::vector<std::uint8_t> level_buffer = std::vector<std::uint8_t>(ISAL_DEF_LVL1_DEFAULT);
};

Deflater::Deflater() : impl_(std::make_unique<Impl>()) {}
Deflater::~Deflater() = default;

Status Deflater::fragment(std::string_view raw, std::string& out) {
  const std::size_t before = out.size();
  // Worst case: stored blocks, the empty block of the flush and a few bytes to align.
  std::size_t bound = raw.size() + kStoredBlockOverhead * (raw.size() / kStoredBlockBytes + 1) + 64;
  isal_zstream& stream = impl_->stream;
  for (int attempt = 0; attempt < 2; ++attempt, bound += raw.size() / 4 + 4096) {
    out.resize(before + bound);
    isal_deflate_stateless_init(&stream);
    stream.level = kLevel;
    stream.level_buf = impl_->level_buffer.data();
    stream.level_buf_size = static_cast<std::uint32_t>(impl_->level_buffer.size());
    stream.gzip_flag = IGZIP_DEFLATE;
    stream.flush = FULL_FLUSH;
    stream.end_of_stream = 0;
    stream.next_in = bytes_of(raw);
    stream.avail_in = static_cast<std::uint32_t>(raw.size());
    stream.next_out = reinterpret_cast<std::uint8_t*>(out.data() + before);
    stream.avail_out = static_cast<std::uint32_t>(bound);
    if (isal_deflate_stateless(&stream) == COMP_OK && stream.avail_in == 0) {
      out.resize(before + stream.total_out);
      return {};
    }
  }
  out.resize(before);
  return Error{0, "deflate failed"};
}

Status inflate_fragment(std::string_view fragment, std::uint32_t raw_length, std::string& out) {
  const std::size_t before = out.size();
  // Room to spare, so that one byte too many shows, and the library has no need of a window of its
  // own.
  constexpr std::size_t kSlack = 512;
  out.resize(before + raw_length + kSlack);
  auto state = std::make_unique<inflate_state>();  // 80 kB: too much for a small stack
  isal_inflate_init(state.get());
  state->next_in = bytes_of(fragment);
  state->avail_in = static_cast<std::uint32_t>(fragment.size());
  state->next_out = reinterpret_cast<std::uint8_t*>(out.data() + before);
  state->avail_out = static_cast<std::uint32_t>(raw_length + kSlack);
  const int outcome = isal_inflate(state.get());
  // Between two blocks: before a header, or in one of which not a bit has come.
  const bool between_blocks =
      state->block_state == ISAL_BLOCK_NEW_HDR || state->block_state == ISAL_BLOCK_HDR;
  const bool whole = outcome == ISAL_DECOMP_OK && state->total_out == raw_length &&
                     state->avail_in == 0 && between_blocks && state->read_in_length == 0;
  out.resize(whole ? before + raw_length : before);
  if (whole) return {};
  return Error{0, "the fragment does not inflate to its length"};
}

GzipJoiner::GzipJoiner(std::string& out) : out_(out) {
  // RFC 1952: magic, deflate, no flags, no time, fastest, Unix.
  static constexpr std::array<char, 10> kHeader{'\x1f', '\x8b', 8, 0, 0, 0, 0, 0, 4, 3};
  out_.append(kHeader.data(), kHeader.size());
}

void GzipJoiner::add(std::string_view fragment, std::uint32_t raw_crc32, std::uint32_t raw_length) {
  out_.append(fragment);
  crc_ = crc32_combine_gzip(crc_, raw_crc32, raw_length);
  length_ += raw_length;
}

void GzipJoiner::finish() {
  out_.append("\x03\x00", 2);  // an empty final block with fixed codes
  for (int shift = 0; shift < 32; shift += 8) out_.push_back(static_cast<char>(crc_ >> shift));
  for (int shift = 0; shift < 32; shift += 8) out_.push_back(static_cast<char>(length_ >> shift));
}

}  // namespace holdfast
