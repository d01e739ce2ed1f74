// Options that several commands share, declared once, so that one name means one idea everywhere (docs/commands.md).
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bantam/engine.h"
#include "base/result.h"
#include "engine/prompt.h"

namespace bantam::cli {

// What every command understands.
struct OutputOptions {
  bool json = false;
  bool quiet = false;
  bool no_color = false;
  std::string log_level = "info";  // error, warning, info, debug
};
void add_output_options(CLI::App& command, OutputOptions* out, bool with_json);

// An environment variable, "" when it is not set.
std::string variable(const char* name);
// The user's folder of a kind (XDG base directory specification 0.8): the variable's value when that is absolute, else
// `below_home` in the home folder; "" when there is none.
std::string xdg_folder(const char* name, const char* below_home);

// Room for packed weights on disk unless told otherwise: what two 14B models at 4 bits take.
inline constexpr uint64_t kDefaultCacheBytes = 20'000'000'000;

// How a model is opened and computed.
struct ComputeOptions {
  std::string model;  // "" = the house model
  int threads = 0;
  std::string numerics = "fast";
  std::string kv = "f16";
  int64_t ctx = 0;
  std::string isa;
  bool no_cache = false;
  uint64_t cache_bytes = kDefaultCacheBytes;
};
void add_model_argument(CLI::App& command, ComputeOptions* out);
void add_template_option(CLI::App& command, std::string* out);
void add_compute_options(CLI::App& command, ComputeOptions* out);
EngineOptions engine_options(const ComputeOptions& options);
void add_cache_size_option(CLI::App& command, uint64_t* out);
// The packed cache of at most `bytes`, in BANTAM_CACHE_DIR, or bantam in XDG_CACHE_HOME or in ~/.cache.
PackedCacheOptions packed_cache_options(uint64_t bytes);

// "[MODEL] LAST": one word is LAST, two are both.
struct ModelWords {
  std::string first, second;
  CLI::Option* first_given = nullptr;
  CLI::Option* second_given = nullptr;

  size_t count() const { return first_given->count() + second_given->count(); }
  std::string model() const { return second_given->count() > 0 ? first : std::string(); }
  const std::string& last() const { return second_given->count() > 0 ? second : first; }
};
void add_model_words(CLI::App& command, ModelWords* out, const std::string& last, const std::string& help);

// Option checks: a whole number, a finite number, from low to high.
CLI::Validator integer_in(int64_t low, int64_t high);
CLI::Validator number_in(double low, double high);
// An option that may be repeated and takes one value each time (a plain vector option would swallow what follows).
CLI::Option* add_list_option(CLI::App& command, const std::string& name, std::vector<std::string>* out,
                             const std::string& help);

// Sampling; unset values fall back to the model's own defaults (engine::resolve_sampling).
struct SamplingFlags : engine::SamplingWishes {
  std::vector<std::string> logit_bias;  // "ID:BIAS"
  std::vector<std::string> stop;
  std::optional<int64_t> max_tokens;
  std::optional<int64_t> thinking_budget;
};
void add_sampling_options(CLI::App& command, SamplingFlags* out);
void add_thinking_budget_option(CLI::App& command, SamplingFlags* out);
// resolve_sampling plus the biases, checked against the model's rows.
Result<SamplingOptions> sampling_for(const SamplingFlags& flags, const ModelInfo& info, bool thinking, bool hybrid);

}  // namespace bantam::cli
