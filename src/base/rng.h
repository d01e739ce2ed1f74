// Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as
// 1, 2, 3", SC 2011). A draw is a pure function of (key, counter), so streams never depend on arrival order,
// batching or threads.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace bantam {

inline std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * counter[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(p1),
               static_cast<uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(p0)};
    key = {key[0] + 0x9E3779B9u, key[1] + 0xBB67AE85u};
  }
  return counter;
}

// Uniform double in [0, 1) with 53 bits for (seed, stream, position).
inline double uniform_at(uint64_t seed, uint64_t stream, uint64_t position) {
  const auto r = philox4x32({static_cast<uint32_t>(position), static_cast<uint32_t>(position >> 32),
                             static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)},
                            {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  const uint64_t bits = (uint64_t{r[0]} << 32 | r[1]) >> 11;
  return static_cast<double>(bits) * 0x1.0p-53;
}

// A sequential generator over one (seed, stream), for tests, synthetic weights and initialisation.
class Philox {
 public:
  explicit Philox(uint64_t seed, uint64_t stream = 0) : seed_(seed), stream_(stream) {}
  uint32_t next() {
    if (have_ == 0) {
      block_ = philox4x32({static_cast<uint32_t>(count_), static_cast<uint32_t>(count_ >> 32),
                           static_cast<uint32_t>(stream_), static_cast<uint32_t>(stream_ >> 32)},
                          {static_cast<uint32_t>(seed_), static_cast<uint32_t>(seed_ >> 32)});
      ++count_;
      have_ = 4;
    }
    return block_[static_cast<size_t>(--have_)];
  }
  uint64_t next64() {
    const uint64_t high = next();
    return high << 32 | next();
  }
  float uniform() { return static_cast<float>(next() >> 8) * 0x1.0p-24f; }  // [0, 1)
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(uint64_t{next()} * n >> 32); }

 private:
  uint64_t seed_, stream_, count_ = 0;
  std::array<uint32_t, 4> block_{};
  int have_ = 0;
};

}  // namespace bantam
