// Q5_K: 256 elements in 176 bytes (5.5 bits per weight), little-endian as in GGUF.
//   value = (d * scale[j]) * code - dmin * min[j], code 0..31; 8 sub-blocks j of 32 elements
//   scales (unpack_scales_k4) and qs as in q4_k.h; the fifth bit of element l of sub-block j is bit j of qh[l]
// The layout is for packers and codecs; the functions are the format's row in format.h. Stateless; thread-safe.
#pragma once

#include <cstdint>

namespace bantam::quant {

struct BlockQ5_K {
  uint16_t d, dmin;    // f16
  uint8_t scales[12];  // as q4_k
  uint8_t qh[32];      // fifth bits
  uint8_t qs[128];     // low four bits, two codes a byte
};
static_assert(sizeof(BlockQ5_K) == 176);

// See DecodeFn and EncodeFn in format.h. REQUIRES: n a multiple of 256.
void decode_q5_k(const uint8_t* blocks, float* out, int64_t n);
void encode_q5_k(const float* values, uint8_t* blocks, int64_t n);

}  // namespace bantam::quant
