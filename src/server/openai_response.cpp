// See openai_response.h.
#include "server/openai_response.h"

#include <algorithm>

#include "server/json_values.h"

namespace bantam::server {
namespace {

JsonValue token_entry(int32_t id, double logprob, const text::Tokenizer& tokenizer) {
  JsonValue bytes = JsonValue::array();
  for (const char c : tokenizer.token_bytes(id)) bytes.items().push_back(count_value(static_cast<unsigned char>(c)));
  return JsonValue::object({{"token", text_value(tokenizer.decode(std::span(&id, 1)))},
                            {"id", count_value(id)},
                            {"logprob", real_value(logprob)},
                            {"bytes", std::move(bytes)}});
}

JsonValue chat_logprobs(const engine::Generation& g, const text::Tokenizer& tokenizer) {
  JsonValue reasoning = JsonValue::array(), content = JsonValue::array();
  int64_t left = g.reasoning_tok;  // thinking comes first
  for (const Sampled& token : g.tokens) {
    (left-- > 0 ? reasoning : content).items().push_back(logprob_entry(token, tokenizer));
  }
  return JsonValue::object({{"content", std::move(content)}, {"reasoning", std::move(reasoning)}});
}

}  // namespace

JsonValue logprob_entry(const Sampled& token, const text::Tokenizer& tokenizer) {
  JsonValue entry = token_entry(token.id, token.logprob, tokenizer);
  JsonValue top = JsonValue::array();
  for (const TokenLogprob& other : token.top) top.items().push_back(token_entry(other.id, other.logprob, tokenizer));
  entry.set("top_logprobs", std::move(top));
  return entry;
}

JsonValue completion_logprobs(std::span<const Sampled> list, size_t without, int64_t* offset,
                              const text::Tokenizer& tokenizer) {
  JsonValue tokens = JsonValue::array(), logprobs = JsonValue::array(), tops = JsonValue::array(),
            offsets = JsonValue::array();
  for (size_t i = 0; i < list.size(); ++i) {
    const Sampled& token = list[i];
    const std::string piece = tokenizer.decode(std::span(&token.id, 1));
    tokens.items().push_back(text_value(piece));
    offsets.items().push_back(count_value(*offset));
    *offset += static_cast<int64_t>(piece.size());
    logprobs.items().push_back(i >= without ? real_value(token.logprob) : JsonValue());
    JsonValue top = JsonValue::object();
    for (const TokenLogprob& other : token.top) {
      const std::string name = tokenizer.decode(std::span(&other.id, 1));
      if (top.find(name) == nullptr)
        top.set(name, real_value(other.logprob));  // two parts of characters can look alike
    }
    tops.items().push_back(i >= without ? std::move(top) : JsonValue());
  }
  return JsonValue::object({{"tokens", std::move(tokens)},
                            {"token_logprobs", std::move(logprobs)},
                            {"top_logprobs", std::move(tops)},
                            {"text_offset", std::move(offsets)}});
}

JsonValue assistant_message(const engine::Generation& g, std::string_view call_prefix) {
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
        {{"id", JsonValue::string(fmt::format("{}_{}", call_prefix, i))},
         {"type", text_value("function")},
         {"function",
          JsonValue::object({{"name", text_value(call.name)}, {"arguments", text_value(call.arguments)}})}}));
  }
  message.set("tool_calls", std::move(calls));
  return message;
}

std::string call_prefix(const ResponseHead& head, size_t choice) {
  return fmt::format("call_{}_{}", head.id, choice);
}

// Prompt tokens count once, however many choices there are of a prompt.
JsonValue usage_of(std::span<const engine::Generation> choices, size_t n) {
  int64_t completion = 0, reasoning = 0, prompt = 0, cached = 0;
  for (size_t i = 0; i < choices.size(); ++i) {
    const engine::Generation& g = choices[i];
    completion += static_cast<int64_t>(g.tokens.size());
    reasoning += g.reasoning_tok;
    if (i % n != 0) continue;
    prompt += g.prompt_tok;
    cached += g.cached_tok;
  }
  return JsonValue::object(
      {{"prompt_tokens", count_value(prompt)},
       {"completion_tokens", count_value(completion)},
       {"total_tokens", count_value(prompt + completion)},
       {"prompt_tokens_details", JsonValue::object({{"cached_tokens", count_value(cached)}})},
       {"completion_tokens_details", JsonValue::object({{"reasoning_tokens", count_value(reasoning)}})}});
}

JsonValue timings_of(const engine::Generation& g) {
  const auto rate = [](int64_t n, double ms) { return real_value(ms > 0 ? 1000.0 * static_cast<double>(n) / ms : 0); };
  const auto each = [](int64_t n, double ms) { return real_value(n > 0 ? ms / static_cast<double>(n) : 0); };
  const int64_t read = g.prompt_tok - g.cached_tok;
  const auto predicted = static_cast<int64_t>(g.tokens.size());
  return JsonValue::object({{"cache_n", count_value(g.cached_tok)},
                            {"prompt_n", count_value(read)},
                            {"prompt_ms", real_value(g.prompt_ms)},
                            {"prompt_per_token_ms", each(read, g.prompt_ms)},
                            {"prompt_per_second", rate(read, g.prompt_ms)},
                            {"predicted_n", count_value(predicted)},
                            {"predicted_ms", real_value(g.predicted_ms)},
                            {"predicted_per_token_ms", each(predicted, g.predicted_ms)},
                            {"predicted_per_second", rate(predicted, g.predicted_ms)}});
}

JsonValue response_head(const ResponseHead& head, std::string_view object) {
  return JsonValue::object({{"id", text_value(head.id)},
                            {"object", text_value(object)},
                            {"created", count_value(head.created_s)},
                            {"model", text_value(head.model)}});
}

JsonValue chat_completion(const ResponseHead& head, std::span<const engine::Generation> choices, bool with_logprobs,
                          const text::Tokenizer& tokenizer) {
  JsonValue list = JsonValue::array();
  for (size_t i = 0; i < choices.size(); ++i) {
    const engine::Generation& g = choices[i];
    list.items().push_back(JsonValue::object({{"index", count_value(static_cast<int64_t>(i))},
                                              {"message", assistant_message(g, call_prefix(head, i))},
                                              {"logprobs", with_logprobs ? chat_logprobs(g, tokenizer) : JsonValue()},
                                              {"finish_reason", text_value(finish_reason_name(g.finish_reason))}}));
  }
  JsonValue out = response_head(head, "chat.completion");
  out.set("choices", std::move(list));
  out.set("usage", usage_of(choices, choices.size()));
  out.set("timings", timings_of(choices.front()));
  return out;
}

JsonValue text_completion(const ResponseHead& head, const CompletionParts& parts, const text::Tokenizer& tokenizer) {
  JsonValue list = JsonValue::array();
  const bool echo = !parts.echoed.empty();
  for (size_t i = 0; i < parts.choices.size(); ++i) {
    const engine::Generation& g = parts.choices[i];
    const std::string text = echo ? tokenizer.decode(parts.echoed[i / parts.n]) + g.text : g.text;
    std::vector<Sampled> tokens = echo ? g.prompt_logprobs : std::vector<Sampled>();
    tokens.insert(tokens.end(), g.tokens.begin(), g.tokens.end());
    int64_t offset = 0;
    list.items().push_back(JsonValue::object(
        {{"index", count_value(static_cast<int64_t>(i))},
         {"text", text_value(text)},
         {"logprobs",
          parts.with_logprobs ? completion_logprobs(tokens, echo ? 1 : 0, &offset, tokenizer) : JsonValue()},
         {"finish_reason", text_value(finish_reason_name(g.finish_reason))}}));
  }
  JsonValue out = response_head(head, "text_completion");
  out.set("choices", std::move(list));
  out.set("usage", usage_of(parts.choices, parts.n));
  out.set("timings", timings_of(parts.choices.front()));
  return out;
}

}  // namespace bantam::server
