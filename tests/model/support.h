// What the model tests share: tiny page pools, a driver that feeds sequences in any chunking and company, random
// quantised models, and comparisons. Everything a test may vary is in RunSpec; the answer must not depend on it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/thread_pool.h"
#include "formats/checkpoint.h"
#include "kernels/table.h"
#include "model/probe.h"
#include "model/qwen3.h"
#include "model/weights.h"

namespace bantam::model {

inline std::string golden_dir() {
  return std::string(BANTAM_SOURCE_DIR) + "/tests/golden/model";
}
// The folders of tests/golden/model, sorted.
std::vector<std::string> golden_names();

struct RunSpec {
  const kernels::Table* table = nullptr;  // null: the best one
  int threads = 1;
  ops::Numerics numerics = ops::Numerics::kExact;
  DType kv = DType::kF32;
  int64_t chunk = 1 << 20;  // tokens of one sequence per step
  int64_t batch = 1;        // sequences per step
};

using Ids = std::vector<int32_t>;

// Feeds all sequences to their ends and returns each one's logits, [T, V] row-major. Pages are handed out in an order
// that interleaves sequences and runs backwards. `probe`, when given, watches a single-step run.
std::vector<std::vector<float>> run(const Weights& weights, const RunSpec& spec, const std::vector<Ids>& sequences,
                                    Probe* probe = nullptr);

// ||a - b|| / ||b||, in double.
double relative_error(const float* a, const float* b, int64_t n);
Ids random_ids(uint64_t seed, int64_t length, int64_t vocab);

// A random model of this shape with all matrices in `type` (converted by quant/'s encoders; f32 keeps the values).
// With `dequantised`, the same values widened to f32.
Weights random_model(const Config& config, DType type, uint64_t seed, ThreadPool& pool, bool dequantised = false);
// A small config on which every block type fits: hidden 256, q size 256, ffn 256.
Config quant_config();

// safetensors bytes from (name, dtype text, shape, data).
struct RawTensor {
  std::string name, dtype;
  std::vector<int64_t> shape;
  std::string data;
};
std::string safetensors_bytes(const std::vector<RawTensor>& tensors);
template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

}  // namespace bantam::model
