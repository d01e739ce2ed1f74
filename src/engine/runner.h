// The runner: one loaded model with everything a step needs. Implements bantam::Engine and Session; `forward` and
// `score` of the CLI use it directly for all rows of logits and for probes. Driven by one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "bantam/engine.h"
#include "engine/kv_pool.h"
#include "engine/kv_snapshot.h"
#include "engine/packed_cache.h"
#include "engine/sampler.h"
#include "model/plan.h"
#include "model/qwen3.h"

namespace bantam {

// One timeline: its tokens and the pages that hold their keys and values.
class SessionImpl {
 public:
  // Reserves room for a whole context, so that a token allocates nothing; memory is taken as it is used.
  explicit SessionImpl(EngineImpl* engine);
  ~SessionImpl();
  SessionImpl(const SessionImpl&) = delete;
  SessionImpl& operator=(const SessionImpl&) = delete;

 private:
  friend class EngineImpl;
  friend class Session;
  friend class Engine;
  EngineImpl* engine_;
  std::vector<int32_t> tokens_;
  std::vector<int32_t> pages_;  // page i holds positions [64 i, 64 i + 64); references counted in the pool
  std::vector<float> logits_;   // [V] after the last token
  bool has_logits_ = false;
};

class EngineImpl {
 public:
  // Which rows of logits a step computes for a part.
  enum class Rows : uint8_t { kNone, kLast, kAll };
  struct Part {
    SessionImpl* session = nullptr;
    std::span<const int32_t> tokens;
    Rows rows = Rows::kLast;
  };

  // The same below the session: tokens at positions from `start` of a timeline whose keys and values lie in `pages`.
  struct PagedPart {
    std::span<const int32_t> tokens;
    int64_t start = 0;
    std::span<const int32_t> pages;
    Rows rows = Rows::kLast;
  };

  static Result<std::unique_ptr<EngineImpl>> load(const ModelSource& source, const EngineOptions& options,
                                                  const LoadProgress& progress);

  // One forward over all parts: appends their tokens. Logits go to `logits` [R, V], parts in order, rows in order;
  // null: to the workspace's buffer (at most batch_rows rows). Checks ids, context and pages before it changes
  // anything. `saved` as in model::forward.
  Status run(std::span<const Part> parts, float* logits = nullptr, model::Saved* saved = nullptr);
  // What run() does after its checks. REQUIRES: ids are rows of the model, pages cover the positions and the ones
  // written have one owner, and the limits of run() hold.
  void forward(std::span<const PagedPart> parts, float* logits = nullptr, model::Saved* saved = nullptr);
  const float* workspace_logits() const { return workspace_.logits.f32(); }
  // The final norm of the hidden states of `n` of the last step's tokens from the `first` on, [n, D] f32, as the last
  // entry of `forward --hidden`. Valid until the next step or call. REQUIRES: no step since, and the step had no
  // `saved`.
  std::span<const float> final_hidden(int64_t first, int64_t n);

  // Whether a session cut to its first `kept` tokens could take `tokens`: ids are rows of the model, the context and
  // the pool have room. Changes nothing.
  Status check_room(const SessionImpl& session, int64_t kept, std::span<const int32_t> tokens) const;

  void truncate(SessionImpl& session, int64_t n);
  Status fork(const SessionImpl& from, SessionImpl* to);

  // As Session::save and Session::restore.
  Result<int64_t> save(const SessionImpl& session, const std::string& path);
  Result<int64_t> restore(SessionImpl& session, const std::string& path);
  // What this engine's keys and values depend on. The first call reads all weights.
  const engine::KvIdentity& kv_identity();

  // Makes the session n tokens long with generated keys and values instead of computed ones, so that speed at depth
  // can be measured without hours of prefill. For benchmarks.
  Status fill_with_noise(SessionImpl& session, int64_t n, uint64_t seed);

  const ModelInfo& info() const { return info_; }
  const EngineOptions& options() const { return options_; }
  const model::Weights& weights() const { return weights_; }
  model::Workspace& workspace() { return workspace_; }
  engine::KvPool& kv() { return kv_; }
  const engine::TokenMask& mask() const { return mask_; }
  engine::SamplerScratch& sampler_scratch() { return sampler_scratch_; }
  ThreadPool& pool() { return *pool_; }
  // Whether this load keeps its packed weights for the next one, beside whatever else happens.
  bool writes_packed_cache() const { return packed_store_.started(); }
  // Waits until a first load's packed weights are written; what became of that.
  Status finish_packed_cache() { return packed_store_.wait(); }

 private:
  friend class Engine;
  Status check(std::span<const Part> parts) const;
  Status check_tokens(int64_t kept, std::span<const int32_t> tokens) const;
  int64_t pages_needed(const SessionImpl& session, int64_t kept, int64_t new_tok) const;
  void grow(SessionImpl& session, int64_t new_tok);

  ModelInfo info_;
  EngineOptions options_;
  std::unique_ptr<ThreadPool> pool_;
  model::Weights weights_;
  model::Rope rope_;
  model::Workspace workspace_;
  engine::KvPool kv_;
  engine::KvIdentity kv_identity_;  // of no weights: not asked for yet
  engine::TokenMask mask_;
  engine::SamplerScratch sampler_scratch_;
  // One step's batch, reserved at load so that a step allocates nothing.
  std::vector<int32_t> tokens_, positions_, page_table_, logit_rows_;
  std::vector<kernels::Segment> segments_;
  std::vector<PagedPart> paged_;
  engine::PackedStore packed_store_;  // last: it reads weights_ until it is destroyed
};

}  // namespace bantam
