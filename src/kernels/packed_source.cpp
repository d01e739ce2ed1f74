// The source side of packing: takes one block of a file's layout apart into codes in k order, f16 scales and
// sub-scales. Decoding to floats is quant's; here nothing is ever rounded. Pure; thread-safe.
#include <cstring>

#include "kernels/packed_format.h"
#include "quant/bq4.h"
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

namespace bantam::kernels {
namespace {

// 16 bytes of nibbles: the low ones are k 0..15, the high ones k 16..31.
void split_nibbles(const uint8_t* qs, uint8_t* codes) {
  for (int i = 0; i < 16; ++i) {
    codes[i] = qs[i] & 15;
    codes[16 + i] = qs[i] >> 4;
  }
}

// Four chunks of 32 bytes: the low nibbles are one run of 32, the high ones the next.
void split_nibble_runs(const uint8_t* qs, uint8_t* codes) {
  for (int chunk = 0; chunk < 4; ++chunk) {
    for (int i = 0; i < 32; ++i) {
      codes[64 * chunk + i] = qs[32 * chunk + i] & 15;
      codes[64 * chunk + 32 + i] = qs[32 * chunk + i] >> 4;
    }
  }
}

// Two chunks of 32 bytes, each four runs of 32 two-bit codes.
void split_two_bit_runs(const uint8_t* qs, uint8_t* codes) {
  for (int run = 0; run < 8; ++run) {
    for (int i = 0; i < 32; ++i) codes[32 * run + i] = qs[32 * (run / 4) + i] >> 2 * (run % 4) & 3;
  }
}

// Eight runs of 32 codes take their bit `to` from bit `run` of 32 bytes.
void add_bit_runs(const uint8_t* bits, int to, uint8_t* codes) {
  for (int run = 0; run < 8; ++run) {
    for (int i = 0; i < 32; ++i) codes[32 * run + i] |= static_cast<uint8_t>((bits[i] >> run & 1) << to);
  }
}

// 32 codes take their bit 4 from a little-endian mask.
void add_fifth_bits(const uint8_t* qh, uint8_t* codes) {
  for (int i = 0; i < 32; ++i) codes[i] |= static_cast<uint8_t>((qh[i / 8] >> i % 8 & 1) << 4);
}

void take_apart(const quant::BlockQ8_0& b, SourceBlock* out) {
  std::memcpy(out->codes, b.qs, sizeof b.qs);
}
void take_apart(const quant::BlockQ4_0& b, SourceBlock* out) {
  split_nibbles(b.qs, out->codes);
}
void take_apart(const quant::BlockIQ4_NL& b, SourceBlock* out) {
  split_nibbles(b.qs, out->codes);
}
void take_apart(const quant::BlockQ4_1& b, SourceBlock* out) {
  out->dmin = b.m;
  split_nibbles(b.qs, out->codes);
}
void take_apart(const quant::BlockQ5_0& b, SourceBlock* out) {
  split_nibbles(b.qs, out->codes);
  add_fifth_bits(b.qh, out->codes);
}
void take_apart(const quant::BlockQ5_1& b, SourceBlock* out) {
  out->dmin = b.m;
  split_nibbles(b.qs, out->codes);
  add_fifth_bits(b.qh, out->codes);
}
void take_apart(const quant::BlockQ2_K& b, SourceBlock* out) {
  out->dmin = b.dmin;
  std::memcpy(out->sub, b.scales, sizeof b.scales);
  split_two_bit_runs(b.qs, out->codes);
}
void take_apart(const quant::BlockQ3_K& b, SourceBlock* out) {
  int8_t scale[16];
  quant::unpack_scales_q3_k(b.scales, scale);
  std::memcpy(out->sub, scale, sizeof scale);
  split_two_bit_runs(b.qs, out->codes);
  add_bit_runs(b.hmask, 2, out->codes);
}
void take_apart(const quant::BlockQ4_K& b, SourceBlock* out) {
  out->dmin = b.dmin;
  quant::unpack_scales_k4(b.scales, out->sub, out->sub_min);
  split_nibble_runs(b.qs, out->codes);
}
void take_apart(const quant::BlockQ5_K& b, SourceBlock* out) {
  out->dmin = b.dmin;
  quant::unpack_scales_k4(b.scales, out->sub, out->sub_min);
  split_nibble_runs(b.qs, out->codes);
  add_bit_runs(b.qh, 4, out->codes);
}
void take_apart(const quant::BlockQ6_K& b, SourceBlock* out) {
  std::memcpy(out->sub, b.scales, sizeof b.scales);
  for (int run = 0; run < 8; ++run) {
    const uint8_t *ql = b.ql + 64 * (run / 4) + 32 * (run % 2), *qh = b.qh + 32 * (run / 4);
    const int low_shift = run % 4 / 2 * 4, high_shift = 2 * (run % 4);
    for (int i = 0; i < 32; ++i) {
      out->codes[32 * run + i] = static_cast<uint8_t>((ql[i] >> low_shift & 15) | (qh[i] >> high_shift & 3) << 4);
    }
  }
}
void take_apart(const quant::BlockIQ4_XS& b, SourceBlock* out) {
  int8_t scale[8];
  quant::unpack_scales_iq4_xs(b.scales_h, b.scales_l, scale);
  std::memcpy(out->sub, scale, sizeof scale);
  for (int run = 0; run < 8; ++run) split_nibbles(b.qs + 16 * run, out->codes + 32 * run);
}

void take_apart(const quant::BlockBQ4& b, SourceBlock* out) {
  int8_t scale[8];
  quant::unpack_scales_bq4(b.scales, scale);
  std::memcpy(out->sub, scale, sizeof scale);
  for (int run = 0; run < 8; ++run) split_nibbles(b.qs + 16 * run, out->codes + 32 * run);
}

// Blocks in mapped files lie at any address: copied before they are read.
template <class Block>
void read(const uint8_t* source, SourceBlock* out) {
  Block b;
  std::memcpy(&b, source, sizeof b);
  out->d = b.d;
  out->dmin = 0;
  take_apart(b, out);
}

}  // namespace

void read_source_block(DType dtype, const uint8_t* block, SourceBlock* out) {
  switch (dtype) {
    case DType::kQ8_0:
      return read<quant::BlockQ8_0>(block, out);
    case DType::kQ4_0:
      return read<quant::BlockQ4_0>(block, out);
    case DType::kQ4_1:
      return read<quant::BlockQ4_1>(block, out);
    case DType::kQ5_0:
      return read<quant::BlockQ5_0>(block, out);
    case DType::kQ5_1:
      return read<quant::BlockQ5_1>(block, out);
    case DType::kQ2_K:
      return read<quant::BlockQ2_K>(block, out);
    case DType::kQ3_K:
      return read<quant::BlockQ3_K>(block, out);
    case DType::kQ4_K:
      return read<quant::BlockQ4_K>(block, out);
    case DType::kQ5_K:
      return read<quant::BlockQ5_K>(block, out);
    case DType::kQ6_K:
      return read<quant::BlockQ6_K>(block, out);
    case DType::kIQ4_NL:
      return read<quant::BlockIQ4_NL>(block, out);
    case DType::kBQ4:
      return read<quant::BlockBQ4>(block, out);
    default:
      return read<quant::BlockIQ4_XS>(block, out);  // kIQ4_XS; packable() admits no other
  }
}

}  // namespace bantam::kernels
