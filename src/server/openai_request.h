// Requests in OpenAI's words: the bodies of /v1/chat/completions and /v1/completions, checked and turned into what the
// engine understands. Names and ranges follow OpenAI's API reference; top_k, min_p, repetition_penalty, think and
// chat_template_kwargs are the additions that other servers of open models share. Pure functions; thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "engine/answer_builder.h"
#include "engine/prompt.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace bantam::server {

// What both kinds of request can ask for.
struct GenerationRequest {
  std::string model;  // "" when not named
  engine::SamplingWishes sampling;
  std::vector<std::pair<int32_t, float>> logit_bias;
  std::vector<std::string> stops;
  std::optional<int64_t> max_tok;
  int32_t n = 1;              // choices, 1..8
  int32_t top_logprobs = -1;  // as SamplingOptions
  bool stream = false;
  std::vector<std::string> unknown_fields;  // accepted and left alone
};

struct ChatRequest : GenerationRequest {
  JsonValue messages;  // content as plain text, developer turns as system turns
  JsonValue tools;     // an array, or null
  std::optional<bool> thinking;
};

struct CompletionRequest : GenerationRequest {
  std::string prompt;        // used when ids is empty
  std::vector<int32_t> ids;  // the prompt as tokens
};

// Errors (kBadInput) name the field, what was expected and what came.
Result<ChatRequest> parse_chat_request(const JsonValue& body);
Result<CompletionRequest> parse_completion_request(const JsonValue& body);

// A loaded model as requests see it.
struct ServedModel {
  std::string name;
  const ModelInfo* info = nullptr;
  const text::Tokenizer* tokenizer = nullptr;
  text::TemplateKind template_kind{};
};

// A request made ready: ids to read and options to generate with; `choice` of the sampling is the choice's index.
struct PreparedRequest {
  std::vector<int32_t> ids;
  engine::GenerateOptions options;
};
Result<PreparedRequest> prepare(const ChatRequest& request, const ServedModel& model);
Result<PreparedRequest> prepare(const CompletionRequest& request, const ServedModel& model);

}  // namespace bantam::server
