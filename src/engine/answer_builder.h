// AnswerBuilder: the chosen tokens of one answer, one by one, into text, reasoning and tool calls, with the rules for
// when it ends. What generate() and BatchGenerator share. One object per answer; the tokenizer must outlive it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "bantam/session.h"
#include "engine/answer_parser.h"
#include "engine/stop_matcher.h"
#include "text/stream_decoder.h"
#include "text/tokenizer.h"

namespace bantam::engine {

struct GenerateOptions {
  SamplingOptions sampling;
  int64_t max_tok = -1;            // -1: until the model stops or the context is full
  std::vector<std::string> stops;  // stop strings, matched in the content
  std::vector<int32_t> stop_ids;   // end-of-turn tokens
  bool parse_answer = true;        // false: raw continuation, everything is content
  bool starts_in_thinking = false;
  int64_t thinking_budget_tok = -1, resumed_tok = 0; int32_t prompt_logprobs = -1;
  const std::atomic<bool>* cancel = nullptr;
};

enum class FinishReason : uint8_t { kStop, kLength, kToolCalls, kCancelled };
std::string_view finish_reason_name(FinishReason reason);

struct Generation {
  std::string text, reasoning;
  std::vector<ToolCall> tool_calls;
  std::vector<Sampled> prompt_logprobs; std::vector<Sampled> tokens;  // every generated id, the final stop id included
  FinishReason finish_reason = FinishReason::kStop;
  bool context_full = false;  // kLength because the context ended, not max_tok
  int64_t prompt_tok = 0, cached_tok = 0, reasoning_tok = 0;
  double prompt_ms = 0, predicted_ms = 0;  // prefill (to the first token's logits), then the rest
};

using DeltaFn = std::function<void(const AnswerDelta&)>;

class AnswerBuilder {
 public:
  AnswerBuilder(const text::Tokenizer& tokenizer, const GenerateOptions& options, DeltaFn on_delta);

  // Whether another token is wanted.
  bool open() const { return open_; }
  // Takes the next token. room_tok: how many tokens the timeline can still take, this one included. While open()
  // holds afterwards, the token is to be fed and the next one chosen. REQUIRES: open().
  void push(Sampled next, int64_t room_tok);
  // The caller wants no more.
  void cancel();
  // The answer, counts and times of the prompt left to the caller. Once, at the end.
  Generation finish();

 private:
  void end(FinishReason reason);
  void deliver(AnswerDelta delta);
  void show(const AnswerDelta& delta);

  GenerateOptions options_;
  DeltaFn on_delta_;
  AnswerParser parser_;
  text::StreamDecoder raw_;
  StopMatcher stops_;
  bool open_ = true;
  Generation out_;
};

}  // namespace bantam::engine
