// Requests in OpenAI's words: the bodies of /v1/chat/completions and /v1/completions, checked and turned into what the
// engine understands. Names and ranges follow OpenAI's API reference; top_k, min_p, repetition_penalty, think and
// chat_template_kwargs are the additions that other servers of open models share. Pure functions; thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "engine/answer_builder.h"
#include "engine/prompt.h"
#include "server/request_fields.h"
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
  bool stream = false, include_usage = false, return_progress = false;
  std::vector<std::string> unknown_fields;  // accepted and left alone
};

struct ChatRequest : GenerationRequest {
  std::optional<std::string> raw_prompt;  // continued as it is, without a template; messages and tools do not count
  JsonValue messages;                     // content as plain text, developer turns as system turns
  JsonValue tools;                        // an array, or null
  std::optional<bool> thinking;
  std::optional<int64_t> thinking_budget;  // tokens
  // What the answer begins with: generated before, not to be sent again (bantam's addition, for answers that are
  // continued or forked).
  std::vector<int32_t> prefix_ids;
  std::string prefix_text;  // the same as text, where prefix_ids is empty
};

struct CompletionRequest : GenerationRequest {
  struct Prompt {
    std::string text;          // used when ids is empty
    std::vector<int32_t> ids;  // the prompt as tokens
  };
  std::vector<Prompt> prompts;  // at least one; each gets n choices
  bool echo = false;            // the prompt belongs to the answer
};

// Errors (kBadInput) name the field, what was expected and what came.
Result<ChatRequest> parse_chat_request(const JsonValue& body);
Result<CompletionRequest> parse_completion_request(const JsonValue& body);

// Parts that other APIs' requests have in common with these: sampling, limits, stops and streaming; the ways to ask for
// thinking; and an effort's meaning, where nothing else was asked for (`field`: for messages).
Status parse_generation_fields(Fields& fields, GenerationRequest* out);
Status parse_thinking_fields(Fields& fields, ChatRequest* out);
Status apply_effort(std::string_view field, const std::string& effort, ChatRequest* out);

// A loaded model as requests see it.
struct ServedModel {
  std::string name;
  const ModelInfo* info = nullptr;
  const text::Tokenizer* tokenizer = nullptr;
  text::TemplateKind template_kind{};
  // Turns that were written here, by one of the ids their client got, else by their text (turn_memory.h). May be empty.
  std::function<std::shared_ptr<const engine::WrittenTurn>(std::span<const std::string> ids, std::string_view content)>
      find_turn;
};

// A request made ready: ids to read and options to generate with; `choice` of the sampling is the choice's index.
struct PreparedRequest {
  std::vector<int32_t> ids;
  engine::GenerateOptions options;
};
Result<PreparedRequest> prepare(const ChatRequest& request, const ServedModel& model);
// The conversation as the model reads it: turns that are known, as they were written.
Result<engine::Prompt> render(const ChatRequest& request, const JsonValue& messages, const ServedModel& model);
Result<PreparedRequest> prepare(const CompletionRequest& request, size_t prompt, const ServedModel& model);

// What the next request of this conversation will begin with, whatever the user says or the tool returns: the messages
// and the answer as the template prints them in a history. Empty when that cannot be known. with_thinking: the client
// sends the thinking too; templates print it only while tools are being called.
std::vector<int32_t> history_ids(const ChatRequest& request, const engine::Generation& answer, bool with_thinking,
                                 const ServedModel& model);

}  // namespace bantam::server
