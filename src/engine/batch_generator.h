// BatchGenerator: many answers at once over one engine. Drives the Scheduler: runs its forwards, samples each row with
// its request's own options and builds the answers. Every answer is the one its request gets alone, bit for bit.
// Driven by one thread, which calls step() until idle(); callbacks run inside step().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "bantam/engine.h"
#include "engine/answer_builder.h"
#include "engine/scheduler.h"

namespace bantam::engine {

class BatchGenerator {
 public:
  struct Job {
    int64_t id = 0;
    std::string owner;
    std::vector<int32_t> prompt;
    GenerateOptions options;  // options.cancel is not looked at: cancel(id)
    std::function<void(const Sampled&, bool)> on_token; std::function<void(int64_t,int64_t,int64_t)> on_progress;
    DeltaFn on_delta;         // may be empty
    std::function<void(Generation)> on_done;
  };

  // Engine and tokenizer must outlive it. Owns the engine's pages: no session of the engine may grow meanwhile.
  // options.context_tok and page_tok are the engine's own; step_tok and running are cut to what it can take.
  BatchGenerator(Engine& engine, const text::Tokenizer& tokenizer, SchedulerOptions options);
  ~BatchGenerator();

  // As Scheduler::submit; ids of tokens must be rows of the model (kBadInput).
  Status submit(Job job);
  // Ends a request; its on_done gets what there is, with kCancelled. False when there is none of that id.
  bool cancel(int64_t id);
  // One forward over whoever has something to compute.
  Status step();
  bool idle() const { return scheduler_.idle(); }
  Scheduler::Counts counts() const { return scheduler_.counts(); }
  const SchedulerOptions& options() const { return options_; }

 private:
  struct Running;
  Scheduler::Choice choose(const Scheduler::Part& part, std::span<const float> logits);
  void end(int64_t id);

  Engine& engine_;
  const text::Tokenizer& tokenizer_;
  SchedulerOptions options_;
  Scheduler scheduler_;
  std::unordered_map<int64_t, std::unique_ptr<Running>> running_;
};

}  // namespace bantam::engine
