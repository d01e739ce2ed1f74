// The table of weight formats; see format.h.
#include "quant/format.h"

#include "quant/bq4.h"
#include "quant/floats.h"
#include "quant/iq4_nl.h"
#include "quant/iq4_xs.h"
#include "quant/q2_k.h"
#include "quant/q3_k.h"
#include "quant/q4_0.h"
#include "quant/q4_1.h"
#include "quant/q4_k.h"
#include "quant/q5_0.h"
#include "quant/q5_1.h"
#include "quant/q5_k.h"
#include "quant/q6_k.h"
#include "quant/q8_0.h"

namespace bantam::quant {
namespace {

constexpr Format kFormats[] = {
    {DType::kF32, 0, decode_f32, encode_f32},           {DType::kF16, 1, decode_f16, encode_f16},
    {DType::kBF16, 30, decode_bf16, encode_bf16},       {DType::kF8E4M3, -1, decode_f8_e4m3, encode_f8_e4m3},
    {DType::kQ8_0, 8, decode_q8_0, encode_q8_0},        {DType::kQ4_0, 2, decode_q4_0, encode_q4_0},
    {DType::kQ4_1, 3, decode_q4_1, encode_q4_1},        {DType::kQ5_0, 6, decode_q5_0, encode_q5_0},
    {DType::kQ5_1, 7, decode_q5_1, encode_q5_1},        {DType::kQ2_K, 10, decode_q2_k, encode_q2_k},
    {DType::kQ3_K, 11, decode_q3_k, encode_q3_k},       {DType::kQ4_K, 12, decode_q4_k, encode_q4_k},
    {DType::kQ5_K, 13, decode_q5_k, encode_q5_k},       {DType::kQ6_K, 14, decode_q6_k, encode_q6_k},
    {DType::kIQ4_NL, 20, decode_iq4_nl, encode_iq4_nl}, {DType::kIQ4_XS, 23, decode_iq4_xs, encode_iq4_xs},
    {DType::kBQ4, 0x62710004, decode_bq4, encode_bq4},
};
static_assert(sizeof(BlockQ8_0) == info(DType::kQ8_0).block_bytes &&
              sizeof(BlockQ4_0) == info(DType::kQ4_0).block_bytes);
static_assert(sizeof(BlockQ4_1) == info(DType::kQ4_1).block_bytes &&
              sizeof(BlockQ5_0) == info(DType::kQ5_0).block_bytes);
static_assert(sizeof(BlockQ5_1) == info(DType::kQ5_1).block_bytes &&
              sizeof(BlockQ2_K) == info(DType::kQ2_K).block_bytes);
static_assert(sizeof(BlockQ3_K) == info(DType::kQ3_K).block_bytes &&
              sizeof(BlockQ4_K) == info(DType::kQ4_K).block_bytes);
static_assert(sizeof(BlockQ5_K) == info(DType::kQ5_K).block_bytes &&
              sizeof(BlockQ6_K) == info(DType::kQ6_K).block_bytes);
static_assert(sizeof(BlockIQ4_NL) == info(DType::kIQ4_NL).block_bytes);
static_assert(sizeof(BlockIQ4_XS) == info(DType::kIQ4_XS).block_bytes);
static_assert(sizeof(BlockBQ4) == info(DType::kBQ4).block_bytes);

}  // namespace

const Format* find_format(DType dtype) {
  for (const Format& f : kFormats) {
    if (f.dtype == dtype) return &f;
  }
  return nullptr;
}

const Format* find_format_by_gguf(int gguf_type) {
  if (gguf_type < 0) return nullptr;
  for (const Format& f : kFormats) {
    if (f.gguf_type == gguf_type) return &f;
  }
  return nullptr;
}

}  // namespace bantam::quant
