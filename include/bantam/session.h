// A session is one timeline over a loaded model: the tokens so far, their keys and values, and the logits after the
// last one. Callers append, sample, fork and truncate; they never see tensors. Standard library only.
// Thread-safety: an engine and its sessions are driven by one thread at a time; cancel flags may be set from any
// thread or from a signal handler.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bantam/result.h"

namespace bantam {

// How the next token is chosen. Field names and meanings follow Hugging Face and the OpenAI API.
struct SamplingOptions {
  double temperature = 1.0;         // 0: greedy
  int32_t top_k = 0;                // 0: off
  double top_p = 1.0;               // keep the smallest set with at least this probability
  double min_p = 0.0;               // drop tokens below min_p times the best token's probability
  double presence_penalty = 0.0;    // subtracted once from every token already generated
  double frequency_penalty = 0.0;   // subtracted once per occurrence among the generated tokens
  double repetition_penalty = 1.0;  // divides positive and multiplies negative logits of tokens in the whole timeline
  std::vector<std::pair<int32_t, float>> logit_bias;
  uint64_t seed = 0;
  uint64_t choice = 0;        // draws are keyed by (seed, choice, position), never by arrival
  int32_t forced_id = -1;     // not -1: this token, whatever the logits say
  int32_t top_logprobs = -1;  // -1: no log-probabilities; 0: the chosen token's; n: also the n best tokens'
};

struct TokenLogprob {
  int32_t id = -1;
  double logprob = 0;  // natural log, of the model's own distribution over all rows (no temperature, no penalties)
};

struct Sampled {
  int32_t id = -1;
  double logprob = 0;             // when asked for, else 0
  std::vector<TokenLogprob> top;  // best first, when asked for
};

// Told after every chunk of a prefill; returning false stops it (the tokens done so far stay).
using PrefillProgress = std::function<bool(int64_t done_tok, int64_t total_tok)>;

class SessionImpl;
class Engine;

class Session {
 public:
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  // Appends tokens and computes the logits after the last one, in chunks. Stops with kCancelled when progress
  // returns false or *cancel becomes true: whole chunks done so far are kept. kContextFull, naming the numbers, when
  // the context has no room: nothing is appended then.
  Status append(std::span<const int32_t> tokens, const PrefillProgress& progress = {},
                const std::atomic<bool>* cancel = nullptr);
  // Makes the timeline equal `tokens`: keeps the common beginning, drops the rest, appends what is new. Returns how
  // many tokens were kept (reused from before).
  Result<int64_t> sync(std::span<const int32_t> tokens, const PrefillProgress& progress = {},
                       const std::atomic<bool>* cancel = nullptr);
  // Keeps the first n tokens. REQUIRES: 0 <= n <= size(). The logits are those after the last appended token, so after
  // truncating, append (or sync) before sampling.
  void truncate(int64_t n);
  // A second timeline with the same past; full pages are shared, nothing is recomputed.
  Result<Session> fork() const;

  // Writes the timeline and its keys and values to a file, as far as whole pages of 64 tokens go; returns how many
  // tokens the file holds.
  Result<int64_t> save(const std::string& path) const;
  // Makes the timeline what a file of save() holds, nothing computed; returns how many tokens that is. kBadInput for a
  // damaged file and for one of another model, numerics mode, type of keys and values or stretching of the context,
  // kContextFull when there is no room: the timeline stays as it was, except when damage is found in the keys and
  // values themselves; then it is empty.
  Result<int64_t> restore(const std::string& path);

  // Chooses the next token from the logits without appending it. `generated_from`: index of the first token that
  // counts as generated for presence and frequency penalties. REQUIRES: has_logits().
  Sampled sample(const SamplingOptions& options, int64_t generated_from) const;
  // Raw logits after the last token, [vocab rows]; valid until the next append.
  std::span<const float> logits() const;
  bool has_logits() const;

  std::span<const int32_t> tokens() const;
  int64_t size() const;      // tokens so far
  int64_t capacity() const;  // context length

 private:
  friend class Engine;
  explicit Session(std::unique_ptr<SessionImpl> impl);
  std::unique_ptr<SessionImpl> impl_;
};

}  // namespace bantam
