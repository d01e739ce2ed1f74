// The weight formats: one traits row per DType that a model file may hold, with scalar codecs. quant/<format>.cpp
// owns each layout. Pure functions; thread-safe. Called by formats (convert), kernels/ref and the packers.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace bantam::quant {

// blocks -> n floats. REQUIRES: n a multiple of block_elems. Bit for bit what the `gguf` Python package computes for
// the types it has.
using DecodeFn = void (*)(const uint8_t* blocks, float* out, int64_t n);
// n floats -> blocks, by least squared error; importance weights are not used. The same bytes on every CPU. Block
// formats take NaN as 0 and move values out of reach, infinities among them, to the end of their range; plain floats
// are described in floats.h. Every format has one. REQUIRES: n a multiple of block_elems.
using EncodeFn = void (*)(const float* values, uint8_t* blocks, int64_t n);

struct Format {
  DType dtype;
  int gguf_type;  // ggml_type number in GGUF files, -1 when GGUF has none
  DecodeFn decode;
  EncodeFn encode;
};

// The row of a weight type (f32 f16 bf16 f8_e4m3 and every quant), or nullptr for index types.
const Format* find_format(DType dtype);
const Format* find_format_by_gguf(int gguf_type);

}  // namespace bantam::quant
