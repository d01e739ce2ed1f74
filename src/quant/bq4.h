// BQ4, our own format: 256 elements in 136 bytes (4.25 bits per weight), little-endian. docs/formats/bq4.md says why.
//   value = (d * scale[j]) * kBq4Values[code], scale -32..31; 8 sub-blocks j of 32 elements
//   scales: two 24-bit numbers; bits 6i .. 6i + 5 of number h are scale 4h + i in two's complement
//   sub-block j is qs[16 j .. 16 j + 15], nibbles as in q4_0.h
// The layout is for packers and codecs; the functions are the format's row in format.h. Stateless; thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace bantam::quant {

struct BlockBQ4 {
  uint16_t d;         // f16
  uint8_t scales[6];  // eight signed six-bit scales
  uint8_t qs[128];    // two codes a byte
};
static_assert(sizeof(BlockBQ4) == 136);

// The code book: least squared error over bell-shaped and heavy-tailed blocks of 32, under two conditions. Its span is
// 63, so that value + kBq4Offset is an unsigned six-bit code: vpmaddubsw may add two products up in int16. Zero is in
// it. It is lopsided: the sign of the scale chooses which side gets the finer steps.
inline constexpr int8_t kBq4Values[16] = {-36, -29, -22, -17, -13, -9, -6, -3, 0, 3, 6, 9, 13, 17, 21, 27};
inline constexpr int kBq4Offset = 36;
// value + kBq4Offset, as byte shuffles look it up.
struct alignas(16) Bq4Codes {
  std::array<uint8_t, 16> bytes;
  const uint8_t* data() const { return bytes.data(); }
};
inline constexpr Bq4Codes kBq4Codes = [] {
  Bq4Codes t{};
  for (std::size_t i = 0; i < 16; ++i) t.bytes[i] = static_cast<uint8_t>(kBq4Values[i] + kBq4Offset);
  return t;
}();

inline void unpack_scales_bq4(const uint8_t packed[6], int8_t scale[8]) {
  for (int j = 0; j < 8; ++j) {
    const uint8_t* p = packed + 3 * (j / 4);
    const int s = (p[0] | p[1] << 8 | p[2] << 16) >> 6 * (j % 4) & 63;
    scale[j] = static_cast<int8_t>(s < 32 ? s : s - 64);
  }
}
inline void pack_scales_bq4(const int8_t scale[8], uint8_t packed[6]) {
  for (int h = 0; h < 2; ++h) {
    int bits = 0;
    for (int i = 0; i < 4; ++i) bits |= (scale[4 * h + i] & 63) << 6 * i;
    for (int i = 0; i < 3; ++i) packed[3 * h + i] = static_cast<uint8_t>(bits >> 8 * i);
  }
}

// See DecodeFn and EncodeFn in format.h. REQUIRES: n a multiple of 256.
void decode_bq4(const uint8_t* blocks, float* out, int64_t n);
void encode_bq4(const float* values, uint8_t* blocks, int64_t n);

}  // namespace bantam::quant
