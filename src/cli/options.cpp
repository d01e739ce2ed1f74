// See options.h.
#include "cli/options.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "text/chat_template.h"

namespace bantam::cli {
namespace {

constexpr const char* kSampling = "Sampling (defaults come from the model)";
constexpr const char* kComputing = "Computing";
constexpr const char* kOutput = "Output";

template <class T>
bool reads_as(const std::string& text, T* out) {
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, *out);
  return error == std::errc() && at == end;
}

Status parse_bias(const std::string& text, std::pair<int32_t, float>* out) {
  const size_t colon = text.find(':');
  if (colon != std::string::npos && reads_as(text.substr(0, colon), &out->first) &&
      reads_as(text.substr(colon + 1), &out->second) && !std::isnan(out->second)) {
    return {};
  }
  return usage_error("--logit-bias: expected ID:BIAS such as 151645:-5, got {:?}", text);
}

}  // namespace

CLI::Validator integer_in(int64_t low, int64_t high) {
  return {[low, high](std::string& text) {
            int64_t value = 0;
            if (reads_as(text, &value) && value >= low && value <= high) return std::string();
            return fmt::format("expected a whole number from {} to {}, got {}", low, high, text);
          },
          ""};
}

CLI::Validator number_in(double low, double high) {
  return {[low, high](std::string& text) {
            double value = 0;
            if (reads_as(text, &value) && value >= low && value <= high) return std::string();  // NaN is in no range
            return fmt::format("expected a number from {} to {}, got {}", low, high, text);
          },
          ""};
}

CLI::Option* add_list_option(CLI::App& command, const std::string& name, std::vector<std::string>* out,
                             const std::string& help) {
  return command.add_option(name, *out, help)->allow_extra_args(false);
}

void add_output_options(CLI::App& command, OutputOptions* out, bool with_json) {
  if (with_json) command.add_flag("--json", out->json, "one JSON document on stdout, nothing else")->group(kOutput);
  command.add_flag("--quiet,-q", out->quiet, "no progress, no notes; warnings stay")->group(kOutput);
  command.add_flag("--no-color", out->no_color, "no colours (also: the NO_COLOR variable)")->group(kOutput);
  command.add_option("--log-level", out->log_level, "what to tell on stderr")
      ->check(CLI::IsMember({"error", "warning", "info", "debug"}))
      ->capture_default_str()
      ->group(kOutput);
}

void add_model_argument(CLI::App& command, ComputeOptions* out) {
  command.add_option(
      "MODEL", out->model,
      "a folder in Hugging Face layout, a .gguf file or a name such as qwen3:4b (bantam pull); none: bantam-nano, "
      "the small house model");
}

void add_template_option(CLI::App& command, std::string* out) {
  command.add_option("--template", *out, "instead of the model's own: " + text::template_names())->option_text("NAME");
}

void add_model_words(CLI::App& command, ModelWords* out, const std::string& last, const std::string& help) {
  out->first_given = command.add_option("MODEL", out->first, "a folder, a .gguf file or a name; none: the house model");
  out->second_given = command.add_option(last, out->second, help);
}

void add_compute_options(CLI::App& command, ComputeOptions* out) {
  command.add_option("--threads,-t", out->threads, "threads; default: all cores")
      ->check(integer_in(1, 1024))
      ->group(kComputing);
  command
      .add_option("--numerics", out->numerics,
                  "fast: int8 activations for quantised weights; exact: everything in fp32")
      ->check(CLI::IsMember({"fast", "exact"}))
      ->capture_default_str()
      ->group(kComputing);
  command
      .add_option("--kv", out->kv,
                  "type of the stored keys and values; q8_0 takes half the memory of f16, q4_0 a quarter")
      ->check(CLI::IsMember({"f16", "f32", "q8_0", "q4_0"}))
      ->capture_default_str()
      ->group(kComputing);
  command
      .add_option("--ctx,-c", out->ctx,
                  "context in tokens; default: the model's own or what fits in free memory, whichever is less")
      ->check(integer_in(16, int64_t{1} << 24))
      ->group(kComputing);
  command.add_option("--isa", out->isa, "instruction set (also: the BANTAM_ISA variable); default: the best here")
      ->envname("BANTAM_ISA")
      ->check(CLI::IsMember({"generic", "avx2", "avx512", "amx"}))
      ->group(kComputing);
  command.add_flag("--no-cache", out->no_cache, "neither read nor write the cache of packed weights")
      ->group(kComputing);
  add_cache_size_option(command, &out->cache_bytes);
}

void add_cache_size_option(CLI::App& command, uint64_t* out) {
  command
      .add_option("--cache-size", *out,
                  "room for packed weights on disk, such as 20GB; 0: keep none (also: the BANTAM_CACHE_SIZE variable)")
      ->envname("BANTAM_CACHE_SIZE")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/true))
      ->option_text("SIZE")
      ->group(kComputing);
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string xdg_folder(const char* name, const char* below_home) {
  const std::string xdg = variable(name), home = variable("HOME");
  if (xdg.starts_with('/')) return xdg;
  return home.empty() ? "" : home + "/" + below_home;
}

PackedCacheOptions packed_cache_options(uint64_t bytes) {
  std::string folder = variable("BANTAM_CACHE_DIR");
  if (folder.empty()) {
    const std::string caches = xdg_folder("XDG_CACHE_HOME", ".cache");
    if (!caches.empty()) folder = caches + "/bantam";
  }
  PackedCacheOptions out;
  if (!folder.empty()) out.folder = folder + "/packed";
  out.max_bytes = static_cast<int64_t>(std::min<uint64_t>(bytes, INT64_MAX));
  return out;
}

EngineOptions engine_options(const ComputeOptions& options) {
  EngineOptions out;
  out.threads = options.threads;
  out.numerics = options.numerics == "exact" ? NumericsMode::kExact : NumericsMode::kFast;
  out.kv = options.kv == "f32"    ? KvType::kF32
           : options.kv == "q8_0" ? KvType::kQ8_0
           : options.kv == "q4_0" ? KvType::kQ4_0
                                  : KvType::kF16;
  out.context_tok = options.ctx;
  out.isa = options.isa;
  if (!options.no_cache) out.packed_cache = packed_cache_options(options.cache_bytes);
  return out;
}

void add_sampling_options(CLI::App& command, SamplingFlags* out) {
  command.add_option("--temperature", out->temperature, "0: always the most likely token")
      ->check(number_in(0, 100))
      ->group(kSampling);
  command.add_option("--top-k", out->top_k, "only the N most likely tokens; 0: off")
      ->check(integer_in(0, 1 << 20))
      ->group(kSampling);
  command.add_option("--top-p", out->top_p, "the smallest set of tokens with this probability")
      ->check(number_in(0, 1))
      ->group(kSampling);
  command.add_option("--min-p", out->min_p, "no tokens below this share of the best one's probability")
      ->check(number_in(0, 1))
      ->group(kSampling);
  command.add_option("--presence-penalty", out->presence_penalty, "against tokens already generated")
      ->check(number_in(-100, 100))
      ->group(kSampling);
  command.add_option("--frequency-penalty", out->frequency_penalty, "the same, per occurrence")
      ->check(number_in(-100, 100))
      ->group(kSampling);
  command.add_option("--repetition-penalty", out->repetition_penalty, "against all tokens in the context; 1: off")
      ->check(number_in(0.01, 100))
      ->group(kSampling);
  add_list_option(command, "--logit-bias", &out->logit_bias, "added to that token's logit; repeatable")
      ->option_text("ID:BIAS")
      ->group(kSampling);
  add_list_option(command, "--stop", &out->stop, "stop where this text comes; repeatable")->group(kSampling);
  command.add_option("--max-tokens,-n", out->max_tokens, "at most this many new tokens")
      ->check(integer_in(0, int64_t{1} << 30))
      ->group(kSampling);
  command.add_option("--seed", out->seed, "same seed, same answer; default: a random one")->group(kSampling);
}

void add_thinking_budget_option(CLI::App& command, SamplingFlags* out) {
  command.add_option("--thinking-budget", out->thinking_budget, "end the thinking after about this many tokens")
      ->check(integer_in(0, int64_t{1} << 30));
}

Result<SamplingOptions> sampling_for(const SamplingFlags& flags, const ModelInfo& info, bool thinking, bool hybrid) {
  SamplingOptions out = engine::resolve_sampling(flags, info, thinking, hybrid);
  for (const std::string& text : flags.logit_bias) {
    std::pair<int32_t, float> bias;
    BANTAM_TRY(parse_bias(text, &bias));
    if (bias.first < 0 || bias.first >= info.vocab_rows) {
      return usage_error("--logit-bias: expected an id from 0 to {}, got {}", info.vocab_rows - 1, bias.first);
    }
    out.logit_bias.push_back(bias);
  }
  return out;
}

}  // namespace bantam::cli
