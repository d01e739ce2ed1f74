// The machine's own limits, measured: what every speed claim stands beside. Called by `bantam bench` and the kernel
// benches, in the same run as the thing they judge (clouds move: rates of a shared host differ by 2x within an hour).
// Uses the pool's threads; one call at a time. Each takes about a quarter of a second beyond touching its memory.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/thread_pool.h"

namespace bantam::kernels {

// Bytes of memory read once per pass by measure_read_gbs, unless that much cannot be had: beyond any last-level cache.
inline constexpr int64_t kProbeBytes = int64_t{1} << 30;

// GB/s (1e9 bytes) of forward streams, one or four per thread, through its share of `bytes` (huge pages where the
// kernel gives them); the best of many short pieces. 0 when the memory cannot be had.
double measure_read_gbs(ThreadPool& pool, int64_t bytes = kProbeBytes);
// fp32 FMA rate in GFLOP/s (an FMA is 2) with a table's instructions: "generic", "avx2", "avx512", "amx". REQUIRES: the
// machine has that table.
double measure_fma_gflops(ThreadPool& pool, std::string_view table);
// int8 multiply-add rate in GOP/s (a multiply-add is 2) with the idiom a table's fast kernels use: tdpbssd on whole
// tiles (amx; products of blocks of 32 fill half of one), vpdpbusd (avx512), vpmaddubsw + vpaddw (avx2), plain C
// (generic).
double measure_int8_gops(ThreadPool& pool, std::string_view table);

}  // namespace bantam::kernels
