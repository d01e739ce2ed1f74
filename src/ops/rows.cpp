// Row-wise ops: norms and rotation tables. Rows are independent, so how they are cut into chunks cannot change a bit.
#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "ops/ops.h"

namespace bantam::ops {
namespace {

// Floats one chunk should touch at least: about 2 microseconds of streaming, what waking a thread costs.
constexpr int64_t kChunkFloats = 16384;

bool is_matrix(const TensorView& x) {
  return x.valid() && x.dtype == DType::kF32 && x.shape.rank == 2;
}

// Calls f(begin, end) for ranges that cover [0, items), each of about kChunkFloats floats, on the pool.
template <class F>
void for_ranges(Context& ctx, int64_t items, int64_t floats_per_item, F f) {
  const int64_t step = std::max<int64_t>(1, kChunkFloats / std::max<int64_t>(1, floats_per_item));
  ctx.pool->parallel((items + step - 1) / step,
                     [&](int64_t chunk, int) { f(chunk * step, std::min(items, (chunk + 1) * step)); });
}

}  // namespace

void rms_norm(Context& ctx, TensorView x, const float* w, float eps, TensorView out) {
  BANTAM_CHECK(is_matrix(x) && is_matrix(out) && x.shape == out.shape && w != nullptr);
  const int64_t d = x.shape[1];
  for_ranges(ctx, x.shape[0], d, [&](int64_t begin, int64_t end) {
    ctx.table->rows.rms_norm(x.row(begin), w, eps, end - begin, d, out.row(begin));
  });
}

void rope_table(Context& ctx, std::span<const int32_t> positions, std::span<const float> inv_freq, float factor,
                TensorView cos_sin) {
  const int64_t half = static_cast<int64_t>(inv_freq.size());
  BANTAM_CHECK(is_matrix(cos_sin));
  BANTAM_CHECK(cos_sin.shape[0] == static_cast<int64_t>(positions.size()) && cos_sin.shape[1] == 2 * half);
  constexpr int64_t kFloatsPerAngle = 64;  // an angle costs about as much as copying this many floats
  for_ranges(ctx, cos_sin.shape[0], half * kFloatsPerAngle, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const float position = static_cast<float>(positions[static_cast<size_t>(t)]);
      float* row = cos_sin.row(t);
      for (int64_t i = 0; i < half; ++i) {
        float sine = 0, cosine = 0;
        kernels::sin_cos(position * inv_freq[static_cast<size_t>(i)], &sine, &cosine);
        row[i] = cosine * factor;
        row[half + i] = sine * factor;
      }
    }
  });
}

void gather_rows(Context& ctx, TensorView x, std::span<const int32_t> rows, TensorView out) {
  BANTAM_CHECK(is_matrix(x) && is_matrix(out) && x.shape[1] == out.shape[1]);
  BANTAM_CHECK(out.shape[0] == static_cast<int64_t>(rows.size()));
  for_ranges(ctx, out.shape[0], out.shape[1], [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const int32_t source = rows[static_cast<size_t>(r)];
      BANTAM_CHECK(source >= 0 && source < x.shape[0]);
      std::memcpy(out.row(r), x.row(source), static_cast<size_t>(x.shape[1]) * sizeof(float));
    }
  });
}

}  // namespace bantam::ops
