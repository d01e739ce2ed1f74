// The linear kernels of the generic table: the fixed reduction orders of linear_kernels.h written plainly, for any CPU.
// This is what the vector tables must equal bit for bit. 16 lanes are 16 array elements; no intrinsics.
// Cost: about 2 multiply-adds per cycle in fast, one std::fma call per product in exact.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/linear_kernels.h"
#include "kernels/packed_format.h"

namespace bantam::kernels {
namespace {

constexpr int kRows = static_cast<int>(kTileRows);
constexpr int64_t kTokens = 32;  // tokens per pass over a tile: totals live on the stack

const uint8_t* tile_at(const PackedMatrix& w, int64_t tile) {
  return reinterpret_cast<const uint8_t*>(w.data) + tile * tile_bytes(w.dtype, w.cols);
}

// Epilogue of one token: bias, then residual.
void store_token(const LinearJob& job, int64_t tile, int64_t token, const float* total) {
  const int64_t first = tile * kTileRows, count = std::min<int64_t>(kTileRows, job.weight.rows - first);
  for (int64_t r = 0; r < count; ++r) {
    float v = total[r];
    if (job.bias != nullptr) v = v + job.bias[first + r];
    if (job.residual != nullptr) v = job.residual[token * job.residual_stride + first + r] + v;
    job.out[token * job.out_stride + first - job.out_tile * kTileRows + r] = v;
  }
}

int dot(const int16_t* codes, const int8_t* q, int count) {
  int sum = 0;
  for (int i = 0; i < count; ++i) sum += codes[i] * q[i];
  return sum;
}

void add_fast_block(const PackedFormat& f, const TileBlock& w, const ActBlock& a, float* total) {
  const int halves = f.halves(), width = 32 / halves;
  for (int s = 0; s < halves; ++s) {
    const float q_sum = static_cast<float>(halves == 1 ? a.sum[0] + a.sum[1] : a.sum[s]);
    for (int r = 0; r < kRows; ++r) {
      const float h = static_cast<float>(dot(w.codes[r] + s * width, a.q + s * width, width));
      float t = std::fma(kMagic + h, w.scale[s][r], -(kMagic * w.scale[s][r]));
      if (f.has_add()) t = std::fma(q_sum, w.add[s][r], t);
      total[r] = std::fma(t, a.d, total[r]);
    }
  }
}

void run_fast(const LinearJob& job, int64_t tile_begin, int64_t tile_end, std::byte*) {
  const PackedFormat f = packed_format(job.weight.dtype);
  TileBlock w;
  for (int64_t tile = tile_begin; tile < tile_end; ++tile) {
    const uint8_t* packed = tile_at(job.weight, tile);
    for (int64_t m0 = 0; m0 < job.m; m0 += kTokens) {
      float totals[kTokens][kRows] = {};
      const int64_t tokens = std::min(kTokens, job.m - m0);
      for (int64_t b = 0; b < job.weight.cols / kBlock; ++b) {
        unpack_tile_block(f, packed, b, &w);
        for (int64_t i = 0; i < tokens; ++i) add_fast_block(f, w, job.q[(m0 + i) * job.q_stride + b], totals[i]);
      }
      for (int64_t i = 0; i < tokens; ++i) store_token(job, tile, m0 + i, totals[i]);
    }
  }
}

// Weights [k][16 rows] of block b, `count` of them.
void load_weights(const PackedMatrix& m, int64_t tile, int64_t b, int count, float (*w)[kRows]) {
  const uint8_t* packed = tile_at(m, tile);
  if (info(m.dtype).is_quant) {
    const PackedFormat f = packed_format(m.dtype);
    TileBlock block;
    unpack_tile_block(f, packed, b, &block);
    for (int k = 0; k < count; ++k) {
      for (int r = 0; r < kRows; ++r) w[k][r] = tile_block_weight(f, block, r, k);
    }
    return;
  }
  for (int k = 0; k < count; ++k) {
    for (int r = 0; r < kRows; ++r) w[k][r] = packed_float(m.dtype, packed, r, b * kBlock + k);
  }
  if (m.f8_scales == nullptr) return;
  for (int k = 0; k < count; ++k) {
    const int64_t column = (b * kBlock + k) / 128;
    const float scale = m.f8_scales[tile * kTileRows / 128 * ((m.cols + 127) / 128) + column];
    for (int r = 0; r < kRows; ++r) w[k][r] *= scale;
  }
}

void run_exact(const LinearJob& job, int64_t tile_begin, int64_t tile_end, std::byte*) {
  const int64_t cols = job.weight.cols;
  float w[kBlock][kRows];
  for (int64_t tile = tile_begin; tile < tile_end; ++tile) {
    for (int64_t m0 = 0; m0 < job.m; m0 += kTokens) {
      float totals[kTokens][kRows] = {};
      const int64_t tokens = std::min(kTokens, job.m - m0);
      for (int64_t b = 0; b * kBlock < cols; ++b) {
        const int count = static_cast<int>(std::min(kBlock, cols - b * kBlock));
        load_weights(job.weight, tile, b, count, w);
        for (int64_t i = 0; i < tokens; ++i) {
          const float* x = job.x + (m0 + i) * job.x_stride + b * kBlock;
          float block[kRows] = {};
          for (int k = 0; k < count; ++k) {
            for (int r = 0; r < kRows; ++r) block[r] = std::fma(w[k][r], x[k], block[r]);
          }
          for (int r = 0; r < kRows; ++r) totals[i][r] = totals[i][r] + block[r];
        }
      }
      for (int64_t i = 0; i < tokens; ++i) store_token(job, tile, m0 + i, totals[i]);
    }
  }
}

void quantize_block(const float* x, ActBlock* out) {
  uint32_t peak_bits = 0;  // magnitudes order like their bits, NaN above infinity above all numbers
  for (int i = 0; i < kBlock; ++i) peak_bits = std::max(peak_bits, std::bit_cast<uint32_t>(x[i]) & 0x7FFFFFFFu);
  const float peak = std::bit_cast<float>(peak_bits);
  const bool usable = peak_bits < 0x7F800000u && peak >= kMinPeak;
  const float inverse = usable ? 127.0f / peak : 0.0f;
  out->d = usable ? peak / 127.0f : peak_bits < 0x7F800000u ? 0.0f : std::numeric_limits<float>::quiet_NaN();
  out->sum[0] = out->sum[1] = 0;
  for (int i = 0; i < kBlock; ++i) {
    out->q[i] = usable ? static_cast<int8_t>(std::lrintf(x[i] * inverse)) : int8_t{0};
    out->sum[i / 16] = static_cast<int16_t>(out->sum[i / 16] + out->q[i]);
  }
}

void quantize_rows(const float* x, int64_t x_stride, int64_t cols, int64_t row_begin, int64_t row_end, ActBlock* out,
                   int64_t out_stride) {
  for (int64_t row = row_begin; row < row_end; ++row) {
    for (int64_t b = 0; b < cols / kBlock; ++b) {
      quantize_block(x + row * x_stride + b * kBlock, out + row * out_stride + b);
    }
  }
}

}  // namespace

void fill_linear_generic(LinearKernels& kernels) {
  kernels.exact = run_exact;
  kernels.fast = run_fast;
  kernels.quantize_rows = quantize_rows;
}

}  // namespace bantam::kernels
