// A small paged KV cache and the ways to drive attention over it, shared by the ops tests.
#pragma once

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "base/rng.h"
#include "base/thread_pool.h"
#include "kernels/table.h"
#include "ops/ops.h"

namespace bantam::ops::test {

inline std::vector<float> random_floats(int64_t n, uint64_t seed, float scale = 1.0f) {
  Philox rng(seed);
  std::vector<float> v(static_cast<size_t>(n));
  for (float& x : v) x = (rng.uniform() + rng.uniform() + rng.uniform() - 1.5f) * scale;
  return v;
}

inline TensorView matrix(std::vector<float>& v, int64_t rows) {
  return {v.data(), DType::kF32, Shape{rows, rows == 0 ? 0 : static_cast<int64_t>(v.size()) / rows}};
}

// Page types and modes that attention treats differently: `fast` is `exact` but for quantised pages.
struct KvMode {
  DType dtype;
  Numerics numerics;
};
inline constexpr KvMode kKvModes[] = {{DType::kF16, Numerics::kFast},   {DType::kF32, Numerics::kFast},
                                      {DType::kQ8_0, Numerics::kFast},  {DType::kQ4_0, Numerics::kFast},
                                      {DType::kQ8_0, Numerics::kExact}, {DType::kQ4_0, Numerics::kExact}};
inline std::string describe(const KvMode& m) {
  return std::string(name(m.dtype)) + (m.numerics == Numerics::kFast ? " fast" : " exact");
}

// One layer of pages, all holding finite rubbish of the given seed, and a table that hands them out shuffled.
class Cache {
 public:
  Cache(HeadShape heads, DType dtype, int64_t pages, uint64_t rubbish) {
    view_.layout = {dtype, 2, heads.kv_heads, heads.head_dim};
    view_.pages = pages;
    bytes_.resize(static_cast<size_t>(2 * pages * view_.layout.page_bytes()));
    Philox rng(rubbish);
    for (size_t i = 0; i + 4 <= bytes_.size(); i += 4) {
      uint32_t word = rng.next() & 0xBBFFBBFFu;  // as two f16: exponent below 31; as f32: likewise finite
      std::memcpy(bytes_.data() + i, &word, 4);
    }
    view_.base = bytes_.data();
    for (int64_t i = 0; i < pages; ++i) table_.push_back(static_cast<int32_t>(pages - 1 - i));
    for (size_t i = table_.size(); i > 1; --i) std::swap(table_[i - 1], table_[rng.below(static_cast<uint32_t>(i))]);
    view_.page_table = table_;
  }
  const kernels::KvView& view() const { return view_; }
  std::vector<int32_t>& table() { return table_; }
  void refresh() { view_.page_table = table_; }

 private:
  kernels::KvView view_;
  std::vector<std::byte> bytes_;
  std::vector<int32_t> table_;
};

// A Context with its own pool and scratch.
class Machine {
 public:
  Machine(const kernels::Table* table, int threads, int64_t max_tok, HeadShape heads, int64_t max_pos,
          Numerics numerics = Numerics::kFast)
      : pool_(threads), heads_(heads) {
    context_.numerics = numerics;
    const int64_t bytes = scratch_bytes(max_tok, 128, 128, heads, max_pos, threads);
    memory_.resize(static_cast<size_t>(bytes) + 64);
    const auto address = reinterpret_cast<uintptr_t>(memory_.data());
    context_.table = table;
    context_.pool = &pool_;
    context_.scratch = memory_.data() + (64 - address % 64) % 64;
    context_.scratch_bytes = bytes;
  }
  Context& context() { return context_; }

  // One step: stores the keys and values of qkv, then attends. Returns out [T, Hq Dh].
  std::vector<float> step(std::vector<float>& qkv, int64_t tokens, const Cache& cache,
                          std::span<const kernels::Segment> segments) {
    std::vector<float> out(static_cast<size_t>(tokens * heads_.q_heads * heads_.head_dim));
    kv_store(context_, matrix(qkv, tokens), heads_, cache.view(), 1, segments);
    attention(context_, matrix(qkv, tokens), heads_, cache.view(), 1, segments, scale(), matrix(out, tokens));
    return out;
  }
  // A whole sequence in steps of the given sizes (the last repeats), from position 0.
  std::vector<float> sequence(const std::vector<float>& qkv, int64_t tokens, const Cache& cache,
                              std::vector<int64_t> steps) {
    std::vector<float> out;
    const int64_t width = static_cast<int64_t>(qkv.size()) / tokens;
    for (int64_t pos = 0, i = 0; pos < tokens; ++i) {
      const int64_t n = std::min(tokens - pos, steps[static_cast<size_t>(std::min<int64_t>(i, std::ssize(steps) - 1))]);
      std::vector<float> part(qkv.begin() + pos * width, qkv.begin() + (pos + n) * width);
      const kernels::Segment s{0, static_cast<int32_t>(n), -1, static_cast<int32_t>(pos), 0};
      const auto got = step(part, n, cache, {&s, 1});
      out.insert(out.end(), got.begin(), got.end());
      pos += n;
    }
    return out;
  }
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(heads_.head_dim)); }

 private:
  ThreadPool pool_;
  HeadShape heads_;
  std::vector<std::byte> memory_;
  Context context_;
};

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

inline int64_t qkv_width(HeadShape h) {
  return (h.q_heads + 2 * h.kv_heads) * h.head_dim;
}

}  // namespace bantam::ops::test
