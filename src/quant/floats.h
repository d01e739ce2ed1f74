// The plain float types as weight formats: f32, f16, bf16 and f8_e4m3 (one element per "block"). The block scales of
// FP8 checkpoints are the loader's business; here a byte is its own value. Stateless; thread-safe.
//
// Encoding rounds to nearest, ties to even. A finite value beyond the type's range becomes its largest finite value;
// infinities and NaN pass through (f8_e4m3 has no infinity: it becomes +-448).
#pragma once

#include <cstdint>

namespace bantam::quant {

uint8_t f32_to_f8_e4m3(float f);

// See DecodeFn and EncodeFn in format.h.
void decode_f32(const uint8_t* in, float* out, int64_t n);
void encode_f32(const float* values, uint8_t* out, int64_t n);
void decode_f16(const uint8_t* in, float* out, int64_t n);
void encode_f16(const float* values, uint8_t* out, int64_t n);
void decode_bf16(const uint8_t* in, float* out, int64_t n);
void encode_bf16(const float* values, uint8_t* out, int64_t n);
void decode_f8_e4m3(const uint8_t* in, float* out, int64_t n);
void encode_f8_e4m3(const float* values, uint8_t* out, int64_t n);

}  // namespace bantam::quant
