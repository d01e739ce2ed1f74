// bantam bench: the machine's limits and the model's speed in one run, each speed as a share of its limit; with a peer,
// both engines in turns on the same file. What is measured how is in bench_engine, bench_peer and bench_machine; this
// file decides what is measured and in which order.
#include <algorithm>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "base/cpu_features.h"
#include "cli/bench_engine.h"
#include "cli/bench_history.h"
#include "cli/bench_peer.h"
#include "cli/bench_report.h"
#include "cli/build_info.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/loaded_model.h"
#include "cli/model_catalogue.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "engine/memory_info.h"

namespace bantam::cli {
namespace {

struct Options {
  ComputeOptions compute;
  OutputOptions output;
  PeerOptions peer;
  std::vector<int64_t> prefill = {128, 512, 2048}, prefill_context = {0}, context = {0, 2048, 8192}, batch = {1, 4, 8};
  int64_t decode_tok = 16;
  int repeats = 3;
  bool machine_only = false, no_start = false, no_prefill = false, no_decode = false;
  bool works_given = false;  // the user chose what is measured
  std::string csv, check;
  double tolerance = 0.15;
  int64_t time_limit_s = 1800;

  bool has_peer() const { return !peer.path.empty(); }
};

std::vector<BenchWork> works_of(const Options& options) {
  std::vector<BenchWork> out;
  if (!options.no_start) out.push_back({.work = "start", .tokens = 1});
  for (int64_t context : options.no_prefill ? std::vector<int64_t>() : options.prefill_context) {
    for (int64_t tok : options.prefill) out.push_back({.work = "prefill", .tokens = tok, .context = context});
  }
  for (int64_t context : options.no_decode ? std::vector<int64_t>() : options.context) {
    for (int64_t batch : options.batch) {
      out.push_back({.work = "decode", .tokens = options.decode_tok, .context = context, .batch = batch});
    }
  }
  return out;
}

// Tokens of KV that the largest work needs, kept to half of the free memory: works beyond it are skipped and said so.
int64_t pool_tokens(const std::vector<BenchWork>& works, int64_t kv_bytes_per_tok) {
  int64_t wanted = 1;
  for (const BenchWork& work : works) {
    wanted = std::max(wanted, work.batch * (work.context + work.tokens + 2 * kernels::kPageTok));
  }
  return std::min(wanted, engine::available_memory_bytes() / 2 / std::max<int64_t>(kv_bytes_per_tok, 1));
}

Result<std::unique_ptr<EngineImpl>> load(const Options& options, const std::vector<BenchWork>& works) {
  BANTAM_TRY_ASSIGN(const ModelSource source, find_model(options.compute.model));
  BANTAM_TRY_ASSIGN(const formats::Checkpoint checkpoint,
                    open_checkpoint(options.compute.model, formats::Weights::kRequired));
  BANTAM_TRY_ASSIGN(const model::Config config, model::read_config(checkpoint));
  EngineOptions engine = engine_options(options.compute);
  const DType kv = engine::kv_dtype(engine.kv);
  int64_t deepest = 16;
  for (const BenchWork& work : works) deepest = std::max(deepest, work.context + work.tokens + 2);
  if (engine.context_tok == 0) engine.context_tok = std::min(deepest, model::native_context(config));
  engine.pool_tok = pool_tokens(works, model::kv_layout(config, kv).token_bytes());
  ProgressBar bar(options.output, "loading", "bytes");
  BANTAM_TRY_ASSIGN(auto loaded, EngineImpl::load(source, engine, [&](int64_t done, int64_t total) {
                      bar.update(done, total);
                      return !interrupted();
                    }));
  tell_cache(options.output, *loaded);
  (void)loaded->finish_packed_cache();  // what is still being written would be measured too
  return loaded;
}

// The whole run: rows as they come, and what was left out.
class Run {
 public:
  Run(const Options& options, MachineProbe& probe, EngineImpl& engine, Peer* peer)
      : options_(options), probe_(probe), engine_(engine), peer_(peer), model_(describe(engine, options.compute)) {}

  const BenchModel& model() const { return model_; }
  const std::vector<BenchRow>& rows() const { return rows_; }
  const std::vector<std::string>& skipped() const { return skipped_; }

  Status measure(const std::vector<BenchWork>& works) {
    for (const BenchWork& work : works) BANTAM_TRY(measure_row(work));
    return {};
  }

 private:
  double seconds_left() const { return static_cast<double>(options_.time_limit_s) - clock_.elapsed_ms() / 1e3; }

  void skip(const BenchWork& work, std::string_view why) {
    skipped_.push_back(fmt::format("{}: {}", work.text(), why));
    note(options_.output, "  skipped: " + skipped_.back());
  }

  Status measure_row(const BenchWork& work) {
    if (seconds_left() <= 0) {
      skip(work, fmt::format("the {} s of --time-limit are over", options_.time_limit_s));
      return {};
    }
    OwnTurns own(engine_, work);
    if (const std::string why = work.work == "start" ? "" : own.obstacle(); !why.empty()) {
      skip(work, why);
      return {};
    }
    BenchRow row{.work = work, .own = {}, .bound = {}, .rates = {}, .peers = {}};
    if (peer_ != nullptr) add_peers(work, &row);
    if (work.work != "start") BANTAM_TRY(own.prepare());
    std::vector<Rates> probes;
    for (int round = 0; round < options_.repeats; ++round) {
      // Without a peer one probe stands beside the row; with one, a probe beside every turn.
      if (round == 0 || peer_ != nullptr) probes.push_back(probe_.beside());
      BANTAM_TRY(own_turn(own, &row));
      for (PeerSpeed& peer : row.peers) {
        probes.push_back(probe_.beside());
        BANTAM_TRY_ASSIGN(const PeerTurn turn, peer_->turn(work, peer.flags, std::max(seconds_left(), 1.0)));
        peer.speed.turns.push_back(turn.tok_s);
        peer.speed.peak_rss_bytes = std::max(peer.speed.peak_rss_bytes, turn.peak_rss_bytes);
        peer.commit = turn.commit;
      }
      if (seconds_left() <= 0) break;  // the row keeps the rounds that it has
    }
    row.rates = median_rates(probes);
    judge(model_, &row);
    if (!options_.output.json) print_row(row, peer_ != nullptr);
    rows_.push_back(std::move(row));
    return {};
  }

  Status own_turn(OwnTurns& own, BenchRow* row) {
    if (interrupted()) return interrupted_status();
    if (row->work.work == "start") {
      BANTAM_TRY_ASSIGN(const Start start, measure_start(options_.compute, std::max(seconds_left(), 1.0)));
      row->own.turns.push_back(1e3 / start.first_token_ms);
      row->own.peak_rss_bytes = std::max(row->own.peak_rss_bytes, start.peak_rss_bytes);
      return {};
    }
    BANTAM_TRY_ASSIGN(const double tok_s, own.turn());
    row->own.turns.push_back(tok_s);
    return {};
  }

  // The peer's settings for this work, unless it cannot do it.
  void add_peers(const BenchWork& work, BenchRow* row) {
    const std::vector<std::string> variants = peer_->variants(work);
    const double turns = static_cast<double>(options_.repeats) * static_cast<double>(variants.size());
    if (const std::string why = peer_->obstacle(work, seconds_left() / turns); !why.empty()) {
      skip(work, peer_->name() + ": " + why);
      return;
    }
    for (const std::string& flags : variants) {
      row->peers.push_back({.engine = peer_->name(),
                            .commit = "",
                            .flags = flags,
                            .speed = {},
                            .ratio = 0,
                            .ratio_min = 0,
                            .ratio_max = 0});
    }
  }

  const Options& options_;
  MachineProbe& probe_;
  EngineImpl& engine_;
  Peer* peer_;
  BenchModel model_;
  Stopwatch clock_;
  std::vector<BenchRow> rows_;
  std::vector<std::string> skipped_;
};

// The works to measure: as asked, or with --check and nothing asked those of the file.
Result<std::vector<BenchWork>> choose_works(const Options& options, const BenchHistory* history) {
  std::vector<BenchWork> works = works_of(options);
  if (history == nullptr || options.works_given) return works;
  if (history->works().empty()) {
    return failed("{}: has no rows of this CPU, instruction set, thread count and model", options.check);
  }
  works = history->works();
  std::erase_if(works, [&](const BenchWork& w) {
    return w.work == "start" ? options.no_start : w.work == "prefill" ? options.no_prefill : options.no_decode;
  });
  return works;
}

Result<std::optional<Peer>> open_peer(const Options& options, int threads) {
  if (!options.has_peer()) return std::optional<Peer>();
  BANTAM_TRY_ASSIGN(const ModelSource source, find_model(options.compute.model));
  const std::string& model = source.path;
  if (!model.ends_with(".gguf"))
    return usage_error("--peer: expected MODEL to be a .gguf file, which both can read, got {:?}", model);
  BANTAM_TRY_ASSIGN(Peer peer, Peer::open(options.peer, model, threads));
  return std::optional<Peer>(std::move(peer));
}

Status check_peer_options(const Options& options) {
  if (options.has_peer()) return {};
  if (!options.peer.variants.empty() || !options.peer.name.empty() || !options.peer.batched_path.empty() ||
      !options.peer.batched_args.empty()) {
    return usage_error("--peer-args, --peer-name, --peer-batched and --peer-batched-args go with --peer");
  }
  return {};
}

void announce(const Options& options, const BenchModel& model, const Peer* peer) {
  if (options.output.json) return;
  fmt::print("\n{} · {} · {} · numerics {} · kv {}\n", model.name, model.type, human_bytes(model.bytes), model.numerics,
             model.kv);
  if (peer != nullptr) {
    note(options.output, fmt::format("in turns with {}, {} rounds a row, medians; at most {} s (--time-limit)",
                                     peer->name(), options.repeats, options.time_limit_s));
  }
  print_row_header(peer != nullptr);
}

// What memory is made ready for: everything that may be measured. Which lines of the file are this model's is known
// only after loading.
Result<std::vector<BenchWork>> possible_works(const Options& options) {
  if (options.check.empty() || options.works_given) return works_of(options);
  return BenchHistory::works_in(options.check);
}

Status run_bench(Options& options) {
  BANTAM_TRY(check_peer_options(options));
  BANTAM_TRY_ASSIGN(const kernels::Table* table, kernels::find_table(options.compute.isa));
  const int threads = options.compute.threads > 0 ? options.compute.threads : cpu_features().cores;
  BANTAM_TRY_ASSIGN(std::optional<Peer> peer, open_peer(options, threads));
  MachineProbe probe(*table, threads);
  const MachineLimits machine = probe.all_counts();
  if (!options.output.json) print_machine(machine);
  if (options.machine_only) {
    if (options.output.json) fmt::print("{}\n", report_json(machine, nullptr, {}, {}, {}));
    return {};
  }
  BANTAM_TRY_ASSIGN(const auto possible, possible_works(options));
  BANTAM_TRY_ASSIGN(const auto engine, load(options, possible));
  Run run(options, probe, *engine, peer.has_value() ? &*peer : nullptr);
  std::optional<BenchHistory> history;
  if (!options.check.empty()) {
    BANTAM_TRY_ASSIGN(history, BenchHistory::read(options.check, machine, run.model()));
  }
  BANTAM_TRY_ASSIGN(const auto works, choose_works(options, history.has_value() ? &*history : nullptr));
  announce(options, run.model(), peer.has_value() ? &*peer : nullptr);
  BANTAM_TRY(run.measure(works));
  std::vector<CheckLine> lines;
  if (history.has_value()) lines = compare(*history, run.rows(), options.tolerance);
  if (options.output.json) {
    fmt::print("{}\n", report_json(machine, &run.model(), run.rows(), run.skipped(), lines));
  } else {
    print_check(lines);
  }
  if (!options.csv.empty()) BANTAM_TRY(append_csv(options.csv, kCommit, machine, run.model(), run.rows()));
  return history.has_value() ? verdict(lines, options.check, options.tolerance) : Status();
}

void add_peer_options(CLI::App& command, PeerOptions* out) {
  constexpr const char* kGroup = "Another engine beside it";
  command.add_option("--peer", out->path, "its llama-bench: both run in turns on the same .gguf")
      ->option_text("PROGRAM")
      ->group(kGroup);
  add_list_option(command, "--peer-args", &out->variants,
                  "its further arguments, e.g. '-fa 1'; repeated: every setting is measured in turn")
      ->option_text("ARGS")
      ->group(kGroup);
  command.add_option("--peer-name", out->name, "what the rows call it; default: the program's file name")
      ->option_text("NAME")
      ->group(kGroup);
  command
      .add_option("--peer-batched", out->batched_path, "its llama-batched-bench, for rows with more than one sequence")
      ->option_text("PROGRAM")
      ->group(kGroup);
  command.add_option("--peer-batched-args", out->batched_args, "further arguments of that program")
      ->option_text("ARGS")
      ->group(kGroup);
}

void add_work_options(CLI::App& command, Options* options) {
  const auto add_numbers = [&](const char* name, std::vector<int64_t>* out, int64_t low, int64_t high,
                               const char* help) {
    command.add_option(name, *out, help)
        ->delimiter(',')
        ->allow_extra_args(false)
        ->check(integer_in(low, high))
        ->option_text("N,N,...")
        ->each([options](const std::string&) { options->works_given = true; });
  };
  add_numbers("--prefill", &options->prefill, 1, 1 << 20, "prompt lengths; default: 128,512,2048");
  add_numbers("--prefill-context", &options->prefill_context, 0, 1 << 20,
              "depths at which prefill is measured; default: 0");
  add_numbers("--context", &options->context, 0, 1 << 20, "depths at which decode is measured; default: 0,2048,8192");
  add_numbers("--batch", &options->batch, 1, 64, "sequences decoded together; default: 1,4,8");
  command.add_flag("--no-start", options->no_start, "no row of start to first token and resident memory");
  command.add_flag("--no-prefill", options->no_prefill, "no prefill rows");
  command.add_flag("--no-decode", options->no_decode, "no decode rows");
  command.add_option("--decode-tokens", options->decode_tok, "steps per turn of a decode row")
      ->check(integer_in(1, 4096))
      ->capture_default_str();
  command.add_option("--repeats", options->repeats, "turns per row; the median counts")
      ->check(integer_in(1, 100))
      ->capture_default_str();
  command.add_option("--time-limit", options->time_limit_s, "seconds after which no further row begins")
      ->check(integer_in(1, 1 << 20))
      ->capture_default_str();
}

}  // namespace

void add_bench(CLI::App& app, Dispatch& dispatch) {
  auto* command = app.add_subcommand("bench", "the machine's limits and the model's speed in one run");
  auto& options = declare<Options>(*command, dispatch, run_bench);
  add_model_argument(*command, &options.compute);
  add_work_options(*command, &options);
  command->add_flag("--machine", options.machine_only, "only the machine's limits");
  command->add_option("--csv", options.csv, "append the rows to this file")->option_text("FILE");
  command
      ->add_option(
          "--check", options.check,
          "compare with the rows of this CSV file for the same CPU and model; exit code 1 when worse. Measures "
          "the file's own rows unless others are asked for")
      ->option_text("FILE");
  command->add_option("--tolerance", options.tolerance, "how much less a share or ratio may be, as a part of it")
      ->check(number_in(0, 1))
      ->capture_default_str();
  add_peer_options(*command, &options.peer);
  add_compute_options(*command, &options.compute);
  add_output_options(*command, &options.output, true);
  command->footer(
      "Examples:\n"
      "  bantam bench --machine\n"
      "  bantam bench ./Qwen3-4B-Q4_0.gguf --csv speeds.csv\n"
      "  bantam bench ./Qwen3-4B-Q4_0.gguf --check speeds.csv\n"
      "  bantam bench ./Qwen3-4B-Q4_0.gguf --peer llama-bench --peer-args '-fa 0' --peer-args '-fa 1'\n"
      "  bantam bench --prefill 128 --context 0 --batch 1 --json");
}

}  // namespace bantam::cli
