// See generate.h.
#include "engine/generate.h"

#include <algorithm>

#include "base/clock.h"
#include "base/result.h"
#include "engine/stop_matcher.h"
#include "text/stream_decoder.h"

namespace bantam::engine {
namespace {

// Routes ids to text: through the answer parser, or raw with special tokens left out.
class TextSink {
 public:
  TextSink(const text::Tokenizer& tokenizer, const GenerateOptions& options, const DeltaFn& on_delta)
      : parse_(options.parse_answer),
        parser_(tokenizer, options.starts_in_thinking),
        raw_(tokenizer, /*skip_special=*/true),
        stops_(options.stops),
        on_delta_(on_delta) {}

  void push(int32_t id) {
    deliver(parse_ ? parser_.push(id) : AnswerDelta{AnswerDelta::Kind::kContent, raw_.push(id)});
  }
  void finish(Generation* out) {
    if (!stops_.stopped()) {
      deliver(parse_ ? parser_.finish() : AnswerDelta{AnswerDelta::Kind::kContent, raw_.finish()});
      show({AnswerDelta::Kind::kContent, stops_.finish()});
    }
    out->text = std::move(text_);
    out->reasoning = parser_.reasoning();
    out->tool_calls = parser_.tool_calls();
    out->reasoning_tok = parser_.reasoning_tok();
  }
  bool stopped() const { return stops_.stopped(); }

 private:
  void deliver(AnswerDelta delta) {
    if (delta.kind == AnswerDelta::Kind::kContent) delta.text = stops_.push(delta.text);
    show(delta);
  }
  void show(const AnswerDelta& delta) {
    if (delta.text.empty()) return;
    if (delta.kind == AnswerDelta::Kind::kContent) text_ += delta.text;
    if (on_delta_) on_delta_(delta);
  }

  bool parse_;
  AnswerParser parser_;
  text::StreamDecoder raw_;
  StopMatcher stops_;
  const DeltaFn& on_delta_;
  std::string text_;
};

bool contains(const std::vector<int32_t>& ids, int32_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace

std::string_view finish_reason_name(FinishReason reason) {
  constexpr std::string_view kNames[] = {"stop", "length", "tool_calls", "cancelled"};
  return kNames[static_cast<size_t>(reason)];
}

Result<Generation> generate(Session& session, const text::Tokenizer& tokenizer, std::span<const int32_t> prompt,
                            const GenerateOptions& options, const DeltaFn& on_delta,
                            const PrefillProgress& on_progress) {
  Generation out;
  out.prompt_tok = static_cast<int64_t>(prompt.size());
  const Stopwatch prefill;
  BANTAM_TRY_ASSIGN(out.cached_tok, session.sync(prompt, on_progress, options.cancel));
  out.prompt_ms = prefill.elapsed_ms();

  const auto cancelled = [&] { return options.cancel != nullptr && options.cancel->load(std::memory_order_relaxed); };
  TextSink sink(tokenizer, options, on_delta);
  const Stopwatch decode;
  for (int64_t n = 0;; ++n) {
    if (options.max_tok >= 0 && n >= options.max_tok) {
      out.finish_reason = FinishReason::kLength;
      break;
    }
    if (cancelled()) {
      out.finish_reason = FinishReason::kCancelled;
      break;
    }
    Sampled next = session.sample(options.sampling, out.prompt_tok);
    const int32_t id = next.id;
    out.tokens.push_back(std::move(next));
    if (contains(options.stop_ids, id)) break;
    sink.push(id);
    if (sink.stopped()) break;
    if (options.max_tok >= 0 && n + 1 >= options.max_tok) continue;  // the next round says length; nothing to compute
    if (session.size() >= session.capacity()) {
      out.finish_reason = FinishReason::kLength;
      out.context_full = true;
      break;
    }
    BANTAM_TRY(session.append(std::span<const int32_t>(&id, 1)));
  }
  sink.finish(&out);
  out.predicted_ms = decode.elapsed_ms();
  if (out.finish_reason == FinishReason::kStop && !out.tool_calls.empty()) out.finish_reason = FinishReason::kToolCalls;
  return out;
}

}  // namespace bantam::engine
