// bantam plan: what a model will need and about how fast it will be, before anything of it is loaded.
#include "model/plan.h"

#include "base/cpu_features.h"
#include "base/thread_pool.h"
#include "cli/command.h"
#include "cli/model_catalogue.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "engine/kv_pool.h"
#include "engine/memory_info.h"
#include "kernels/machine_probe.h"
#include "model/rope.h"

namespace bantam::cli {
namespace {

struct Options {
  ComputeOptions compute;
  OutputOptions output;
};

struct Estimate {
  double read_gbs = 0, decode_tok_s = 0, prefill_tok_s = 0;
};

// What engines of this design reach of the limits (bench/results holds the measured shares).
constexpr double kDecodeShare = 0.8, kPrefillShare = 0.4;

Estimate estimate(const model::Binding& binding, const model::Plan& plan, const Options& options, int threads) {
  Estimate out;
  const auto table = kernels::find_table(options.compute.isa);
  if (!table.ok()) return out;
  ThreadPool pool(threads);
  out.read_gbs = kernels::measure_read_gbs(pool);
  const bool integer = options.compute.numerics == "fast" && info(binding.main_dtype()).is_quant;
  const double peak =
      integer ? kernels::measure_int8_gops(pool, (*table)->name) : kernels::measure_fma_gflops(pool, (*table)->name);
  double flop = 0;
  for (const model::TensorSpec& spec : binding.specs) {
    const bool per_token = spec.is_matrix() && spec.role != model::Role::kEmbed && spec.role != model::Role::kLmHead;
    if (per_token) flop += 2.0 * static_cast<double>(spec.shape.elems());
  }
  out.decode_tok_s = kDecodeShare * out.read_gbs * 1e9 / static_cast<double>(plan.weights_bytes);
  out.prefill_tok_s = kPrefillShare * peak * 1e9 / flop;
  return out;
}

Status plan(Options& options) {
  BANTAM_TRY_ASSIGN(const formats::Checkpoint checkpoint,
                    open_checkpoint(options.compute.model, formats::Weights::kRequired));
  BANTAM_TRY_ASSIGN(const model::Binding binding, model::bind(checkpoint));
  const EngineOptions engine = engine_options(options.compute);
  const int threads = options.compute.threads > 0 ? options.compute.threads : cpu_features().cores;
  const DType kv = engine::kv_dtype(engine.kv);
  BANTAM_TRY(model::check_kv_type(binding.config, kv));
  model::StepLimits limits{.max_tok = engine.chunk_tok, .max_logit_rows = engine.batch_rows};
  const int64_t available = engine::available_memory_bytes();
  const int64_t own = model::native_context(binding.config);
  const int64_t fits = model::context_that_fits(binding, kv, limits, threads, available);
  limits.max_pos = engine.context_tok > 0 ? engine.context_tok : std::min(own, std::max<int64_t>(fits, 256));
  if (limits.max_pos > model::max_context(binding.config)) {
    return usage_error("--ctx: this model takes at most {} tokens", model::max_context(binding.config));
  }
  const model::Plan needs = model::make_plan(binding, kv, limits, threads);
  const Estimate speed = estimate(binding, needs, options, threads);
  if (options.output.json) {
    const auto number = [](double v) { return JsonValue::number(json_number(v)); };
    JsonValue out = JsonValue::object();
    out.set("weights_bytes", JsonValue::number(needs.weights_bytes));
    out.set("kv_bytes", JsonValue::number(needs.kv_bytes));
    out.set("workspace_bytes", JsonValue::number(needs.workspace_bytes));
    out.set("total_bytes", JsonValue::number(needs.total_bytes));
    out.set("available_bytes", JsonValue::number(available));
    out.set("context", JsonValue::number(limits.max_pos));
    out.set("context_that_fits", JsonValue::number(fits));
    out.set("kv_bytes_per_token", JsonValue::number(needs.kv_token_bytes));
    out.set("expected", JsonValue::object({{"read_gbs", number(speed.read_gbs)},
                                           {"decode_tok_s", number(speed.decode_tok_s)},
                                           {"prefill_tok_s", number(speed.prefill_tok_s)}}));
    fmt::print("{}\n", to_json(out));
    return {};
  }
  fmt::print("{}\n", model_name(options.compute.model));
  fmt::print(
      "  weights    {:>10}\n  kv         {:>10}   {} tokens, {} each\n  workspace  {:>10}\n  total      {:>10}   {} "
      "are free{}\n",
      human_bytes(needs.weights_bytes), human_bytes(needs.kv_bytes), with_commas(limits.max_pos),
      human_bytes(needs.kv_token_bytes), human_bytes(needs.workspace_bytes), human_bytes(needs.total_bytes),
      human_bytes(available), needs.total_bytes > available ? ": it does not fit" : "");
  fmt::print("  context    {:>10}   the model's own is {}, what fits is {}\n", with_commas(limits.max_pos),
             with_commas(own), with_commas(fits));
  fmt::print(
      "  expected   decode about {:.3g} tokens/s, prefill about {:.3g} tokens/s ({:.1f} GB/s of memory bandwidth "
      "measured)\n",
      speed.decode_tok_s, speed.prefill_tok_s, speed.read_gbs);
  return {};
}

}  // namespace

void add_plan(CLI::App& app, Dispatch& dispatch) {
  auto* command = app.add_subcommand("plan", "what a model needs and about how fast it will be, before loading it");
  auto& options = declare<Options>(*command, dispatch, plan);
  add_model_argument(*command, &options.compute);
  add_compute_options(*command, &options.compute);
  add_output_options(*command, &options.output, true);
  command->footer(
      "Examples:\n"
      "  bantam plan ./Qwen3-4B-Q4_K_M.gguf\n"
      "  bantam plan ./Qwen3-4B-Q4_K_M.gguf --ctx 32768 --json");
}

}  // namespace bantam::cli
