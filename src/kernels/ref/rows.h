// The row kernels in scalar double, straight from their definitions: what every table's accuracy is measured against.
// Called by tests only. Pure functions; thread-safe. Shapes as in row_kernels.h.
#pragma once

#include <cstdint>

namespace bantam::kernels::ref {

// out = x / sqrt(mean(x^2) + eps) * w; x, w, out [n].
void rms_norm(const float* x, const float* w, double eps, int64_t n, double* out);

// One head: rms_norm with w (null: none), then rotation of the pairs (i, i + Dh / 2). cos_sin [Dh]; out [Dh].
void norm_rotate(const float* x, const float* w, double eps, int64_t head_dim, const float* cos_sin, double* out);

// out = gate / (1 + exp(-gate)) * up, over n.
void swiglu(const float* gate, const float* up, int64_t n, double* out);

// One query against `count` keys and values: out [Dh] = softmax(q . k * scale) v. keys, values [count, Dh].
void attention(const float* q, const float* keys, const float* values, int64_t count, int64_t head_dim, double scale,
               double* out);

}  // namespace bantam::kernels::ref
