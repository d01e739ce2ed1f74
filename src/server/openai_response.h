// Answers in OpenAI's words: chat.completion, text_completion and their parts. Pure functions; thread-safe. Errors are
// in error_reply.h, streams in openai_stream.h.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "engine/answer_builder.h"
#include "text/tokenizer.h"

namespace bantam::server {

// What every response object begins with.
struct ResponseHead {
  std::string id;         // "chatcmpl-...", "cmpl-..."
  int64_t created_s = 0;  // Unix time
  std::string model;
};

// One generation per choice, in order. Log-probabilities are printed where the generation has them (with_logprobs).
JsonValue chat_completion(const ResponseHead& head, std::span<const engine::Generation> choices, bool with_logprobs,
                          const text::Tokenizer& tokenizer);
// `prompts`: what the answer begins with when the prompt was to be echoed, one for every n choices; else empty.
struct CompletionParts {
  std::span<const engine::Generation> choices;
  size_t n = 1;  // choices per prompt
  bool with_logprobs = false;
  std::span<const std::vector<int32_t>> echoed;
};
JsonValue text_completion(const ResponseHead& head, const CompletionParts& parts, const text::Tokenizer& tokenizer);

// The parts, for streams and for other APIs.
JsonValue response_head(const ResponseHead& head, std::string_view object);
// A message with role, content, reasoning_content (mirrored as reasoning) and tool_calls.
JsonValue assistant_message(const engine::Generation& answer, std::string_view call_prefix);
// What the ids of a choice's calls begin with; "_" and the call's number follow.
std::string call_prefix(const ResponseHead& head, size_t choice);
// A token as the logprobs objects show it: text, id, bytes (one token may be a part of a character) and alternatives.
JsonValue logprob_entry(const Sampled& token, const text::Tokenizer& tokenizer);
// The logprobs object of /v1/completions. The first `without` tokens' log-probabilities are not known; *offset: where
// in the text the tokens begin, moved on to their end.
JsonValue completion_logprobs(std::span<const Sampled> tokens, size_t without, int64_t* offset,
                              const text::Tokenizer& tokenizer);
// n: choices per prompt.
JsonValue usage_of(std::span<const engine::Generation> choices, size_t n);
// As llama-server prints them.
JsonValue timings_of(const engine::Generation& answer);

}  // namespace bantam::server
