// Answers in OpenAI's words: chat.completion, text_completion and error objects. Pure functions; thread-safe.
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
JsonValue text_completion(const ResponseHead& head, std::span<const engine::Generation> choices, bool with_logprobs,
                          const text::Tokenizer& tokenizer);

// {"error": {"message", "type", "param": null, "code"}} and the HTTP status that goes with it.
JsonValue error_response(const Status& status);
int http_status(const Status& status);

}  // namespace bantam::server
