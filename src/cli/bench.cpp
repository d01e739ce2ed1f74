// bantam bench: the machine's limits and the model's speed in one run, each speed as a share of its limit.
#include <algorithm>
#include <memory>

#include "base/clock.h"
#include "base/cpu_features.h"
#include "base/rng.h"
#include "cli/bench_report.h"
#include "cli/build_info.h"
#include "cli/command.h"
#include "cli/loaded_model.h"
#include "cli/model_catalogue.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "engine/memory_info.h"
#include "engine/runner.h"
#include "kernels/machine_probe.h"

namespace bantam::cli {
namespace {

struct Options {
  ComputeOptions compute;
  OutputOptions output;
  std::vector<int64_t> prefill = {128, 512, 2048}, context = {0, 2048, 8192}, batch = {1, 4, 8};
  int64_t decode_tok = 16;
  int repeats = 3;
  bool machine_only = false;
  std::string csv;
};

MachineLimits probe_machine(const kernels::Table& table, int threads) {
  MachineLimits out{.cpu = cpu_features().name, .isa = std::string(table.name), .threads = threads};
  for (int n = 1; n <= threads; n = n < threads && n * 2 > threads ? threads : n * 2) {
    ThreadPool pool(n);
    const auto fill = [&](std::vector<double>& list, double value) { list.resize(static_cast<size_t>(n), value); };
    fill(out.read_gbs, kernels::measure_read_gbs(pool));
    fill(out.fma_gflops, kernels::measure_fma_gflops(pool, table.name));
    fill(out.int8_gops, kernels::measure_int8_gops(pool, table.name));
    if (n == threads) break;
  }
  return out;
}

BenchModel describe(EngineImpl& engine, const Options& options) {
  const model::Weights& w = engine.weights();
  const model::Config& c = w.config;
  BenchModel out;
  out.name = engine.info().name;
  out.type = engine.info().weight_type;
  out.numerics = options.compute.numerics;
  out.kv = options.compute.kv;
  out.bytes = engine.info().weights_bytes;
  out.kv_bytes_per_tok = engine.info().kv_bytes_per_tok;
  model::for_each_tensor(w, [&](const model::TensorInfo& t) {
    if (t.matrix == nullptr || t.role == model::Role::kEmbed) return;
    out.step_bytes += kernels::packed_bytes(t.matrix->dtype, t.matrix->rows, t.matrix->cols);
    if (t.role != model::Role::kLmHead) out.linear_flop += 2.0 * static_cast<double>(t.matrix->rows * t.matrix->cols);
  });
  const kernels::PackedMatrix& head = w.lm_head.weight;
  if (c.tie_word_embeddings) out.step_bytes += kernels::packed_bytes(head.dtype, head.rows, head.cols);
  out.head_flop = 2.0 * static_cast<double>(head.rows * head.cols);
  out.attention_flop = 4.0 * static_cast<double>(c.num_hidden_layers * c.num_attention_heads * c.head_dim);
  out.integer = options.compute.numerics == "fast" && info(w.layers[0].gate.weight.dtype).is_quant;
  return out;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

class Bench {
 public:
  Bench(EngineImpl& engine, const Options& options) : engine_(engine), options_(options) {}

  Result<BenchRow> prefill(int64_t tok) {
    std::vector<double> speeds;
    const std::vector<int32_t> tokens = random_tokens(tok);
    for (int r = 0; r < options_.repeats; ++r) {
      if (interrupted()) return interrupted_status();
      SessionImpl session(&engine_);
      const Stopwatch watch;
      for (int64_t done = 0; done < tok;) {
        const int64_t n = std::min(engine_.options().chunk_tok, tok - done);
        const EngineImpl::Part part{&session,
                                    std::span(tokens).subspan(static_cast<size_t>(done), static_cast<size_t>(n)),
                                    done + n == tok ? EngineImpl::Rows::kLast : EngineImpl::Rows::kNone};
        BANTAM_TRY(engine_.run(std::span(&part, 1)));
        done += n;
      }
      speeds.push_back(1000.0 * static_cast<double>(tok) / watch.elapsed_ms());
    }
    return BenchRow{.work = "prefill", .tokens = tok, .tok_s = median(speeds)};
  }

  Result<BenchRow> decode(int64_t context, int64_t batch) {
    std::vector<std::unique_ptr<SessionImpl>> sessions;
    for (int64_t i = 0; i < batch; ++i) {
      sessions.push_back(std::make_unique<SessionImpl>(&engine_));
      BANTAM_TRY(engine_.fill_with_noise(*sessions.back(), context, static_cast<uint64_t>(i) + 1));
    }
    const std::vector<int32_t> tokens = random_tokens(batch);
    std::vector<double> speeds;
    for (int64_t step = 0; step <= options_.decode_tok; ++step) {
      if (interrupted()) return interrupted_status();
      std::vector<EngineImpl::Part> parts;
      for (int64_t i = 0; i < batch; ++i) {
        parts.push_back({sessions[static_cast<size_t>(i)].get(), std::span(tokens).subspan(static_cast<size_t>(i), 1),
                         EngineImpl::Rows::kLast});
      }
      const Stopwatch watch;
      BANTAM_TRY(engine_.run(parts));
      if (step > 0) speeds.push_back(1000.0 * static_cast<double>(batch) / watch.elapsed_ms());  // the first warms up
    }
    return BenchRow{
        .work = "decode", .tokens = options_.decode_tok, .context = context, .batch = batch, .tok_s = median(speeds)};
  }

 private:
  std::vector<int32_t> random_tokens(int64_t n) const {
    Philox rng(7);
    std::vector<int32_t> out(static_cast<size_t>(n));
    for (int32_t& id : out) id = static_cast<int32_t>(rng.below(static_cast<uint32_t>(engine_.info().vocab_rows)));
    return out;
  }

  EngineImpl& engine_;
  const Options& options_;
};

// The KV the largest decode row needs, kept to half of the free memory: rows beyond it are skipped and said so.
int64_t pool_tokens(const Options& options, int64_t kv_bytes_per_tok) {
  int64_t wanted = *std::max_element(options.prefill.begin(), options.prefill.end());
  for (int64_t context : options.context) {
    for (int64_t batch : options.batch) wanted = std::max(wanted, batch * (context + options.decode_tok + 128));
  }
  return std::min(wanted, engine::available_memory_bytes() / 2 / std::max<int64_t>(kv_bytes_per_tok, 1));
}

Result<std::unique_ptr<EngineImpl>> load(const Options& options, const OutputOptions& output) {
  BANTAM_TRY_ASSIGN(const ModelSource source, find_model(options.compute.model));
  BANTAM_TRY_ASSIGN(const formats::Checkpoint checkpoint,
                    open_checkpoint(options.compute.model, formats::Weights::kRequired));
  BANTAM_TRY_ASSIGN(const model::Config config, model::read_config(checkpoint));
  EngineOptions engine = engine_options(options.compute);
  const DType kv = engine::kv_dtype(engine.kv);
  const int64_t deepest = *std::max_element(options.context.begin(), options.context.end()) + options.decode_tok + 2;
  const int64_t longest = std::max(deepest, *std::max_element(options.prefill.begin(), options.prefill.end()));
  if (engine.context_tok == 0) engine.context_tok = std::min(longest, model::native_context(config));
  engine.pool_tok = pool_tokens(options, model::kv_layout(config, kv).token_bytes());
  ProgressBar bar(output, "loading", "bytes");
  BANTAM_TRY_ASSIGN(auto loaded, EngineImpl::load(source, engine, [&](int64_t done, int64_t total) {
                      bar.update(done, total);
                      return !interrupted();
                    }));
  tell_cache(output, *loaded);
  (void)loaded->finish_packed_cache();  // what is still being written would be measured too
  return loaded;
}

Status run_rows(Bench& bench, EngineImpl& engine, const Options& options, const MachineLimits& machine,
                const BenchModel& model, std::vector<BenchRow>* rows) {
  const auto add = [&](BenchRow row) {
    judge(machine, model, &row);
    if (!options.output.json) print_row(row);
    rows->push_back(std::move(row));
  };
  const auto skip = [&](std::string_view what) { note(options.output, fmt::format("  skipped: {}", what)); };
  for (int64_t tok : options.prefill) {
    if (tok > engine.info().context_tok) {
      skip(fmt::format("prefill {}: the context is {}", tok, engine.info().context_tok));
      continue;
    }
    BANTAM_TRY_ASSIGN(BenchRow row, bench.prefill(tok));
    add(std::move(row));
  }
  for (int64_t context : options.context) {
    for (int64_t batch : options.batch) {
      const int64_t pages = batch * ((context + options.decode_tok + 1) / kernels::kPageTok + 1);
      if (context + options.decode_tok + 1 > engine.info().context_tok || pages > engine.kv().free_pages() ||
          batch > engine.options().batch_rows) {
        skip(fmt::format("decode at context {} with batch {}: it does not fit", context, batch));
        continue;
      }
      BANTAM_TRY_ASSIGN(BenchRow row, bench.decode(context, batch));
      add(std::move(row));
    }
  }
  return {};
}

Status run_bench(Options& options) {
  BANTAM_TRY_ASSIGN(const kernels::Table* table, kernels::find_table(options.compute.isa));
  const int threads = options.compute.threads > 0 ? options.compute.threads : cpu_features().cores;
  const MachineLimits machine = probe_machine(*table, threads);
  std::vector<BenchRow> rows;
  if (!options.output.json) print_machine(machine);
  if (options.machine_only) {
    if (options.output.json) fmt::print("{}\n", report_json(machine, nullptr, rows));
    return {};
  }
  BANTAM_TRY_ASSIGN(const auto engine, load(options, options.output));
  const BenchModel model = describe(*engine, options);
  if (!options.output.json) {
    fmt::print("\n{} · {} · {} · numerics {} · kv {}\n", model.name, model.type, human_bytes(model.bytes),
               model.numerics, model.kv);
    print_row_header();
  }
  Bench bench(*engine, options);
  BANTAM_TRY(run_rows(bench, *engine, options, machine, model, &rows));
  if (options.output.json) fmt::print("{}\n", report_json(machine, &model, rows));
  if (!options.csv.empty()) return append_csv(options.csv, kCommit, machine, model, rows);
  return {};
}

}  // namespace

void add_bench(CLI::App& app, Dispatch& dispatch) {
  auto* command = app.add_subcommand("bench", "the machine's limits and the model's speed in one run");
  auto& options = declare<Options>(*command, dispatch, run_bench);
  add_model_argument(*command, &options.compute);
  const auto add_numbers = [&](const char* name, std::vector<int64_t>* out, int64_t low, int64_t high,
                               const char* help) {
    command->add_option(name, *out, help)
        ->delimiter(',')
        ->allow_extra_args(false)
        ->check(integer_in(low, high))
        ->option_text("N,N,...");
  };
  add_numbers("--prefill", &options.prefill, 1, 1 << 20, "prompt lengths; default: 128,512,2048");
  add_numbers("--context", &options.context, 0, 1 << 20, "depths at which decode is measured; default: 0,2048,8192");
  add_numbers("--batch", &options.batch, 1, 64, "sequences decoded together; default: 1,4,8");
  command->add_option("--decode-tokens", options.decode_tok, "steps per decode row; the median counts")
      ->check(integer_in(1, 4096))
      ->capture_default_str();
  command->add_option("--repeats", options.repeats, "runs per prefill row; the median counts")
      ->check(integer_in(1, 100))
      ->capture_default_str();
  command->add_flag("--machine", options.machine_only, "only the machine's limits");
  command->add_option("--csv", options.csv, "append the rows to this file");
  add_compute_options(*command, &options.compute);
  add_output_options(*command, &options.output, true);
  command->footer(
      "Examples:\n"
      "  bantam bench --machine\n"
      "  bantam bench ./Qwen3-4B-Q4_0.gguf --csv speeds.csv\n"
      "  bantam bench --prefill 128 --context 0 --batch 1 --json");
}

}  // namespace bantam::cli
