#include "agent/content_coding.h"

#include <isa-l/igzip_lib.h>
#include <lz4frame.h>
#include <zstd.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>

#include "agent/content_coding_output.h"
#include "agent/content_coding_snappy.h"

namespace holdfast {
namespace {

// A decoder's context lives for one call: between requests the agent holds none of their memory.
template <typename T, auto Free>
struct FreeWith {
  void operator()(T* context) const { Free(context); }
};
using ZstdDecoder = std::unique_ptr<ZSTD_DCtx, FreeWith<ZSTD_DCtx, ZSTD_freeDCtx>>;
using Lz4Decoder = std::unique_ptr<LZ4F_dctx, FreeWith<LZ4F_dctx, LZ4F_freeDecompressionContext>>;

const std::uint8_t* bytes_of(std::string_view text) {
  return reinterpret_cast<const std::uint8_t*>(text.data());
}

/// One gzip member or zlib stream from the front of `body`, which it shortens.
DecodeError inflate_one(inflate_state& state, int wrapper, std::string_view& body,
                        BoundedOutput& output) {
  isal_inflate_reset(&state);
  state.crc_flag = static_cast<std::uint32_t>(wrapper);
  state.next_in = const_cast<std::uint8_t*>(bytes_of(body));  // ISA-L only reads it
  state.avail_in = static_cast<std::uint32_t>(body.size());
  while (state.block_state != ISAL_BLOCK_FINISH) {
    const std::span<char> room = output.room();
    const auto given = static_cast<std::uint32_t>(
        std::min<std::size_t>(room.size(), std::numeric_limits<std::int32_t>::max()));
    const std::uint32_t in_before = state.avail_in;
    const auto before = state.block_state;
    state.next_out = reinterpret_cast<std::uint8_t*>(room.data());
    state.avail_out = given;
    if (isal_inflate(&state) != ISAL_DECOMP_OK) return DecodeError::corrupt;
    const std::uint32_t written = given - state.avail_out;
    if (!output.wrote(written)) return DecodeError::too_large;
    const bool moved = written != 0 || state.avail_in != in_before || state.block_state != before;
    if (!moved) return DecodeError::corrupt;  // cut short
  }
  // ISA-L reads ahead by whole words: the bytes that it still holds follow the stream.
  const std::size_t ahead = static_cast<std::size_t>(std::max(state.read_in_length, 0)) / 8;
  body.remove_prefix(body.size() - state.avail_in - ahead);
  return DecodeError::none;
}

DecodeError decode_gzip(std::string_view body, BoundedOutput& output) {
  if (body.size() > std::numeric_limits<std::uint32_t>::max()) return DecodeError::too_large;
  auto state = std::make_unique_for_overwrite<inflate_state>();
  isal_inflate_init(state.get());
  do {
    const DecodeError error = inflate_one(*state, ISAL_GZIP, body, output);
    if (error != DecodeError::none) return error;
  } while (!body.empty());
  return DecodeError::none;
}

DecodeError decode_zlib(std::string_view body, BoundedOutput& output) {
  if (body.size() > std::numeric_limits<std::uint32_t>::max()) return DecodeError::too_large;
  auto state = std::make_unique_for_overwrite<inflate_state>();
  isal_inflate_init(state.get());
  const DecodeError error = inflate_one(*state, ISAL_ZLIB, body, output);
  if (error != DecodeError::none) return error;
  return body.empty() ? DecodeError::none : DecodeError::corrupt;
}

DecodeError decode_zstd(std::string_view body, BoundedOutput& output) {
  const ZstdDecoder decoder(ZSTD_createDCtx());
  if (!decoder) return DecodeError::too_large;
  ZSTD_inBuffer in{body.data(), body.size(), 0};
  std::size_t expected = 0;  // what is still missing of the frame; 0 between frames
  for (;;) {
    const std::span<char> room = output.room();
    ZSTD_outBuffer out{room.data(), room.size(), 0};
    const std::size_t in_before = in.pos;
    if (in.pos == in.size && expected == 0) return DecodeError::none;
    expected = ZSTD_decompressStream(decoder.get(), &out, &in);
    if (ZSTD_isError(expected) != 0) return DecodeError::corrupt;
    if (!output.wrote(out.pos)) return DecodeError::too_large;
    if (expected != 0 && out.pos == 0 && in.pos == in_before) return DecodeError::corrupt;
  }
}

DecodeError decode_lz4(std::string_view body, BoundedOutput& output) {
  LZ4F_dctx* created = nullptr;
  if (LZ4F_isError(LZ4F_createDecompressionContext(&created, LZ4F_VERSION)) != 0) {
    return DecodeError::too_large;
  }
  const Lz4Decoder decoder(created);
  std::size_t expected = 0;  // what is still missing of the frame; 0 between frames
  for (;;) {
    if (body.empty() && expected == 0) return DecodeError::none;
    const std::span<char> room = output.room();
    std::size_t written = room.size();
    std::size_t read = body.size();
    expected = LZ4F_decompress(decoder.get(), room.data(), &written, body.data(), &read, nullptr);
    if (LZ4F_isError(expected) != 0) return DecodeError::corrupt;
    body.remove_prefix(read);
    if (!output.wrote(written)) return DecodeError::too_large;
    if (expected != 0 && written == 0 && read == 0) return DecodeError::corrupt;
  }
}

DecodeError decode_snappy(std::string_view body, BoundedOutput& output) {
  if (is_snappy_framed(body)) return decode_snappy_framed(body, output);
  return decode_snappy_block(body, output);
}

}  // namespace

DecodeError decode_content(std::string_view coding, std::string_view body, std::size_t limit_bytes,
                           std::string& out) {
  if (coding.empty() || coding == "identity") {
    if (body.size() > limit_bytes) return DecodeError::too_large;
    out.append(body);
    return DecodeError::none;
  }
  BoundedOutput output(out, limit_bytes, body.size());
  if (coding == "gzip") return decode_gzip(body, output);
  if (coding == "zlib" || coding == "deflate") return decode_zlib(body, output);
  if (coding == "zstd") return decode_zstd(body, output);
  if (coding == "snappy") return decode_snappy(body, output);
  if (coding == "x-snappy-framed") return decode_snappy_framed(body, output);
  if (coding == "lz4") return decode_lz4(body, output);
  return DecodeError::unsupported;
}

}  // namespace holdfast
