// Q4_K: 256 elements in 144 bytes (4.5 bits per weight), little-endian as in GGUF.
//   value = (d * scale[j]) * code - dmin * min[j], code 0..15, scale and min 0..63; 8 sub-blocks j of 32 elements
//   sub-block pair p = j / 2 shares qs[32 p .. 32 p + 31]: even j the low nibbles, odd j the high nibbles
// The layout is for packers and codecs; the functions are the format's row in format.h. Stateless; thread-safe.
#pragma once

#include <cstdint>

namespace bantam::quant {

struct BlockQ4_K {
  uint16_t d, dmin;    // f16
  uint8_t scales[12];  // eight 6-bit scales and eight 6-bit minima, see unpack_scales_k4
  uint8_t qs[128];     // two codes a byte
};
static_assert(sizeof(BlockQ4_K) == 144);

// The eight scales (A..H) and minima (a..h) of q4_k and q5_k, six bits each:
//   byte 0..3:   EEAAAAAA FFBBBBBB GGCCCCCC HHDDDDDD   scales 0..3, above them the top bits of scales 4..7
//   byte 4..7:   eeaaaaaa ffbbbbbb ggcccccc hhdddddd   minima likewise
//   byte 8..11:  eeeeEEEE ffffFFFF ggggGGGG hhhhHHHH   low four bits of scales and minima 4..7
inline void unpack_scales_k4(const uint8_t packed[12], uint8_t scale[8], uint8_t min[8]) {
  for (int j = 0; j < 4; ++j) {
    scale[j] = packed[j] & 63;
    min[j] = packed[4 + j] & 63;
    scale[4 + j] = static_cast<uint8_t>((packed[8 + j] & 15) | (packed[j] >> 6) << 4);
    min[4 + j] = static_cast<uint8_t>(packed[8 + j] >> 4 | (packed[4 + j] >> 6) << 4);
  }
}
inline void pack_scales_k4(const uint8_t scale[8], const uint8_t min[8], uint8_t packed[12]) {
  for (int j = 0; j < 4; ++j) {
    packed[j] = static_cast<uint8_t>(scale[j] | scale[4 + j] >> 4 << 6);
    packed[4 + j] = static_cast<uint8_t>(min[j] | min[4 + j] >> 4 << 6);
    packed[8 + j] = static_cast<uint8_t>((scale[4 + j] & 15) | (min[4 + j] & 15) << 4);
  }
}

// See DecodeFn and EncodeFn in format.h. REQUIRES: n a multiple of 256.
void decode_q4_k(const uint8_t* blocks, float* out, int64_t n);
void encode_q4_k(const float* values, uint8_t* blocks, int64_t n);

}  // namespace bantam::quant
