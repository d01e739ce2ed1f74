// generate(): one answer on one session: prefill, sample until a stop, parse, time. What run, complete and chat share.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "bantam/session.h"
#include "engine/answer_parser.h"
#include "text/tokenizer.h"

namespace bantam::engine {

struct GenerateOptions {
  SamplingOptions sampling;
  int64_t max_tok = -1;            // -1: until the model stops or the context is full
  std::vector<std::string> stops;  // stop strings, matched in the content
  std::vector<int32_t> stop_ids;   // end-of-turn tokens
  bool parse_answer = true;        // false: raw continuation, everything is content
  bool starts_in_thinking = false;
  const std::atomic<bool>* cancel = nullptr;
};

enum class FinishReason : uint8_t { kStop, kLength, kToolCalls, kCancelled };
std::string_view finish_reason_name(FinishReason reason);

struct Generation {
  std::string text, reasoning;
  std::vector<ToolCall> tool_calls;
  std::vector<Sampled> tokens;  // every generated id, the final stop id included
  FinishReason finish_reason = FinishReason::kStop;
  bool context_full = false;  // kLength because the context ended, not max_tok
  int64_t prompt_tok = 0, cached_tok = 0, reasoning_tok = 0;
  double prompt_ms = 0, predicted_ms = 0;  // prefill (to the first token's logits), then the rest
};

using DeltaFn = std::function<void(const AnswerDelta&)>;

// Makes the session's timeline `prompt`, then generates. The stop id is part of the timeline when it was appended by
// the next call only; the session ends with the last generated token not yet fed.
Result<Generation> generate(Session& session, const text::Tokenizer& tokenizer, std::span<const int32_t> prompt,
                            const GenerateOptions& options, const DeltaFn& on_delta = {},
                            const PrefillProgress& on_progress = {});

}  // namespace bantam::engine
