// BatchGenerator: many answers at once over one engine. Drives the Scheduler: runs its forwards, samples each row with
// its request's own options and builds the answers; embeddings of texts go the same way. Every answer is the one its
// request gets alone, bit for bit. Driven by one thread, which calls step() until idle(); callbacks run inside step()
// and may submit and cancel.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "bantam/engine.h"
#include "engine/answer_builder.h"
#include "engine/embedding_pool.h"
#include "engine/prefill_pace.h"
#include "engine/scheduler.h"

namespace bantam::engine {

class BatchGenerator {
 public:
  struct Job {
    int64_t id = 0;
    std::string owner;
    std::vector<int32_t> prompt;
    GenerateOptions options;  // options.cancel is not looked at: cancel(id)
    int64_t step_tok = 0;     // as Scheduler::Request's
    // Each may be empty, but for on_done. on_token: each chosen token, before its deltas. on_progress: after each piece
    // of the prompt; cached_tok of the done ones came from the prefix tree.
    DeltaFn on_delta;
    TokenFn on_token;
    // Before the first token, where options.prompt_logprobs asks for them: the same that the Generation has.
    std::function<void(std::vector<Sampled>)> on_prompt;
    std::function<void(int64_t done_tok, int64_t total_tok, int64_t cached_tok)> on_progress;
    std::function<void(Generation)> on_done;
  };
  struct EmbeddingJob {
    int64_t id = 0;  // of the same space as a Job's
    std::string owner;
    std::vector<int32_t> prompt;
    Pooling pooling = Pooling::kLast;
    // The pooled final hidden states, of length 1, [hidden]; empty when it was cancelled.
    std::function<void(std::vector<float>)> on_done;
  };

  // Engine and tokenizer must outlive it. Owns the engine's pages: no session of the engine may grow meanwhile.
  // options.context_tok and page_tok are the engine's own; step_tok and running are cut to what it can take.
  BatchGenerator(Engine& engine, const text::Tokenizer& tokenizer, SchedulerOptions options);
  ~BatchGenerator();

  // As Scheduler::submit; ids of tokens must be rows of the model (kBadInput). options.max_tok 0 computes the prompt
  // only: its whole pages are remembered for those that come after it.
  Status submit(Job job);
  Status submit_embedding(EmbeddingJob job);
  // Ends a request; its on_done gets what there is, with kCancelled. What was computed of it stays remembered. False
  // when there is none of that id. Within a step it ends with the step.
  bool cancel(int64_t id);
  // One forward over whoever has something to compute.
  Status step();
  // Writes what the tree knows of the beginning of `tokens`, with its keys and values, to a file (kv_snapshot.h);
  // returns how many tokens that is. Not within a step, nor restore_prefix.
  Result<int64_t> save_prefix(const std::string& owner, std::span<const int32_t> tokens, const std::string& path);
  // Puts a file's beginning into the owner's tree, as much of it as there are pages for that no request needs; returns
  // how many tokens that is. Errors as Session::restore; kUsage when beginnings are not remembered at all.
  Result<int64_t> restore_prefix(const std::string& owner, const std::string& path);
  bool idle() const { return scheduler_.idle(); }
  Scheduler::Counts counts() const { return scheduler_.counts(); }
  const SchedulerOptions& options() const { return options_; }

 private:
  struct Running;
  Status check_ids(std::span<const int32_t> ids) const;
  void run_forward(std::span<const Scheduler::Part> parts);
  void use_prompt_rows(const Scheduler::Part& part, const float* rows);
  void report_progress(const Scheduler::Part& part);
  Scheduler::Choice choose(const Scheduler::Part& part, std::span<const float> logits);
  Scheduler::Choice choose_answer(Running& running, int64_t id, std::span<const float> logits);
  void end(int64_t id);

  Engine& engine_;
  const text::Tokenizer& tokenizer_;
  SchedulerOptions options_;
  Scheduler scheduler_;
  PrefillPace pace_;
  std::unordered_map<int64_t, std::unique_ptr<Running>> running_;
  bool in_step_ = false;
  std::vector<int64_t> cancelled_;  // within the step
};

}  // namespace bantam::engine
