// Element and block types of tensors, with their sizes. Names as the command line spells them, in lower case.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace bantam {

enum class DType : uint8_t {
  kF32,
  kF16,
  kBF16,
  kF8E4M3,
  kI32,
  kI64,
  kU8,
  kI8,
  kQ8_0,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ4_NL,
  kIQ4_XS,
  kBQ4,
};
inline constexpr int kDTypeCount = 21;

struct DTypeInfo {
  std::string_view name;
  int block_elems;  // elements per block along the last dimension; 1 for plain types
  int block_bytes;  // bytes per block
  bool is_float;    // f32 f16 bf16 f8: `fast` equals `exact` for these
  bool is_quant;    // block types with codecs in quant/
};

inline constexpr DTypeInfo kDTypes[kDTypeCount] = {
    {"f32", 1, 4, true, false},      {"f16", 1, 2, true, false},        {"bf16", 1, 2, true, false},
    {"f8_e4m3", 1, 1, true, false},  {"i32", 1, 4, false, false},       {"i64", 1, 8, false, false},
    {"u8", 1, 1, false, false},      {"i8", 1, 1, false, false},        {"q8_0", 32, 34, false, true},
    {"q4_0", 32, 18, false, true},   {"q4_1", 32, 20, false, true},     {"q5_0", 32, 22, false, true},
    {"q5_1", 32, 24, false, true},   {"q2_k", 256, 84, false, true},    {"q3_k", 256, 110, false, true},
    {"q4_k", 256, 144, false, true}, {"q5_k", 256, 176, false, true},   {"q6_k", 256, 210, false, true},
    {"iq4_nl", 32, 18, false, true}, {"iq4_xs", 256, 136, false, true}, {"bq4", 256, 136, false, true},
};

inline constexpr const DTypeInfo& info(DType t) {
  return kDTypes[static_cast<int>(t)];
}
inline constexpr std::string_view name(DType t) {
  return info(t).name;
}
inline std::optional<DType> parse_dtype(std::string_view text) {
  for (int i = 0; i < kDTypeCount; ++i) {
    if (kDTypes[i].name == text) return static_cast<DType>(i);
  }
  return std::nullopt;
}
// Bytes of `elems` consecutive elements. REQUIRES: elems is a multiple of the block size; no overflow.
inline constexpr int64_t row_bytes(DType t, int64_t elems) {
  return elems / info(t).block_elems * info(t).block_bytes;
}

}  // namespace bantam
