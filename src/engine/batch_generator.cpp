// See batch_generator.h.
#include "engine/batch_generator.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/clock.h"
#include "base/result.h"
#include "engine/kv_snapshot.h"
#include "engine/runner.h"
#include "engine/sampler.h"

namespace bantam::engine {

struct BatchGenerator::Running {
  // An answer, or an embedding.
  std::unique_ptr<AnswerBuilder> answer;
  std::function<void(Generation)> on_done;
  std::unique_ptr<EmbeddingPool> pool;
  std::function<void(std::vector<float>)> on_embedding;

  std::function<void(int64_t, int64_t, int64_t)> on_progress;
  std::function<void(std::vector<Sampled>)> on_prompt;
  int64_t prompt_tok = 0, cached_tok = 0;
  int64_t read_tok = 0;       // of the prompt; what is read again after giving way does not count
  int32_t top_logprobs = -1;  // of the prompt's tokens
  std::vector<Sampled> prompt_logprobs;
  Stopwatch since_start;  // of the first forward it takes part in
  bool started = false;
  double prompt_ms = 0;  // to the first token's logits

  // Whether the row after the part's last token is computed.
  bool wants_row(const Scheduler::Part& part) const { return part.wants_token && answer && answer->open(); }
};

namespace {
SchedulerOptions fitted(SchedulerOptions options, EngineImpl& engine) {
  options.context_tok = engine.info().context_tok;
  options.page_tok = kernels::kPageTok;
  options.step_tok = std::min(options.step_tok, engine.options().chunk_tok);
  options.running = std::min({options.running, engine.options().batch_rows, options.step_tok});
  options.rows = engine.options().batch_rows;
  return options;
}
}  // namespace

BatchGenerator::BatchGenerator(Engine& engine, const text::Tokenizer& tokenizer, SchedulerOptions options)
    : engine_(engine),
      tokenizer_(tokenizer),
      options_(fitted(options, engine.impl())),
      scheduler_(options_, &engine.impl().kv()),
      pace_(options_.prefill_tok, options_.most_slower) {
  scheduler_.set_prefill_tok(pace_.tok());
}

BatchGenerator::~BatchGenerator() = default;

Status BatchGenerator::check_ids(std::span<const int32_t> ids) const {
  for (int32_t id : ids) {
    if (id < 0 || id >= engine_.info().vocab_rows) {
      return bad_input("token id {}: expected 0 to {}", id, engine_.info().vocab_rows - 1);
    }
  }
  return {};
}

Status BatchGenerator::submit(Job job) {
  BANTAM_TRY(check_ids(job.prompt));
  const GenerateOptions& options = job.options;
  const auto prompt_tok = static_cast<int64_t>(job.prompt.size());
  if (options.resumed_tok < 0 || options.resumed_tok > prompt_tok) {
    return usage_error("resumed tokens: expected 0 to the prompt's {}, got {}", prompt_tok, options.resumed_tok);
  }
  BANTAM_TRY(scheduler_.submit({.id = job.id,
                                .owner = job.owner,
                                .prompt = job.prompt,
                                .all_rows = options.prompt_logprobs >= 0,
                                .step_tok = job.step_tok}));
  auto running = std::make_unique<Running>();
  running->answer = std::make_unique<AnswerBuilder>(tokenizer_, options, job.prompt, std::move(job.on_delta),
                                                    std::move(job.on_token));
  running->on_done = std::move(job.on_done);
  running->on_progress = std::move(job.on_progress);
  running->on_prompt = std::move(job.on_prompt);
  running->prompt_tok = prompt_tok;
  running->top_logprobs = options.prompt_logprobs;
  if (options.prompt_logprobs >= 0) {
    for (int32_t id : job.prompt) running->prompt_logprobs.push_back({.id = id, .logprob = 0, .top = {}});
  }
  running_.emplace(job.id, std::move(running));
  return {};
}

Status BatchGenerator::submit_embedding(EmbeddingJob job) {
  BANTAM_TRY(check_ids(job.prompt));
  const auto prompt_tok = static_cast<int64_t>(job.prompt.size());
  BANTAM_TRY(scheduler_.submit({.id = job.id,
                                .owner = std::move(job.owner),
                                .prompt = std::move(job.prompt),
                                .all_hidden = job.pooling == Pooling::kMean}));
  auto running = std::make_unique<Running>();
  running->pool = std::make_unique<EmbeddingPool>(job.pooling, engine_.info().hidden);
  running->on_embedding = std::move(job.on_done);
  running->prompt_tok = prompt_tok;
  running_.emplace(job.id, std::move(running));
  return {};
}

bool BatchGenerator::cancel(int64_t id) {
  const auto found = running_.find(id);
  if (found == running_.end()) return false;
  if (in_step_) {
    cancelled_.push_back(id);
    return true;
  }
  Running& running = *found->second;
  running.cached_tok = scheduler_.cached_tok(id);
  scheduler_.cancel(id);
  if (running.answer) running.answer->cancel();
  running.pool.reset();
  end(id);
  return true;
}

Result<int64_t> BatchGenerator::save_prefix(const std::string& owner, std::span<const int32_t> tokens,
                                            const std::string& path) {
  BANTAM_CHECK(!in_step_);
  EngineImpl& impl = engine_.impl();
  const std::vector<int32_t> pages = scheduler_.find_prefix(owner, tokens);
  auto saved = write_kv_snapshot(path, impl.kv_identity(), tokens, impl.kv(), pages);
  scheduler_.give_back(pages);
  return saved;
}

Result<int64_t> BatchGenerator::restore_prefix(const std::string& owner, const std::string& path) {
  BANTAM_CHECK(!in_step_);
  if (!options_.prefix_cache) return usage_error("{}: beginnings are not remembered here", path);
  EngineImpl& impl = engine_.impl();
  BANTAM_TRY_ASSIGN(const KvSnapshot snapshot,
                    KvSnapshot::open(path, impl.kv_identity(), impl.kv().layout(), engine_.info().vocab_rows));
  std::vector<int32_t> pages = scheduler_.take_pages(snapshot.pages());
  for (size_t i = 0; i < pages.size(); ++i) {
    Status status = snapshot.read_page(static_cast<int64_t>(i), &impl.kv(), pages[i]);
    if (status.ok()) continue;
    scheduler_.give_back(pages);
    return status;
  }
  const size_t tok = pages.size() * static_cast<size_t>(kernels::kPageTok);
  scheduler_.add_prefix(owner, snapshot.tokens().first(tok), std::move(pages));
  return static_cast<int64_t>(tok);
}

Status BatchGenerator::step() {
  const std::span<const Scheduler::Part> parts = scheduler_.begin_step();
  if (parts.empty()) return {};
  in_step_ = true;
  const Stopwatch watch;
  int64_t decoding = 0, prefill_tok = 0;
  for (const Scheduler::Part& part : parts) {
    const bool decodes = part.start >= running_.at(part.id)->prompt_tok;
    (decodes ? decoding : prefill_tok) += static_cast<int64_t>(part.tokens.size());
  }
  run_forward(parts);
  std::vector<Scheduler::Choice> choices;
  std::vector<int64_t> ended;
  const auto vocab = static_cast<size_t>(engine_.info().vocab_rows);
  const float* row = engine_.impl().workspace_logits();
  int64_t first = 0;  // the part's first token in the step
  for (const Scheduler::Part& part : parts) {
    Running& running = *running_.at(part.id);
    const auto n = static_cast<int64_t>(part.tokens.size());
    const bool has_row = part.all_rows || running.wants_row(part);
    if (running.pool) running.pool->add(part.start, engine_.impl().final_hidden(first, n));
    first += n;
    if (part.all_rows) {
      use_prompt_rows(part, row);
      row += static_cast<size_t>(n - 1) * vocab;
    }
    report_progress(part);
    if (part.wants_token) {
      choices.push_back(choose(part, {row, vocab}));
      if (choices.back().done) {
        running.cached_tok = scheduler_.cached_tok(part.id);
        ended.push_back(part.id);
      }
    }
    if (has_row) row += vocab;
  }
  scheduler_.end_step(choices);
  pace_.observe(decoding, prefill_tok, watch.elapsed_ms());
  scheduler_.set_prefill_tok(pace_.tok());
  for (int64_t id : ended) end(id);
  in_step_ = false;
  for (int64_t id : std::exchange(cancelled_, {})) cancel(id);
  return {};
}

void BatchGenerator::run_forward(std::span<const Scheduler::Part> parts) {
  std::vector<EngineImpl::PagedPart> paged;
  paged.reserve(parts.size());
  for (const Scheduler::Part& part : parts) {
    Running& running = *running_.at(part.id);
    if (!running.started) running.since_start = Stopwatch();
    running.started = true;
    const auto rows = part.all_rows             ? EngineImpl::Rows::kAll
                      : running.wants_row(part) ? EngineImpl::Rows::kLast
                                                : EngineImpl::Rows::kNone;
    paged.push_back({part.tokens, part.start, part.pages, rows});
    if (part.copy_from < 0) continue;
    engine_.impl().kv().copy(part.copy_from, part.pages[static_cast<size_t>(part.start / kernels::kPageTok)]);
  }
  engine_.impl().forward(paged);
}

// The rows after the part's tokens [n, V] are about the tokens that follow them.
void BatchGenerator::use_prompt_rows(const Scheduler::Part& part, const float* rows) {
  Running& running = *running_.at(part.id);
  EngineImpl& impl = engine_.impl();
  const auto vocab = static_cast<size_t>(engine_.info().vocab_rows);
  std::vector<Sampled>& all = running.prompt_logprobs;
  const auto n = std::min(static_cast<int64_t>(part.tokens.size()), running.prompt_tok - 1 - part.start);
  impl.pool().parallel(std::max<int64_t>(0, n), [&](int64_t i, int) {
    Sampled& next = all[static_cast<size_t>(part.start + i + 1)];
    const std::span<const float> row(rows + static_cast<size_t>(i) * vocab, vocab);
    next = given_token(row, impl.mask(), next.id, running.top_logprobs);
  });
}

void BatchGenerator::report_progress(const Scheduler::Part& part) {
  Running& running = *running_.at(part.id);
  const int64_t read = std::min(part.start + static_cast<int64_t>(part.tokens.size()), running.prompt_tok);
  if (read <= running.read_tok) return;
  running.read_tok = read;
  if (running.on_progress) running.on_progress(read, running.prompt_tok, scheduler_.cached_tok(part.id));
}

Scheduler::Choice BatchGenerator::choose(const Scheduler::Part& part, std::span<const float> logits) {
  Running& running = *running_.at(part.id);
  return running.answer ? choose_answer(running, part.id, logits) : Scheduler::Choice{-1, true};
}

Scheduler::Choice BatchGenerator::choose_answer(Running& running, int64_t id, std::span<const float> logits) {
  AnswerBuilder& answer = *running.answer;
  const std::span<const int32_t> tokens = scheduler_.tokens(id);
  const auto size = static_cast<int64_t>(tokens.size());
  if (size == running.prompt_tok) {
    running.prompt_ms = running.since_start.elapsed_ms();
    if (running.on_prompt && running.top_logprobs >= 0) running.on_prompt(running.prompt_logprobs);
  }
  if (!answer.open()) return {-1, true};
  const auto generated = tokens.subspan(static_cast<size_t>(answer.generated_from()));
  Sampled next = sample_token(logits, engine_.impl().mask(), answer.sampling(), tokens, generated, size,
                              engine_.impl().sampler_scratch());
  const int32_t chosen = next.id;
  answer.push(std::move(next), scheduler_.limit_tok() - size);
  return {chosen, !answer.open()};
}

void BatchGenerator::end(int64_t id) {
  const std::unique_ptr<Running> running = std::move(running_.at(id));
  running_.erase(id);
  if (!running->answer) {
    running->on_embedding(running->pool ? running->pool->finish() : std::vector<float>());
    return;
  }
  Generation out = running->answer->finish();
  out.prompt_logprobs = std::move(running->prompt_logprobs);
  out.prompt_tok = running->prompt_tok;
  out.cached_tok = running->cached_tok;
  out.prompt_ms = running->prompt_ms;
  out.predicted_ms = running->started ? running->since_start.elapsed_ms() - running->prompt_ms : 0;
  running->on_done(std::move(out));
}

}  // namespace bantam::engine
