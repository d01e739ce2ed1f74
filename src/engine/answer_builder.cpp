// See answer_builder.h.
#include "engine/answer_builder.h"

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace bantam::engine {

std::string_view finish_reason_name(FinishReason reason) {
  constexpr std::string_view kNames[] = {"stop", "length", "tool_calls", "cancelled"};
  return kNames[static_cast<size_t>(reason)];
}

AnswerBuilder::AnswerBuilder(const text::Tokenizer& tokenizer, const GenerateOptions& options,
                             std::span<const int32_t> prompt, DeltaFn on_delta, TokenFn on_token)
    : options_(options),
      on_delta_(std::move(on_delta)),
      on_token_(std::move(on_token)),
      generated_from_(static_cast<int64_t>(prompt.size()) - options.resumed_tok),
      parser_(tokenizer, options.starts_in_thinking, options.parse_calls),
      governor_(tokenizer, options.parse_answer ? options.thinking_budget_tok : -1,
                options.parse_answer && options.end_loops, options.parse_answer && options.starts_in_thinking),
      raw_(tokenizer, /*skip_special=*/true),
      stops_(options.stops) {
  BANTAM_CHECK(options.resumed_tok >= 0 && generated_from_ >= 0);
  for (int32_t id : prompt.subspan(static_cast<size_t>(generated_from_))) {
    take(id);
    govern(id);
    for (const AnswerDelta& delta : deltas_) keep_call(delta);
    deltas_.clear();  // shown before
  }
  options_.sampling.forced_id = governor_.forced();
  resumed_reasoning_tok_ = parser_.reasoning_tok();
  if (options_.max_tok == 0) end(FinishReason::kLength);
}

void AnswerBuilder::end(FinishReason reason) {
  open_ = false;
  out_.finish_reason = reason;
}

// The text of one more token to deltas_.
void AnswerBuilder::take(int32_t id) {
  if (options_.parse_answer) {
    parser_.push(id, &deltas_);
  } else {
    deltas_.push_back({AnswerDelta::Kind::kContent, raw_.push(id)});
  }
}

void AnswerBuilder::govern(int32_t id) {
  if (!options_.parse_answer) return;
  const bool was_cut = governor_.cut();
  governor_.push(id, parser_.thinking());
  options_.sampling.forced_id = governor_.forced();
  if (governor_.cut() && !was_cut) {
    options_.sampling.logit_bias.emplace_back(governor_.banned(), -std::numeric_limits<float>::infinity());
  }
}

void AnswerBuilder::push(Sampled next, int64_t room_tok) {
  BANTAM_CHECK(open_);
  const int32_t id = next.id;
  out_.tokens.push_back(std::move(next));
  const std::vector<int32_t>& stop_ids = options_.stop_ids;
  const bool stops = std::find(stop_ids.begin(), stop_ids.end(), id) != stop_ids.end();
  const int64_t reasoning_tok = parser_.reasoning_tok();
  if (!stops) {
    take(id);
    govern(id);
  }
  if (on_token_) on_token_(out_.tokens.back(), stops ? parser_.thinking() : parser_.reasoning_tok() > reasoning_tok);
  if (stops) return end(FinishReason::kStop);
  deliver();
  if (stops_.stopped()) return end(FinishReason::kStop);
  const auto count = static_cast<int64_t>(out_.tokens.size());
  if (options_.max_tok >= 0 && count >= options_.max_tok) return end(FinishReason::kLength);
  if (room_tok < 1) {
    out_.context_full = true;
    end(FinishReason::kLength);
  }
}

void AnswerBuilder::cancel() {
  end(FinishReason::kCancelled);
}

Generation AnswerBuilder::finish() {
  if (!stops_.stopped()) {
    if (options_.parse_answer) {
      parser_.finish(&deltas_);
    } else {
      deltas_.push_back({AnswerDelta::Kind::kContent, raw_.finish()});
    }
    deliver();
    show({AnswerDelta::Kind::kContent, stops_.finish()});
  }
  out_.reasoning_tok = parser_.reasoning_tok() - resumed_reasoning_tok_;
  out_.thinking_cut = governor_.cut();
  if (out_.finish_reason == FinishReason::kStop && !out_.tool_calls.empty()) {
    out_.finish_reason = FinishReason::kToolCalls;
  }
  return std::move(out_);
}

// Shows deltas_ in order, content through the stop strings, up to a complete one.
void AnswerBuilder::deliver() {
  for (AnswerDelta& delta : deltas_) {
    if (delta.kind == AnswerDelta::Kind::kContent) delta.text = stops_.push(delta.text);
    // A call comes between: what was held back before it can no longer grow into a stop string.
    if (delta.kind == AnswerDelta::Kind::kToolName) show({AnswerDelta::Kind::kContent, stops_.finish()});
    if (stops_.stopped() && delta.kind != AnswerDelta::Kind::kContent) break;
    show(delta);
    if (stops_.stopped()) break;
  }
  deltas_.clear();
}

void AnswerBuilder::show(const AnswerDelta& delta) {
  if (delta.text.empty()) return;
  if (delta.kind == AnswerDelta::Kind::kContent) out_.text += delta.text;
  if (delta.kind == AnswerDelta::Kind::kReasoning) out_.reasoning += delta.text;
  keep_call(delta);
  if (on_delta_) on_delta_(delta);
}

void AnswerBuilder::keep_call(const AnswerDelta& delta) {
  std::vector<ToolCall>& calls = out_.tool_calls;
  if (delta.kind == AnswerDelta::Kind::kToolName) calls.push_back({delta.text, {}});
  if (delta.kind == AnswerDelta::Kind::kToolArguments) calls[static_cast<size_t>(delta.call)].arguments += delta.text;
}

}  // namespace bantam::engine
