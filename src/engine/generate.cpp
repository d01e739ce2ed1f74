// See generate.h.
#include "engine/generate.h"

#include "base/clock.h"
#include "base/result.h"

namespace bantam::engine {

Result<Generation> generate(Session& session, const text::Tokenizer& tokenizer, std::span<const int32_t> prompt,
                            const GenerateOptions& options, const DeltaFn& on_delta,
                            const PrefillProgress& on_progress) {
  if (options.resumed_tok < 0 || options.resumed_tok > static_cast<int64_t>(prompt.size())) {
    return usage_error("resumed tokens: expected 0 to the prompt's {}, got {}", prompt.size(), options.resumed_tok);
  }
  if (options.prompt_logprobs >= 0) return usage_error("a session gives no log-probabilities of the prompt");
  const Stopwatch prefill;
  BANTAM_TRY_ASSIGN(const int64_t cached_tok, session.sync(prompt, on_progress, options.cancel));
  const double prompt_ms = prefill.elapsed_ms();

  const auto prompt_tok = static_cast<int64_t>(prompt.size());
  AnswerBuilder answer(tokenizer, options, prompt, on_delta);
  const Stopwatch decode;
  while (answer.open()) {
    if (options.cancel != nullptr && options.cancel->load(std::memory_order_relaxed)) {
      answer.cancel();
      break;
    }
    Sampled next = session.sample(answer.sampling(), answer.generated_from());
    const int32_t id = next.id;
    answer.push(std::move(next), session.capacity() - session.size());
    if (answer.open()) BANTAM_TRY(session.append(std::span<const int32_t>(&id, 1)));
  }
  Generation out = answer.finish();
  out.prompt_tok = prompt_tok;
  out.cached_tok = cached_tok;
  out.prompt_ms = prompt_ms;
  out.predicted_ms = decode.elapsed_ms();
  return out;
}

}  // namespace bantam::engine
