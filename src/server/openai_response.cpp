// See openai_response.h.
#include "server/openai_response.h"

#include <algorithm>

namespace bantam::server {
namespace {

JsonValue text_value(std::string_view text) {
  return JsonValue::string(std::string(text));
}

JsonValue real(double value) {
  return JsonValue::number(json_number(value));
}

// A token as the logprobs objects show it: its text, and its bytes, since one token may be a part of a character.
JsonValue token_entry(int32_t id, double logprob, const text::Tokenizer& tokenizer) {
  JsonValue bytes = JsonValue::array();
  for (const char c : tokenizer.token_bytes(id)) {
    bytes.items().push_back(JsonValue::number(int64_t{static_cast<unsigned char>(c)}));
  }
  return JsonValue::object({{"token", text_value(tokenizer.decode(std::span(&id, 1)))},
                            {"logprob", real(logprob)},
                            {"bytes", std::move(bytes)}});
}

JsonValue chat_logprobs(const engine::Generation& g, const text::Tokenizer& tokenizer) {
  JsonValue content = JsonValue::array();
  for (const Sampled& token : g.tokens) {
    JsonValue entry = token_entry(token.id, token.logprob, tokenizer);
    JsonValue top = JsonValue::array();
    for (const TokenLogprob& other : token.top) {
      top.items().push_back(token_entry(other.id, other.logprob, tokenizer));
    }
    entry.set("top_logprobs", std::move(top));
    content.items().push_back(std::move(entry));
  }
  return JsonValue::object({{"content", std::move(content)}});
}

JsonValue completion_logprobs(const engine::Generation& g, const text::Tokenizer& tokenizer) {
  JsonValue tokens = JsonValue::array(), logprobs = JsonValue::array(), tops = JsonValue::array();
  for (const Sampled& token : g.tokens) {
    tokens.items().push_back(text_value(tokenizer.decode(std::span(&token.id, 1))));
    logprobs.items().push_back(real(token.logprob));
    JsonValue top = JsonValue::object();
    for (const TokenLogprob& other : token.top) {
      top.set(tokenizer.decode(std::span(&other.id, 1)), real(other.logprob));
    }
    tops.items().push_back(std::move(top));
  }
  return JsonValue::object(
      {{"tokens", std::move(tokens)}, {"token_logprobs", std::move(logprobs)}, {"top_logprobs", std::move(tops)}});
}

JsonValue message_of(const engine::Generation& g, const ResponseHead& head, size_t choice) {
  JsonValue message = JsonValue::object({{"role", text_value("assistant")}});
  message.set("content", g.text.empty() && !g.tool_calls.empty() ? JsonValue() : text_value(g.text));
  if (!g.reasoning.empty()) {
    message.set("reasoning_content", text_value(g.reasoning));
    message.set("reasoning", text_value(g.reasoning));
  }
  if (g.tool_calls.empty()) return message;
  JsonValue calls = JsonValue::array();
  for (size_t i = 0; i < g.tool_calls.size(); ++i) {
    const engine::ToolCall& call = g.tool_calls[i];
    calls.items().push_back(JsonValue::object(
        {{"id", JsonValue::string(fmt::format("call_{}_{}_{}", head.id, choice, i))},
         {"type", text_value("function")},
         {"function",
          JsonValue::object({{"name", text_value(call.name)}, {"arguments", text_value(call.arguments)}})}}));
  }
  message.set("tool_calls", std::move(calls));
  return message;
}

// Prompt tokens count once, however many choices there are.
JsonValue usage_of(std::span<const engine::Generation> choices) {
  int64_t completion = 0, reasoning = 0, prompt = 0, cached = 0;
  for (const engine::Generation& g : choices) {
    completion += static_cast<int64_t>(g.tokens.size());
    reasoning += g.reasoning_tok;
    prompt = g.prompt_tok;
    cached = std::max(cached, g.cached_tok);
  }
  return JsonValue::object(
      {{"prompt_tokens", JsonValue::number(prompt)},
       {"completion_tokens", JsonValue::number(completion)},
       {"total_tokens", JsonValue::number(prompt + completion)},
       {"prompt_tokens_details", JsonValue::object({{"cached_tokens", JsonValue::number(cached)}})},
       {"completion_tokens_details", JsonValue::object({{"reasoning_tokens", JsonValue::number(reasoning)}})}});
}

JsonValue head_of(const ResponseHead& head, std::string_view object) {
  return JsonValue::object({{"id", text_value(head.id)},
                            {"object", text_value(object)},
                            {"created", JsonValue::number(head.created_s)},
                            {"model", text_value(head.model)}});
}

}  // namespace

JsonValue chat_completion(const ResponseHead& head, std::span<const engine::Generation> choices, bool with_logprobs,
                          const text::Tokenizer& tokenizer) {
  JsonValue list = JsonValue::array();
  for (size_t i = 0; i < choices.size(); ++i) {
    const engine::Generation& g = choices[i];
    list.items().push_back(JsonValue::object({{"index", JsonValue::number(static_cast<int64_t>(i))},
                                              {"message", message_of(g, head, i)},
                                              {"logprobs", with_logprobs ? chat_logprobs(g, tokenizer) : JsonValue()},
                                              {"finish_reason", text_value(finish_reason_name(g.finish_reason))}}));
  }
  JsonValue out = head_of(head, "chat.completion");
  out.set("choices", std::move(list));
  out.set("usage", usage_of(choices));
  return out;
}

JsonValue text_completion(const ResponseHead& head, std::span<const engine::Generation> choices, bool with_logprobs,
                          const text::Tokenizer& tokenizer) {
  JsonValue list = JsonValue::array();
  for (size_t i = 0; i < choices.size(); ++i) {
    const engine::Generation& g = choices[i];
    list.items().push_back(
        JsonValue::object({{"index", JsonValue::number(static_cast<int64_t>(i))},
                           {"text", text_value(g.text)},
                           {"logprobs", with_logprobs ? completion_logprobs(g, tokenizer) : JsonValue()},
                           {"finish_reason", text_value(finish_reason_name(g.finish_reason))}}));
  }
  JsonValue out = head_of(head, "text_completion");
  out.set("choices", std::move(list));
  out.set("usage", usage_of(choices));
  return out;
}

int http_status(const Status& status) {
  switch (status.code()) {
    case ErrorCode::kUsage:
    case ErrorCode::kBadInput:
    case ErrorCode::kContextFull:
      return 400;
    case ErrorCode::kNoSpace:
      return 503;
    default:
      return 500;
  }
}

JsonValue error_response(const Status& status) {
  const int http = http_status(status);
  const bool full = status.code() == ErrorCode::kContextFull;
  return JsonValue::object(
      {{"error", JsonValue::object({{"message", text_value(status.message())},
                                    {"type", text_value(http == 400 ? "invalid_request_error" : "server_error")},
                                    {"param", JsonValue()},
                                    {"code", full ? text_value("context_length_exceeded") : JsonValue()}})}});
}

}  // namespace bantam::server
