// What this machine's processor can do, asked once through cpuid. Called by kernels (which table runs), model (default
// thread count) and cli (version, bench). Thread-safe after the first call; values never change.
#pragma once

#include <string>

namespace bantam {

// Instruction sets are true only when the processor has them and the operating system saves their registers.
struct CpuFeatures {
  bool avx2 = false;         // with FMA and F16C: what the AVX2 table needs
  bool avx_vnni = false;     // 256-bit VPDPBUSD without AVX-512
  bool avx512 = false;       // F, BW, DQ, VL
  bool avx512_vnni = false;  // VPDPBUSD on 512 bits
  bool avx512_bf16 = false;
  bool amx_int8 = false;  // the kernel has granted this process its tile registers
  std::string name;       // the maker's brand string, trimmed; "unknown" when there is none
  int cores = 1;          // logical processors this process may run on, at most what its control group allows
};

const CpuFeatures& cpu_features();
// The instruction sets above as one line, e.g. "avx2 avx512 avx512_vnni".
std::string isa_list(const CpuFeatures& features);

}  // namespace bantam
