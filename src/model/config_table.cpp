// The family's released shapes, by the names `synth`, `plan` and the benchmarks use. Source: the config.json files of
// the Qwen organisation's repositories (Qwen3 technical report, table 1; Qwen2.5 technical report, table 1).
#include <array>

#include "model/config.h"

namespace bantam::model {
namespace {

struct Row {
  std::string_view name;
  Family family;
  int64_t layers, hidden, ffn, q_heads, kv_heads, head_dim;
  bool tied;
  int64_t context;
  double theta;
  int64_t vocab;
  int32_t eos;
};

constexpr Family kQ3 = Family::kQwen3;
constexpr Family kQ2 = Family::kQwen2;
constexpr Row kRows[] = {
    {"qwen3-0.6b", kQ3, 28, 1024, 3072, 16, 8, 128, true, 40960, 1e6, 151936, 151645},
    {"qwen3-1.7b", kQ3, 28, 2048, 6144, 16, 8, 128, true, 40960, 1e6, 151936, 151645},
    {"qwen3-4b", kQ3, 36, 2560, 9728, 32, 8, 128, true, 40960, 1e6, 151936, 151645},
    {"qwen3-4b-2507", kQ3, 36, 2560, 9728, 32, 8, 128, true, 262144, 5e6, 151936, 151645},
    {"qwen3-8b", kQ3, 36, 4096, 12288, 32, 8, 128, false, 40960, 1e6, 151936, 151645},
    {"qwen3-14b", kQ3, 40, 5120, 17408, 40, 8, 128, false, 40960, 1e6, 151936, 151645},
    {"qwen3-32b", kQ3, 64, 5120, 25600, 64, 8, 128, false, 40960, 1e6, 151936, 151645},
    {"qwen2.5-0.5b", kQ2, 24, 896, 4864, 14, 2, 64, true, 32768, 1e6, 151936, 151645},
    {"qwen2.5-1.5b", kQ2, 28, 1536, 8960, 12, 2, 128, true, 32768, 1e6, 151936, 151645},
    {"qwen2.5-3b", kQ2, 36, 2048, 11008, 16, 2, 128, true, 32768, 1e6, 151936, 151645},
    {"qwen2.5-7b", kQ2, 28, 3584, 18944, 28, 4, 128, false, 32768, 1e6, 152064, 151645},
};

}  // namespace

std::vector<std::string_view> named_configs() {
  std::vector<std::string_view> names;
  for (const Row& row : kRows) names.push_back(row.name);
  return names;
}

Result<Config> named_config(std::string_view name) {
  for (const Row& row : kRows) {
    if (row.name != name) continue;
    Config c;
    c.family = row.family;
    c.vocab_size = row.vocab;
    c.hidden_size = row.hidden;
    c.intermediate_size = row.ffn;
    c.num_hidden_layers = row.layers;
    c.num_attention_heads = row.q_heads;
    c.num_key_value_heads = row.kv_heads;
    c.head_dim = row.head_dim;
    c.max_position_embeddings = row.context;
    c.rope_theta = row.theta;
    c.tie_word_embeddings = row.tied;
    c.bos_token_id = 151643;
    c.eos_token_id = {row.eos};
    return c;
  }
  std::string known;
  for (const Row& row : kRows) known += (known.empty() ? "" : ", ") + std::string(row.name);
  return usage_error("unknown configuration {}: expected one of {}", name, known);
}

}  // namespace bantam::model
