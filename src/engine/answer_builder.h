// AnswerBuilder: the chosen tokens of one answer, one by one, into text, reasoning and tool calls, with the rules for
// when it ends. What generate() and BatchGenerator share. One object per answer; the tokenizer must outlive it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bantam/session.h"
#include "engine/answer_parser.h"
#include "engine/stop_matcher.h"
#include "engine/thinking_governor.h"
#include "text/stream_decoder.h"
#include "text/tokenizer.h"

namespace bantam::engine {

struct GenerateOptions {
  SamplingOptions sampling;
  int64_t max_tok = -1;            // -1: until the model stops or the context is full
  std::vector<std::string> stops;  // stop strings, matched in the content
  std::vector<int32_t> stop_ids;   // end-of-turn tokens
  bool parse_answer = true;        // false: raw continuation, everything is content
  bool parse_calls = true;         // false: no tools were offered, so that what looks like a call is text
  bool starts_in_thinking = false;
  // Tokens of reasoning after which the thinking is ended (thinking_governor.h); 0: at once; -1: never. And whether a
  // thinking that repeats itself is ended.
  int64_t thinking_budget_tok = -1;
  bool end_loops = true;
  // The last so many ids of the prompt are the beginning of the answer (one that is continued or forked): they set the
  // state of thinking and calls and count as generated for the penalties, but are not part of the Generation.
  // starts_in_thinking is about the place before them.
  int64_t resumed_tok = 0;
  // As SamplingOptions::top_logprobs, for the prompt's own tokens. BatchGenerator only.
  int32_t prompt_logprobs = -1;
  const std::atomic<bool>* cancel = nullptr;
};

enum class FinishReason : uint8_t { kStop, kLength, kToolCalls, kCancelled };
std::string_view finish_reason_name(FinishReason reason);

struct Generation {
  std::string text, reasoning;
  std::vector<ToolCall> tool_calls;  // of the whole answer, also those that began in its resumed part
  std::vector<Sampled> tokens;       // every generated id, the final stop id included
  FinishReason finish_reason = FinishReason::kStop;
  std::vector<Sampled> prompt_logprobs;  // one per token of the prompt, the first without a logprob; when asked for
  bool context_full = false;             // kLength because the context ended, not max_tok
  bool thinking_cut = false;             // the thinking was ended by its budget or as a loop
  int64_t prompt_tok = 0, cached_tok = 0, reasoning_tok = 0;
  double prompt_ms = 0, predicted_ms = 0;  // prefill (to the first token's logits), then the rest
};

using DeltaFn = std::function<void(const AnswerDelta&)>;
// A chosen token, before its deltas; reasoning: it counts as one of the thinking's.
using TokenFn = std::function<void(const Sampled&, bool reasoning)>;

class AnswerBuilder {
 public:
  // prompt: what the answer follows, its last options.resumed_tok ids being the answer's beginning. REQUIRES: there are
  // that many.
  AnswerBuilder(const text::Tokenizer& tokenizer, const GenerateOptions& options, std::span<const int32_t> prompt,
                DeltaFn on_delta, TokenFn on_token = {});

  // Whether another token is wanted.
  bool open() const { return open_; }
  // How the next token is to be chosen. The first generated token's index in the timeline, for Session::sample.
  const SamplingOptions& sampling() const { return options_.sampling; }
  int64_t generated_from() const { return generated_from_; }
  // Takes the next token. room_tok: how many tokens the timeline can still take, this one included. While open()
  // holds afterwards, the token is to be fed and the next one chosen. REQUIRES: open().
  void push(Sampled next, int64_t room_tok);
  // The caller wants no more.
  void cancel();
  // The answer, counts and times of the prompt left to the caller. Once, at the end.
  Generation finish();

 private:
  void end(FinishReason reason);
  void take(int32_t id);
  void govern(int32_t id);
  void deliver();
  void show(const AnswerDelta& delta);
  void keep_call(const AnswerDelta& delta);

  GenerateOptions options_;
  DeltaFn on_delta_;
  TokenFn on_token_;
  int64_t generated_from_;
  AnswerParser parser_;
  ThinkingGovernor governor_;
  text::StreamDecoder raw_;
  StopMatcher stops_;
  bool open_ = true;
  std::vector<AnswerDelta> deltas_;  // of the token being taken
  int64_t resumed_reasoning_tok_ = 0;
  Generation out_;
};

}  // namespace bantam::engine
