// Implementation of gguf_types.h: ggml's type table and our own numbers.
#include "formats/gguf_types.h"

namespace bantam::formats {
namespace {

struct Row {
  uint32_t number;
  std::string_view name;
  std::optional<DType> dtype;
};

// Source: ggml.h, enum ggml_type; 4, 5, 31..33 and 36..38 were withdrawn.
constexpr Row kRows[] = {
    {0, "F32", DType::kF32},
    {1, "F16", DType::kF16},
    {2, "Q4_0", DType::kQ4_0},
    {3, "Q4_1", DType::kQ4_1},
    {6, "Q5_0", DType::kQ5_0},
    {7, "Q5_1", DType::kQ5_1},
    {8, "Q8_0", DType::kQ8_0},
    {9, "Q8_1", {}},
    {10, "Q2_K", DType::kQ2_K},
    {11, "Q3_K", DType::kQ3_K},
    {12, "Q4_K", DType::kQ4_K},
    {13, "Q5_K", DType::kQ5_K},
    {14, "Q6_K", DType::kQ6_K},
    {15, "Q8_K", {}},
    {16, "IQ2_XXS", {}},
    {17, "IQ2_XS", {}},
    {18, "IQ3_XXS", {}},
    {19, "IQ1_S", {}},
    {20, "IQ4_NL", DType::kIQ4_NL},
    {21, "IQ3_S", {}},
    {22, "IQ2_S", {}},
    {23, "IQ4_XS", DType::kIQ4_XS},
    {24, "I8", DType::kI8},
    {25, "I16", {}},
    {26, "I32", DType::kI32},
    {27, "I64", DType::kI64},
    {28, "F64", {}},
    {29, "IQ1_M", {}},
    {30, "BF16", DType::kBF16},
    {34, "TQ1_0", {}},
    {35, "TQ2_0", {}},
    {39, "MXFP4", {}},
    {40, "NVFP4", {}},
    {41, "Q1_0", {}},
    {kGgufBantamTypes + 4, "BQ4", DType::kBQ4},
};

const Row* find(uint32_t number) {
  for (const Row& row : kRows) {
    if (row.number == number) return &row;
  }
  return nullptr;
}

}  // namespace

std::optional<DType> dtype_of_gguf(uint32_t type) {
  const Row* row = find(type);
  return row != nullptr ? row->dtype : std::nullopt;
}

std::string_view gguf_type_name(uint32_t type) {
  const Row* row = find(type);
  return row != nullptr ? row->name : std::string_view();
}

std::optional<uint32_t> gguf_type_of(DType dtype) {
  for (const Row& row : kRows) {
    if (row.dtype == dtype) return row.number;
  }
  return std::nullopt;
}

}  // namespace bantam::formats
