// Tensor views: non-owning, contiguous, row-major PODs. Shapes list the slowest dimension first, as Hugging Face does.
// A view never outlives its Storage, MappedFile or caller's buffer; nothing here computes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "tensor/dtype.h"

namespace bantam {

inline constexpr int kMaxRank = 4;

struct Shape {
  std::array<int64_t, kMaxRank> dims{};
  int rank = 0;

  Shape() = default;
  Shape(std::initializer_list<int64_t> list) {
    for (int64_t d : list) dims[static_cast<size_t>(rank++)] = d;
  }
  int64_t operator[](int i) const { return dims[static_cast<size_t>(i)]; }
  int64_t last() const { return rank == 0 ? 1 : dims[static_cast<size_t>(rank - 1)]; }
  int64_t elems() const {
    int64_t n = 1;
    for (int i = 0; i < rank; ++i) n *= dims[static_cast<size_t>(i)];
    return n;
  }
  // Product of all dimensions but the last: the number of rows.
  int64_t rows() const { return last() == 0 ? 0 : elems() / last(); }
  bool operator==(const Shape& o) const {
    if (rank != o.rank) return false;
    for (int i = 0; i < rank; ++i) {
      if ((*this)[i] != o[i]) return false;
    }
    return true;
  }
  std::string to_string() const {
    std::string s = "[";
    for (int i = 0; i < rank; ++i) s += (i ? ", " : "") + std::to_string((*this)[i]);
    return s + "]";
  }
};

struct TensorView {
  void* data = nullptr;
  DType dtype = DType::kF32;
  Shape shape;

  bool valid() const { return data != nullptr; }
  int64_t bytes() const { return shape.rows() * row_bytes(dtype, shape.last()); }
  float* f32() const { return static_cast<float*>(data); }  // REQUIRES: dtype == kF32
  float* row(int64_t i) const { return f32() + i * shape.last(); }
  // The first n rows of a matrix.
  TensorView first_rows(int64_t n) const { return {data, dtype, Shape{n, shape.last()}}; }
};

struct ConstTensorView {
  const void* data = nullptr;
  DType dtype = DType::kF32;
  Shape shape;

  ConstTensorView() = default;
  ConstTensorView(const void* d, DType t, Shape s) : data(d), dtype(t), shape(s) {}
  ConstTensorView(const TensorView& v) : data(v.data), dtype(v.dtype), shape(v.shape) {}  // NOLINT: widening
  bool valid() const { return data != nullptr; }
  int64_t bytes() const { return shape.rows() * row_bytes(dtype, shape.last()); }
  const float* f32() const { return static_cast<const float*>(data); }
  const float* row(int64_t i) const { return f32() + i * shape.last(); }
};

}  // namespace bantam
