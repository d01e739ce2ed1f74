// The loops behind machine_probe.h, one set per instruction set. Results are returned so that nothing is optimised
// away. Pure; thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bantam::kernels {

struct ProbeKernels {
  uint64_t (*read)(const std::byte* data, int64_t bytes);  // REQUIRES: bytes a multiple of 512
  uint64_t (*read_streams)(const std::byte* data,
                           int64_t bytes) = nullptr;  // the same in four streams, where it has one
  double (*fma)(int64_t rounds);
  double (*int8)(int64_t rounds);
  double flop_per_round, int8_op_per_round;
};

ProbeKernels probe_kernels_generic();
ProbeKernels probe_kernels_avx2();
ProbeKernels probe_kernels_avx512();
// REQUIRES: CpuFeatures::amx_int8.
ProbeKernels probe_kernels_amx();

}  // namespace bantam::kernels
