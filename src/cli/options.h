// Options that several commands share, declared once, so that one name means one idea everywhere (docs/commands.md).
#pragma once

#include <CLI/CLI.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bantam/engine.h"
#include "base/result.h"

namespace bantam::cli {

// What every command understands.
struct OutputOptions {
  bool json = false;
  bool quiet = false;
  bool no_color = false;
  std::string log_level = "warning";
};
void add_output_options(CLI::App& command, OutputOptions* out, bool with_json);

// How a model is opened and computed.
struct ComputeOptions {
  std::string model;  // "" = the house model
  int threads = 0;
  std::string numerics = "fast";
  std::string kv = "f16";
  int64_t ctx = 0;
  std::string isa;
};
void add_model_argument(CLI::App& command, ComputeOptions* out);
void add_compute_options(CLI::App& command, ComputeOptions* out);
EngineOptions engine_options(const ComputeOptions& options);

// Sampling; unset values fall back to the model's own defaults (sampling_for).
struct SamplingFlags {
  std::optional<double> temperature, top_p, min_p, presence_penalty, frequency_penalty, repetition_penalty;
  std::optional<int32_t> top_k;
  std::optional<uint64_t> seed;
  std::vector<std::string> logit_bias;  // "ID:BIAS"
  std::vector<std::string> stop;
  std::optional<int64_t> max_tokens;
};
void add_sampling_options(CLI::App& command, SamplingFlags* out);
// The model's defaults (generation_config.json, else the family's for the thinking mode), overridden by flags.
// A model's own numbers describe its default mode; the other mode of a hybrid takes the family's.
Result<SamplingOptions> sampling_for(const SamplingFlags& flags, const ModelInfo& info, bool thinking, bool hybrid);

}  // namespace bantam::cli
