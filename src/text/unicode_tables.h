// Declarations of the generated tables in unicode_tables.cpp; read by unicode.cpp only.
#pragma once

#include <cstdint>
#include <span>

namespace bantam::text {

// Runs of equal value over the code points: entry = first code point of the run | value << 24. Sorted; the first run
// starts at 0 and each lasts until the next one's start.
extern const std::span<const uint32_t> kClassRuns;           // value: CharClass
extern const std::span<const uint32_t> kCombiningClassRuns;  // value: canonical combining class

// One-step canonical decompositions, sorted by code, without the Hangul syllables (they follow a formula).
struct DecompositionRow {
  uint32_t code;  // | kComposes when first + second compose to it
  uint32_t first;
  uint32_t second;  // 0 when there is none
};
inline constexpr uint32_t kComposes = 1u << 31;
extern const std::span<const DecompositionRow> kDecompositions;

}  // namespace bantam::text
