// See batch_generator.h.
#include "engine/batch_generator.h"

#include <algorithm>

#include "base/clock.h"
#include "base/result.h"
#include "engine/runner.h"
#include "engine/sampler.h"

namespace bantam::engine {

struct BatchGenerator::Running {
  Running(const text::Tokenizer& tokenizer, Job job)
      : sampling(job.options.sampling),
        answer(tokenizer, job.options, std::move(job.on_delta)),
        on_done(std::move(job.on_done)),
        prompt_tok(static_cast<int64_t>(job.prompt.size())) {}

  SamplingOptions sampling;
  AnswerBuilder answer;
  std::function<void(Generation)> on_done;
  int64_t prompt_tok;
  int64_t cached_tok = 0;
  Stopwatch since_start;  // of the first forward it takes part in
  bool started = false;
  double prompt_ms = 0;  // to the first token's logits
};

namespace {
SchedulerOptions fitted(SchedulerOptions options, EngineImpl& engine) {
  options.context_tok = engine.info().context_tok;
  options.page_tok = kernels::kPageTok;
  options.step_tok = std::min(options.step_tok, engine.options().chunk_tok);
  options.running = std::min({options.running, engine.options().batch_rows, options.step_tok});
  return options;
}
}  // namespace

BatchGenerator::BatchGenerator(Engine& engine, const text::Tokenizer& tokenizer, SchedulerOptions options)
    : engine_(engine),
      tokenizer_(tokenizer),
      options_(fitted(options, engine.impl())),
      scheduler_(options_, &engine.impl().kv()) {}

BatchGenerator::~BatchGenerator() = default;

Status BatchGenerator::submit(Job job) {
  for (int32_t id : job.prompt) {
    if (id < 0 || id >= engine_.info().vocab_rows) {
      return bad_input("token id {}: expected 0 to {}", id, engine_.info().vocab_rows - 1);
    }
  }
  const int64_t id = job.id;
  BANTAM_TRY(scheduler_.submit({id, job.owner, job.prompt}));
  running_.emplace(id, std::make_unique<Running>(tokenizer_, std::move(job)));
  return {};
}

bool BatchGenerator::cancel(int64_t id) {
  const auto found = running_.find(id);
  if (found == running_.end()) return false;
  found->second->cached_tok = scheduler_.cached_tok(id);
  scheduler_.cancel(id);
  found->second->answer.cancel();
  end(id);
  return true;
}

Status BatchGenerator::step() {
  const std::span<const Scheduler::Part> parts = scheduler_.begin_step();
  if (parts.empty()) return {};
  EngineImpl& impl = engine_.impl();
  std::vector<EngineImpl::PagedPart> paged;
  paged.reserve(parts.size());
  for (const Scheduler::Part& part : parts) {
    Running& running = *running_.at(part.id);
    if (!running.started) running.since_start = Stopwatch();
    running.started = true;
    const auto rows = part.wants_token ? EngineImpl::Rows::kLast : EngineImpl::Rows::kNone;
    paged.push_back({part.tokens, part.start, part.pages, rows});
  }
  impl.forward(paged);
  std::vector<Scheduler::Choice> choices;
  std::vector<int64_t> ended;
  const auto vocab = static_cast<size_t>(engine_.info().vocab_rows);
  const float* row = impl.workspace_logits();
  for (const Scheduler::Part& part : parts) {
    if (!part.wants_token) continue;
    choices.push_back(choose(part, {row, vocab}));
    if (choices.back().done) {
      running_.at(part.id)->cached_tok = scheduler_.cached_tok(part.id);
      ended.push_back(part.id);
    }
    row += vocab;
  }
  scheduler_.end_step(choices);
  for (int64_t id : ended) end(id);
  return {};
}

Scheduler::Choice BatchGenerator::choose(const Scheduler::Part& part, std::span<const float> logits) {
  Running& running = *running_.at(part.id);
  const std::span<const int32_t> tokens = scheduler_.tokens(part.id);
  const auto size = static_cast<int64_t>(tokens.size());
  if (size == running.prompt_tok) running.prompt_ms = running.since_start.elapsed_ms();
  if (running.answer.open()) {
    const auto generated = tokens.subspan(static_cast<size_t>(running.prompt_tok));
    Sampled next = sample_token(logits, engine_.impl().mask(), running.sampling, tokens, generated, size,
                                engine_.impl().sampler_scratch());
    const int32_t id = next.id;
    running.answer.push(std::move(next), scheduler_.limit_tok() - size);
    if (running.answer.open()) return {id, false};
  }
  return {-1, true};
}

void BatchGenerator::end(int64_t id) {
  const std::unique_ptr<Running> running = std::move(running_.at(id));
  running_.erase(id);
  Generation out = running->answer.finish();
  out.prompt_tok = running->prompt_tok;
  out.cached_tok = running->cached_tok;
  out.prompt_ms = running->prompt_ms;
  out.predicted_ms = running->started ? running->since_start.elapsed_ms() - running->prompt_ms : 0;
  running->on_done(std::move(out));
}

}  // namespace bantam::engine
