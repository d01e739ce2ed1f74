// Definitions, not algorithms: no blocking, no online softmax, double throughout.
#include "kernels/ref/rows.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace bantam::kernels::ref {

void rms_norm(const float* x, const float* w, double eps, int64_t n, double* out) {
  double squares = 0;
  for (int64_t i = 0; i < n; ++i) squares += double{x[i]} * x[i];
  const double scale = 1.0 / std::sqrt(squares / static_cast<double>(n) + eps);
  for (int64_t i = 0; i < n; ++i) out[i] = x[i] * scale * w[i];
}

void norm_rotate(const float* x, const float* w, double eps, int64_t head_dim, const float* cos_sin, double* out) {
  std::vector<double> normed(x, x + head_dim);
  if (w != nullptr) rms_norm(x, w, eps, head_dim, normed.data());
  const int64_t half = head_dim / 2;
  for (int64_t i = 0; i < half; ++i) {
    const double a = normed[static_cast<size_t>(i)], b = normed[static_cast<size_t>(i + half)];
    const double c = cos_sin[i], s = cos_sin[half + i];
    out[i] = a * c - b * s;
    out[i + half] = b * c + a * s;
  }
}

void swiglu(const float* gate, const float* up, int64_t n, double* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = gate[i] / (1.0 + std::exp(-double{gate[i]})) * up[i];
}

void attention(const float* q, const float* keys, const float* values, int64_t count, int64_t head_dim, double scale,
               double* out) {
  std::vector<double> p(static_cast<size_t>(count));
  for (int64_t t = 0; t < count; ++t) {
    double score = 0;
    for (int64_t d = 0; d < head_dim; ++d) score += double{q[d]} * keys[t * head_dim + d];
    p[static_cast<size_t>(t)] = score * scale;
  }
  const double most = *std::max_element(p.begin(), p.end());
  double total = 0;
  for (double& x : p) total += x = std::exp(x - most);
  std::fill(out, out + head_dim, 0.0);
  for (int64_t t = 0; t < count; ++t) {
    for (int64_t d = 0; d < head_dim; ++d) out[d] += p[static_cast<size_t>(t)] / total * values[t * head_dim + d];
  }
}

}  // namespace bantam::kernels::ref
