// Sums of sizes that the owners themselves report: packed tiles, pages, carved workspace.
#include "model/plan.h"

#include <algorithm>
#include <vector>

#include "model/rope.h"
#include "model/weights.h"

namespace bantam::model {
namespace {

Plan sum_up(const Config& config, int64_t weights_bytes, DType kv_dtype, const StepLimits& limits, int threads,
            int64_t sequences) {
  Plan plan;
  plan.weights_bytes = weights_bytes;
  plan.kv_token_bytes = kv_layout(config, kv_dtype).token_bytes();
  plan.kv_bytes = sequences * kv_bytes(config, kv_dtype, limits.max_pos);
  plan.workspace_bytes = workspace_bytes(config, limits, threads);
  plan.total_bytes = plan.weights_bytes + plan.kv_bytes + plan.workspace_bytes;
  return plan;
}

int64_t bound_bytes(const Binding& binding) {
  std::vector<DType> dtypes;
  for (const formats::NamedTensor* t : binding.tensors) dtypes.push_back(t->view.dtype);
  return packed_weights_bytes(binding.specs, dtypes);
}

}  // namespace

kernels::KvLayout kv_layout(const Config& config, DType kv_dtype) {
  return {kv_dtype, config.num_hidden_layers, config.num_key_value_heads, config.head_dim};
}

Status check_kv_type(const Config& config, DType kv_dtype) {
  if (kernels::kv_supports(kv_dtype, config.head_dim)) return {};
  return usage_error("keys and values in {}: expected heads of a multiple of {} dimensions, this model's have {}",
                     name(kv_dtype), kernels::kKvBlock, config.head_dim);
}

int64_t kv_bytes(const Config& config, DType kv_dtype, int64_t context) {
  const kernels::KvLayout layout = kv_layout(config, kv_dtype);
  return (context + kernels::kPageTok - 1) / kernels::kPageTok * layout.layers * layout.page_bytes();
}

Plan make_plan(const Binding& binding, DType kv_dtype, const StepLimits& limits, int threads, int64_t sequences) {
  return sum_up(binding.config, bound_bytes(binding), kv_dtype, limits, threads, sequences);
}

Plan make_plan(const Config& config, DType type, DType kv_dtype, const StepLimits& limits, int threads,
               int64_t sequences) {
  const std::vector<TensorSpec> specs = tensor_specs(config);
  std::vector<DType> dtypes;
  for (const TensorSpec& spec : specs) {
    const bool fits = spec.is_matrix() && kernels::packable(type, spec.shape.last());
    dtypes.push_back(!spec.is_matrix() ? DType::kF32 : fits ? type : DType::kF16);
  }
  return sum_up(config, packed_weights_bytes(specs, dtypes), kv_dtype, limits, threads, sequences);
}

int64_t context_that_fits(const Binding& binding, DType kv_dtype, StepLimits limits, int threads,
                          int64_t available_bytes) {
  const Config& config = binding.config;
  const int64_t weights_bytes = bound_bytes(binding);
  // The workspace grows with max_pos too, so the plan is monotonic and a binary search over pages finds the edge.
  const int64_t longest = max_context(config);
  int64_t fits = 0, beyond = (longest + kernels::kPageTok - 1) / kernels::kPageTok + 1;
  while (beyond - fits > 1) {
    const int64_t middle = (fits + beyond) / 2;
    limits.max_pos = middle * kernels::kPageTok;
    const bool ok = sum_up(config, weights_bytes, kv_dtype, limits, threads, 1).total_bytes <= available_bytes;
    (ok ? fits : beyond) = middle;
  }
  return std::min(fits * kernels::kPageTok, longest);
}

}  // namespace bantam::model
