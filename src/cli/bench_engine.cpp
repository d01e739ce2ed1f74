// See bench_engine.h.
#include "cli/bench_engine.h"

#include <algorithm>

#include "base/clock.h"
#include "base/rng.h"
#include "cli/child_process.h"
#include "cli/interrupt.h"

namespace bantam::cli {

namespace {

constexpr int64_t kWarmUpTok = 32;

}  // namespace

BenchModel describe(const EngineImpl& engine, const ComputeOptions& compute) {
  const model::Weights& w = engine.weights();
  const model::Config& c = w.config;
  BenchModel out;
  out.name = engine.info().name;
  out.type = engine.info().weight_type;
  out.numerics = compute.numerics;
  out.kv = compute.kv;
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
  const bool fast = compute.numerics == "fast";
  out.integer = fast && info(w.layers[0].gate.weight.dtype).is_quant;
  out.integer_kv = fast && kernels::kv_is_quant(engine::kv_dtype(engine.options().kv));
  return out;
}

std::string OwnTurns::obstacle() const {
  // A decode turn takes one step more, to warm up.
  const int64_t deepest = work_.context + work_.tokens + (work_.work == "decode" ? 1 : 0);
  if (deepest > engine_.info().context_tok) {
    return fmt::format("{} tokens of context are needed, {} are there", deepest, engine_.info().context_tok);
  }
  if (work_.batch * (deepest / kernels::kPageTok + 1) > engine_.kv().free_pages()) {
    return "its keys and values do not fit the memory";
  }
  if (work_.batch > engine_.options().batch_rows) {
    return fmt::format("at most {} sequences are decoded together", engine_.options().batch_rows);
  }
  return "";
}

Status OwnTurns::prepare() {
  for (int64_t i = 0; i < work_.batch; ++i) {
    sessions_.push_back(std::make_unique<SessionImpl>(&engine_));
    if (work_.context > 0) {
      BANTAM_TRY(engine_.fill_with_noise(*sessions_.back(), work_.context, static_cast<uint64_t>(i) + 1));
    }
  }
  tokens_ = random_tokens(work_.work == "decode" ? work_.batch : work_.tokens);
  return {};
}

Result<double> OwnTurns::turn() {
  Result<double> out = work_.work == "decode" ? decode_turn() : prefill_turn();
  for (const auto& session : sessions_) engine_.truncate(*session, work_.context);
  return out;
}

Result<double> OwnTurns::prefill_turn() {
  const std::span<const int32_t> prompt(tokens_);
  BANTAM_TRY(append(prompt.first(static_cast<size_t>(std::min(kWarmUpTok, work_.tokens)))));
  engine_.truncate(*sessions_[0], work_.context);
  const Stopwatch watch;
  BANTAM_TRY(append(prompt));
  return 1e3 * static_cast<double>(work_.tokens) / watch.elapsed_ms();
}

Result<double> OwnTurns::decode_turn() {
  BANTAM_TRY(step());
  const Stopwatch watch;
  for (int64_t i = 0; i < work_.tokens; ++i) BANTAM_TRY(step());
  return 1e3 * static_cast<double>(work_.tokens * work_.batch) / watch.elapsed_ms();
}

// Appends to the one sequence in the engine's chunks; logits for the last token, as an answer needs them.
Status OwnTurns::append(std::span<const int32_t> tokens) {
  while (!tokens.empty()) {
    if (interrupted()) return interrupted_status();
    const size_t n = std::min(static_cast<size_t>(engine_.options().chunk_tok), tokens.size());
    const EngineImpl::Part part{sessions_[0].get(), tokens.first(n),
                                n == tokens.size() ? EngineImpl::Rows::kLast : EngineImpl::Rows::kNone};
    BANTAM_TRY(engine_.run(std::span(&part, 1)));
    tokens = tokens.subspan(n);
  }
  return {};
}

Status OwnTurns::step() {
  if (interrupted()) return interrupted_status();
  std::vector<EngineImpl::Part> parts;
  for (size_t i = 0; i < sessions_.size(); ++i) {
    parts.push_back({sessions_[i].get(), std::span(tokens_).subspan(i, 1), EngineImpl::Rows::kLast});
  }
  return engine_.run(parts);
}

std::vector<int32_t> OwnTurns::random_tokens(int64_t n) const {
  Philox rng(7);
  std::vector<int32_t> out(static_cast<size_t>(n));
  for (int32_t& id : out) id = static_cast<int32_t>(rng.below(static_cast<uint32_t>(engine_.info().vocab_rows)));
  return out;
}

Result<Start> measure_start(const ComputeOptions& compute, double limit_s) {
  // `score` needs no tokenizer; two ids make it compute exactly one token.
  std::vector<std::string> argv = {"/proc/self/exe", "score"};
  if (!compute.model.empty()) argv.push_back(compute.model);
  for (const std::string& word : {std::string("-"), std::string("--quiet"), std::string("--ctx"), std::string("512"),
                                  "--numerics=" + compute.numerics, "--kv=" + compute.kv}) {
    argv.push_back(word);
  }
  if (compute.threads > 0) argv.push_back(fmt::format("--threads={}", compute.threads));
  if (!compute.isa.empty()) argv.push_back("--isa=" + compute.isa);
  BANTAM_TRY_ASSIGN(const ChildReport report, run_child(argv, "{\"ids\":[1,2]}\n", limit_s));
  if (report.exit_code != 0) return failed("bantam score, to measure a start: {}", quote(report));
  return Start{report.first_output_ms, report.peak_rss_bytes};
}

}  // namespace bantam::cli
