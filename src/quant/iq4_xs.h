// IQ4_XS: 256 elements in 136 bytes (4.25 bits per weight), little-endian as in GGUF.
//   value = (d * (scale[j] - 32)) * kIq4Values[code], scale 0..63; 8 sub-blocks j of 32 elements
//   sub-block j is qs[16 j .. 16 j + 15], nibbles as in q4_0.h
// The layout is for packers and codecs; the functions are the format's row in format.h. Stateless; thread-safe.
#pragma once

#include <cstdint>

namespace bantam::quant {

struct BlockIQ4_XS {
  uint16_t d;           // f16
  uint16_t scales_h;    // bits 2j, 2j+1: top two bits of scale j
  uint8_t scales_l[4];  // low nibble of byte j / 2: low bits of even j; high nibble: of odd j
  uint8_t qs[128];      // two codes a byte
};
static_assert(sizeof(BlockIQ4_XS) == 136);

// The eight 6-bit scales, 32 taken off.
inline void unpack_scales_iq4_xs(uint16_t high, const uint8_t low[4], int8_t scale[8]) {
  for (int j = 0; j < 8; ++j) {
    const int s = (low[j / 2] >> (j % 2 * 4) & 15) | (high >> (2 * j) & 3) << 4;
    scale[j] = static_cast<int8_t>(s - 32);
  }
}
inline void pack_scales_iq4_xs(const int8_t scale[8], uint16_t* high, uint8_t low[4]) {
  *high = 0;
  for (int i = 0; i < 4; ++i) low[i] = 0;
  for (int j = 0; j < 8; ++j) {
    const int s = scale[j] + 32;
    *high = static_cast<uint16_t>(*high | s >> 4 << (2 * j));
    low[j / 2] = static_cast<uint8_t>(low[j / 2] | (s & 15) << (j % 2 * 4));
  }
}

// See DecodeFn and EncodeFn in format.h. REQUIRES: n a multiple of 256.
void decode_iq4_xs(const uint8_t* blocks, float* out, int64_t n);
void encode_iq4_xs(const float* values, uint8_t* blocks, int64_t n);

}  // namespace bantam::quant
