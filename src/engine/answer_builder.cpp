// See answer_builder.h.
#include "engine/answer_builder.h"

#include <algorithm>

#include "base/check.h"

namespace bantam::engine {

std::string_view finish_reason_name(FinishReason reason) {
  constexpr std::string_view kNames[] = {"stop", "length", "tool_calls", "cancelled"};
  return kNames[static_cast<size_t>(reason)];
}

AnswerBuilder::AnswerBuilder(const text::Tokenizer& tokenizer, const GenerateOptions& options, DeltaFn on_delta)
    : options_(options),
      on_delta_(std::move(on_delta)),
      parser_(tokenizer, options.starts_in_thinking),
      raw_(tokenizer, /*skip_special=*/true),
      stops_(options.stops) {
  if (options_.max_tok == 0) end(FinishReason::kLength);
}

void AnswerBuilder::end(FinishReason reason) {
  open_ = false;
  out_.finish_reason = reason;
}

void AnswerBuilder::push(Sampled next, int64_t room_tok) {
  BANTAM_CHECK(open_);
  const int32_t id = next.id;
  out_.tokens.push_back(std::move(next));
  const std::vector<int32_t>& stop_ids = options_.stop_ids;
  if (std::find(stop_ids.begin(), stop_ids.end(), id) != stop_ids.end()) return end(FinishReason::kStop);
  deliver(options_.parse_answer ? parser_.push(id) : AnswerDelta{AnswerDelta::Kind::kContent, raw_.push(id)});
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
    deliver(options_.parse_answer ? parser_.finish() : AnswerDelta{AnswerDelta::Kind::kContent, raw_.finish()});
    show({AnswerDelta::Kind::kContent, stops_.finish()});
  }
  out_.reasoning = parser_.reasoning();
  out_.tool_calls = parser_.tool_calls();
  out_.reasoning_tok = parser_.reasoning_tok();
  if (out_.finish_reason == FinishReason::kStop && !out_.tool_calls.empty()) {
    out_.finish_reason = FinishReason::kToolCalls;
  }
  return std::move(out_);
}

void AnswerBuilder::deliver(AnswerDelta delta) {
  if (delta.kind == AnswerDelta::Kind::kContent) delta.text = stops_.push(delta.text);
  show(delta);
}

void AnswerBuilder::show(const AnswerDelta& delta) {
  if (delta.text.empty()) return;
  if (delta.kind == AnswerDelta::Kind::kContent) out_.text += delta.text;
  if (on_delta_) on_delta_(delta);
}

}  // namespace bantam::engine
