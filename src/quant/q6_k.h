// Q6_K: 256 elements in 210 bytes (6.5625 bits per weight), little-endian as in GGUF.
//   value = (d * scales[j]) * (code - 32), code 0..63; 16 sub-blocks j of 16 elements
//   element e = 128 h + 32 s + l (h 0..1, s 0..3, l 0..31):
//   low four bits:  ql[64 h + 32 (s & 1) + l], low nibble for s < 2, high nibble for s >= 2
//   top two bits:   bits 2s, 2s+1 of qh[32 h + l]
// The layout is for packers and codecs; the functions are the format's row in format.h. Stateless; thread-safe.
#pragma once

#include <cstdint>

namespace bantam::quant {

struct BlockQ6_K {
  uint8_t ql[128];    // low four bits
  uint8_t qh[64];     // top two bits
  int8_t scales[16];  // one per sub-block
  uint16_t d;         // f16
};
static_assert(sizeof(BlockQ6_K) == 210);

// See DecodeFn and EncodeFn in format.h. REQUIRES: n a multiple of 256.
void decode_q6_k(const uint8_t* blocks, float* out, int64_t n);
void encode_q6_k(const float* values, uint8_t* blocks, int64_t n);

}  // namespace bantam::quant
