// See options.h.
#include "cli/options.h"

#include <charconv>
#include <random>

namespace bantam::cli {

void add_output_options(CLI::App& command, OutputOptions* out, bool with_json) {
  if (with_json) command.add_flag("--json", out->json, "one JSON document on stdout, nothing else");
  command.add_flag("--quiet,-q", out->quiet, "no progress, no notes");
  command.add_flag("--no-color", out->no_color, "no colours (also: the NO_COLOR variable)");
  command.add_option("--log-level", out->log_level, "what to tell on stderr")
      ->check(CLI::IsMember({"error", "warning", "info", "debug"}))
      ->capture_default_str();
}

void add_model_argument(CLI::App& command, ComputeOptions* out) {
  command.add_option("MODEL", out->model,
                     "a folder in Hugging Face layout or a .gguf file; none: bantam-nano, the small house model");
}

void add_compute_options(CLI::App& command, ComputeOptions* out) {
  command.add_option("--threads,-t", out->threads, "threads; default: all cores")->check(CLI::Range(1, 1024));
  command.add_option("--numerics", out->numerics,
                     "fast: int8 activations for quantised weights; exact: everything in fp32")
      ->check(CLI::IsMember({"fast", "exact"}))
      ->capture_default_str();
  command.add_option("--kv", out->kv, "type of the stored keys and values")
      ->check(CLI::IsMember({"f16", "f32"}))
      ->capture_default_str();
  command.add_option("--ctx,-c", out->ctx,
                     "context in tokens; default: the model's own or what fits in free memory, whichever is less")
      ->check(CLI::Range(int64_t{16}, int64_t{1} << 24));
  command.add_option("--isa", out->isa, "instruction set to use; default: the best this machine has")
      ->envname("BANTAM_ISA")
      ->check(CLI::IsMember({"generic", "avx2", "avx512"}));
}

EngineOptions engine_options(const ComputeOptions& options) {
  EngineOptions out;
  out.threads = options.threads;
  out.numerics = options.numerics == "exact" ? NumericsMode::kExact : NumericsMode::kFast;
  out.kv = options.kv == "f32" ? KvType::kF32 : KvType::kF16;
  out.context_tok = options.ctx;
  out.isa = options.isa;
  return out;
}

void add_sampling_options(CLI::App& command, SamplingFlags* out) {
  auto* group = command.add_option_group("sampling", "how the next token is chosen; defaults come from the model");
  group->add_option("--temperature", out->temperature, "0: always the most likely token")->check(CLI::Range(0.0, 100.0));
  group->add_option("--top-k", out->top_k, "only the K most likely tokens; 0: off")->check(CLI::Range(0, 1 << 20));
  group->add_option("--top-p", out->top_p, "the smallest set of tokens with this probability")
      ->check(CLI::Range(0.0, 1.0));
  group->add_option("--min-p", out->min_p, "no tokens below this share of the best one's probability")
      ->check(CLI::Range(0.0, 1.0));
  group->add_option("--presence-penalty", out->presence_penalty, "against tokens already generated")
      ->check(CLI::Range(-100.0, 100.0));
  group->add_option("--frequency-penalty", out->frequency_penalty, "the same, per occurrence")
      ->check(CLI::Range(-100.0, 100.0));
  group->add_option("--repetition-penalty", out->repetition_penalty, "against all tokens in the context; 1: off")
      ->check(CLI::Range(0.01, 100.0));
  group->add_option("--logit-bias", out->logit_bias, "ID:BIAS added to that token's logit; repeatable");
  group->add_option("--stop", out->stop, "stop where this text comes; repeatable");
  group->add_option("--max-tokens,-n", out->max_tokens, "at most this many new tokens")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 30));
  group->add_option("--seed", out->seed, "same seed, same answer; default: a random one");
}

namespace {

Status parse_bias(const std::string& text, std::pair<int32_t, float>* out) {
  const size_t colon = text.find(':');
  const char* end = text.data() + text.size();
  if (colon != std::string::npos) {
    const auto id = std::from_chars(text.data(), text.data() + colon, out->first);
    const auto bias = std::from_chars(text.data() + colon + 1, end, out->second);
    if (id.ec == std::errc() && id.ptr == text.data() + colon && bias.ec == std::errc() && bias.ptr == end) return {};
  }
  return usage_error("--logit-bias: expected ID:BIAS such as 151645:-5, got {:?}", text);
}

}  // namespace

Result<SamplingOptions> sampling_for(const SamplingFlags& flags, const ModelInfo& info, bool thinking, bool hybrid) {
  SamplingOptions out;
  // The family's recommendation, by mode (Qwen3 model cards).
  out.temperature = thinking ? 0.6 : 0.7;
  out.top_p = thinking ? 0.95 : 0.8;
  out.top_k = 20;
  if (!hybrid || thinking) {
    if (info.temperature >= 0) out.temperature = info.temperature;
    if (info.top_p >= 0) out.top_p = info.top_p;
    if (info.min_p >= 0) out.min_p = info.min_p;
    if (info.top_k >= 0) out.top_k = info.top_k;
  }
  out.temperature = flags.temperature.value_or(out.temperature);
  out.top_p = flags.top_p.value_or(out.top_p);
  out.min_p = flags.min_p.value_or(out.min_p);
  out.top_k = flags.top_k.value_or(out.top_k);
  out.presence_penalty = flags.presence_penalty.value_or(0.0);
  out.frequency_penalty = flags.frequency_penalty.value_or(0.0);
  out.repetition_penalty = flags.repetition_penalty.value_or(1.0);
  out.seed = flags.seed ? *flags.seed : std::random_device{}();
  for (const std::string& text : flags.logit_bias) {
    std::pair<int32_t, float> bias;
    BANTAM_TRY(parse_bias(text, &bias));
    if (bias.first < 0 || bias.first >= info.vocab_rows) {
      return usage_error("--logit-bias: expected an id below {}, got {}", info.vocab_rows, bias.first);
    }
    out.logit_bias.push_back(bias);
  }
  return out;
}

}  // namespace bantam::cli
