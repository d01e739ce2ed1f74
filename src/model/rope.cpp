// Rotary frequencies, plain and stretched. The order of fp32 roundings mirrors the reference line by line.
#include "model/rope.h"

#include <algorithm>
#include <cmath>

#include "base/exact_math.h"

namespace bantam::model {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr int64_t kHybridDeclared = 40960, kHybridTrained = 32768;
constexpr int64_t kFurthestFactor = 4;
constexpr int64_t kMaxPositions = int64_t{1} << 20;  // as validate() allows: the kernels' sin and cos end there

// base^(2i/dim): the exponent is an fp32 quotient, the power is rounded once to fp32, as torch's pow does.
std::vector<float> position_freqs(double base, int64_t dim) {
  std::vector<float> freqs(static_cast<size_t>(dim / 2));
  const double ln_base = exact_log(static_cast<float>(base));
  for (size_t i = 0; i < freqs.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(dim);
    freqs[i] = static_cast<float>(exact_exp(static_cast<double>(exponent) * ln_base));
  }
  return freqs;
}

double yarn_mscale(double factor, double mscale) {
  return factor <= 1 ? 1.0 : 0.1 * mscale * exact_log(factor) + 1;
}

// Dimension whose wavelength makes `rotations` turns within the trained context.
double correction_dim(double rotations, int64_t dim, double base, int64_t trained) {
  return static_cast<double>(dim) * exact_log(static_cast<double>(trained) / (rotations * 2 * kPi)) /
         (2 * exact_log(base));
}

void apply_yarn(const Config& config, const RopeScaling& s, Rope* rope) {
  const int64_t dim = config.head_dim;
  double low = correction_dim(s.beta_fast, dim, config.rope_theta, s.original_max_position_embeddings);
  double high = correction_dim(s.beta_slow, dim, config.rope_theta, s.original_max_position_embeddings);
  if (s.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(dim - 1));
  if (low == high) high += 0.001;

  const float factor = static_cast<float>(s.factor);
  const std::vector<float> freqs = position_freqs(config.rope_theta, dim);
  for (size_t i = 0; i < freqs.size(); ++i) {
    const float extrapolated = 1.0f / freqs[i];
    const float interpolated = 1.0f / (factor * freqs[i]);
    const float slope = (static_cast<float>(i) - static_cast<float>(low)) / static_cast<float>(high - low);
    const float keep = 1.0f - std::clamp(slope, 0.0f, 1.0f);
    rope->inv_freq[i] = interpolated * (1.0f - keep) + extrapolated * keep;
  }
  rope->attention_factor = static_cast<float>(yarn_attention_factor(s));
  rope->yarn_factor = s.factor;
}

int64_t trained_positions(const Config& config) {
  if (config.rope_scaling && config.rope_scaling->type == RopeScaling::Type::kYarn) {
    return config.rope_scaling->original_max_position_embeddings;
  }
  const bool hybrid = config.family == Family::kQwen3 && config.max_position_embeddings == kHybridDeclared;
  return hybrid ? kHybridTrained : config.max_position_embeddings;
}

}  // namespace

double yarn_attention_factor(const RopeScaling& s) {
  if (s.attention_factor) return *s.attention_factor;
  if (s.mscale.value_or(0) != 0 && s.mscale_all_dim.value_or(0) != 0) {
    return yarn_mscale(s.factor, *s.mscale) / yarn_mscale(s.factor, *s.mscale_all_dim);
  }
  return yarn_mscale(s.factor, 1);
}

int64_t native_context(const Config& config) {
  const int64_t declared = config.max_position_embeddings;
  if (!config.rope_scaling || config.rope_scaling->type != RopeScaling::Type::kYarn) return declared;
  const double stretched = config.rope_scaling->factor * static_cast<double>(trained_positions(config));
  return std::clamp(static_cast<int64_t>(stretched), declared, kMaxPositions);
}

int64_t max_context(const Config& config) {
  return std::clamp(kFurthestFactor * trained_positions(config), native_context(config), kMaxPositions);
}

Result<Rope> make_rope(const Config& config, int64_t requested_context) {
  if (requested_context < 1 || requested_context > max_context(config)) {
    return usage_error("context: expected 1 to {} tokens ({} without stretching), got {}", max_context(config),
                       native_context(config), requested_context);
  }
  Rope rope;
  rope.inv_freq = position_freqs(config.rope_theta, config.head_dim);
  for (float& f : rope.inv_freq) f = 1.0f / f;
  if (config.rope_scaling && config.rope_scaling->type == RopeScaling::Type::kLinear) {
    for (float& f : rope.inv_freq) f /= static_cast<float>(config.rope_scaling->factor);
  } else if (config.rope_scaling) {
    apply_yarn(config, *config.rope_scaling, &rope);
  } else if (requested_context > native_context(config)) {
    RopeScaling by_request;
    by_request.original_max_position_embeddings = trained_positions(config);
    by_request.factor =
        static_cast<double>(requested_context) / static_cast<double>(by_request.original_max_position_embeddings);
    apply_yarn(config, by_request, &rope);
  }
  return rope;
}

}  // namespace bantam::model
