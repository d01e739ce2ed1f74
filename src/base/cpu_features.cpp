// cpuid and xgetbv. Source: Intel SDM vol. 2A (CPUID leaves 1, 7, 7.1, 8000_0002..4) and vol. 1 section 13.3 (XCR0).
#include "base/cpu_features.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace bantam {
namespace {

#if defined(__x86_64__)
struct Leaf {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};
Leaf cpuid(uint32_t leaf, uint32_t subleaf = 0) {
  Leaf r;
  if (!__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx)) return {};
  return r;
}
bool bit(uint32_t word, int i) {
  return (word >> i & 1) != 0;
}

// Which register files the operating system saves (XCR0).
uint64_t saved_state() {
  uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t{high} << 32 | low;
}

// Linux gives tile registers only to processes that ask, once for all their threads: arch_prctl(ARCH_REQ_XCOMP_PERM,
// XFEATURE_XTILEDATA). Source: Documentation/arch/x86/xstate.rst of the kernel.
bool tiles_granted() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

std::string brand() {
  char text[49] = {};
  for (uint32_t i = 0; i < 3; ++i) {
    const Leaf r = cpuid(0x80000002u + i);
    std::memcpy(text + i * 16, &r, 16);
  }
  std::string s = text;
  s.erase(0, s.find_first_not_of(' '));
  s.erase(s.find_last_not_of(' ') + 1);
  return s;
}

void ask_processor(CpuFeatures& f) {
  const Leaf one = cpuid(1), seven = cpuid(7), seven1 = cpuid(7, 1);
  const std::string name = brand();
  if (!name.empty()) f.name = name;
  const bool osxsave = bit(one.ecx, 27);
  const uint64_t xcr0 = osxsave ? saved_state() : 0;
  const bool ymm = (xcr0 & 0x6) == 0x6, zmm = (xcr0 & 0xE6) == 0xE6, tiles = (xcr0 & 0x60000) == 0x60000;
  f.avx2 = ymm && bit(one.ecx, 28) && bit(one.ecx, 12) && bit(one.ecx, 29) && bit(seven.ebx, 5);
  f.avx_vnni = f.avx2 && bit(seven1.eax, 4);
  f.avx512 = f.avx2 && zmm && bit(seven.ebx, 16) && bit(seven.ebx, 17) && bit(seven.ebx, 30) && bit(seven.ebx, 31);
  f.avx512_vnni = f.avx512 && bit(seven.ecx, 11);
  f.avx512_bf16 = f.avx512 && bit(seven1.eax, 5);
  const bool gfni = bit(seven.ecx, 8);  // the kernels for tiles unpack with it; every CPU with AMX has it
  f.amx_int8 = tiles && gfni && bit(seven.edx, 24) && bit(seven.edx, 25) && tiles_granted();
}
#endif

// Whole processors granted by the control group (cgroup v2 cpu.max: "quota period" or "max period"); 0: no limit.
int granted_cores() {
  std::FILE* file = std::fopen("/sys/fs/cgroup/cpu.max", "re");
  if (file == nullptr) return 0;
  long long quota = 0, period = 0;
  const int fields = std::fscanf(file, "%lld %lld", &quota, &period);
  std::fclose(file);
  if (fields != 2 || quota <= 0 || period <= 0) return 0;
  return static_cast<int>(std::max<long long>(1, std::min<long long>(4096, quota / period)));
}

CpuFeatures ask() {
  CpuFeatures f;
  f.name = "unknown";
#if defined(__x86_64__)
  ask_processor(f);
#endif
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) f.cores = std::max(1, CPU_COUNT(&allowed));
  if (const int granted = granted_cores(); granted > 0) f.cores = std::min(f.cores, granted);
  return f;
}

}  // namespace

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = ask();
  return features;
}

std::string isa_list(const CpuFeatures& f) {
  std::string s;
  const auto add = [&s](bool has, const char* name) {
    if (!has) return;
    if (!s.empty()) s += ' ';
    s += name;
  };
  add(f.avx2, "avx2");
  add(f.avx_vnni, "avx_vnni");
  add(f.avx512, "avx512");
  add(f.avx512_vnni, "avx512_vnni");
  add(f.avx512_bf16, "avx512_bf16");
  add(f.amx_int8, "amx_int8");
  return s.empty() ? "none" : s;
}

}  // namespace bantam
