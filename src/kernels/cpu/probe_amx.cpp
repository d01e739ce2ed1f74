// Peak probe for AMX-INT8: four sum registers hide the latency of the tile unit. The rest is AVX-512's.
#include <immintrin.h>

#include "kernels/cpu/probe_kernels.h"
#include "kernels/cpu/tile_config.h"

#pragma GCC push_options
#pragma GCC target("amx-tile,amx-int8")

namespace bantam::kernels {
namespace {

constexpr int kChains = 4;

double int8(int64_t rounds) {
  static constexpr TileConfig config;  // whole tiles: 16 x 64 bytes
  alignas(64) int32_t sums[16][16] = {};
  _tile_loadconfig(&config);
  for (int64_t round = 0; round < rounds; ++round) {
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  }
  _tile_stored(0, sums, 64);
  _tile_release();
  return sums[0][0];
}

}  // namespace

ProbeKernels probe_kernels_amx() {
  ProbeKernels k = probe_kernels_avx512();
  k.int8 = int8;
  k.int8_op_per_round = kChains * 16 * 16 * 64 * 2;
  return k;
}

}  // namespace bantam::kernels

#pragma GCC pop_options
