// Packed weight matrices: what every linear kernel streams. A matrix [N, K] is cut into tiles of 16 rows; within a
// tile, rows are interleaved so that one 64-byte load holds 16 rows x 4 consecutive k (bytes) or 16 rows x 1 k
// (floats): no horizontal sums, one forward stream, the same bytes for AVX2 and AVX-512. Values are repacked, never
// rounded: dequantising a packed element gives exactly what quant/ decodes. Rows beyond N in the last tile are zero.
// Owned by whoever allocated `data` (model/weights); kernels only read. Views are PODs.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace bantam::kernels {

inline constexpr int64_t kTileRows = 16;

struct PackedMatrix {
  DType dtype = DType::kF32;         // the source's type; decides the tile layout
  int64_t rows = 0, cols = 0;        // N, K
  const std::byte* data = nullptr;   // tiles in order, tile_bytes(dtype, K) each, 64-byte aligned
  const float* f8_scales = nullptr;  // kF8E4M3 only: [ceil(N/128), ceil(K/128)] multipliers (weight_scale_inv), or null

  bool valid() const { return data != nullptr; }
};

// Bytes of one 16-row tile of K columns, a multiple of 64. REQUIRES: packable(dtype, cols).
int64_t tile_bytes(DType dtype, int64_t cols);
inline int64_t tile_count(int64_t rows) {
  return (rows + kTileRows - 1) / kTileRows;
}
inline int64_t packed_bytes(DType dtype, int64_t rows, int64_t cols) {
  return tile_count(rows) * tile_bytes(dtype, cols);
}
// Whether linear kernels exist for this type at this K (whole blocks; any K for float types).
bool packable(DType dtype, int64_t cols);

// Packs tiles [tile_begin, tile_end) of a row-major source (the file's own layout) into out (the whole matrix's
// buffer). Safe to call for disjoint ranges from several threads.
void pack_tiles(DType dtype, const void* source, int64_t rows, int64_t cols, int64_t tile_begin, int64_t tile_end,
                std::byte* out);
// Dequantises one row of a packed matrix: out [K].
void unpack_row(const PackedMatrix& matrix, int64_t row, float* out);

}  // namespace bantam::kernels
