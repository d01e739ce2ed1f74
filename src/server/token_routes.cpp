// /tokenize, /detokenize, /tokenizer_info and /apply-template: what the model would read, without running it.
#include "server/api.h"
#include "server/json_values.h"
#include "server/request_fields.h"

namespace bantam::server {
namespace {

JsonValue ids_value(std::span<const int32_t> ids) {
  JsonValue out = JsonValue::array();
  for (const int32_t id : ids) out.items().push_back(JsonValue::number(int64_t{id}));
  return out;
}

using Body = std::function<Result<JsonValue>(const JsonValue& body, const ServedModel& model)>;

// A POST that is a pure function of its body and the model.
Handler pure(Api& api, Body body) {
  return [&api, body](HttpRequest request, const ResponderPtr& responder) {
    api.receive(std::move(request), responder, error_reply,
                [&api, body, responder](std::shared_ptr<Api::Received> received) {
                  auto result = std::make_shared<Result<JsonValue>>(Status());
                  api.work(
                      received, [=, served = api.served(*received)] { *result = body(received->body, served); },
                      [=] {
                        if (!result->ok()) return responder->reply(error_reply(result->status()));
                        responder->reply({.body = to_json(**result), .headers = {}});
                      });
                });
  };
}

// {"content" | "prompt": text, "add_special"?: true, "with_pieces"?: false}
Result<JsonValue> tokenize(const JsonValue& body, const ServedModel& model) {
  Fields fields(body);
  std::string text;
  std::optional<bool> special, pieces;
  BANTAM_TRY(fields.string("content", &text));
  if (fields.find("content") == nullptr) {
    if (fields.find("prompt") == nullptr) return bad_input("content: expected a string");
    BANTAM_TRY(fields.string("prompt", &text));
  }
  BANTAM_TRY(fields.boolean("parse_special", &special));
  BANTAM_TRY(fields.boolean("with_pieces", &pieces));
  const std::vector<int32_t> ids = model.tokenizer->encode(text, special.value_or(true));
  JsonValue tokens = JsonValue::array();
  for (const int32_t id : ids) {
    if (!pieces.value_or(false)) {
      tokens.items().push_back(JsonValue::number(int64_t{id}));
    } else {
      tokens.items().push_back(JsonValue::object(
          {{"id", JsonValue::number(int64_t{id})}, {"piece", text_value(model.tokenizer->decode(std::span(&id, 1)))}}));
    }
  }
  return JsonValue::object({{"tokens", std::move(tokens)},
                            {"count", JsonValue::number(static_cast<int64_t>(ids.size()))},
                            {"max_model_len", JsonValue::number(model.info->context_tok)}});
}

// {"tokens": [ids]} -> {"content", "prompt"}: the names of llama-server and of vLLM.
Result<JsonValue> detokenize(const JsonValue& body, const ServedModel& model) {
  Fields fields(body);
  const JsonValue* tokens = fields.find("tokens");
  if (tokens == nullptr) return bad_input("tokens: expected an array of token ids");
  std::vector<int32_t> ids;
  BANTAM_TRY(parse_ids(*tokens, "tokens", &ids));
  const std::string text = model.tokenizer->decode(ids);
  return JsonValue::object({{"content", text_value(text)}, {"prompt", text_value(text)}});
}

// {"messages", "tools"?, thinking as for a chat} -> {"prompt", "tokens"}
Result<JsonValue> apply_template(const JsonValue& body, const ServedModel& model) {
  BANTAM_TRY_ASSIGN(const ChatRequest request, parse_chat_request(body));
  BANTAM_TRY_ASSIGN(const engine::Prompt prompt, render(request, request.messages, model));
  return JsonValue::object({{"prompt", text_value(prompt.text)}, {"tokens", ids_value(prompt.ids)}});
}

JsonValue tokenizer_info(const ModelFace& model) {
  const text::Tokenizer& tokenizer = *model.tokenizer;
  JsonValue added = JsonValue::array();
  for (const text::AddedToken& token : tokenizer.added_tokens()) {
    added.items().push_back(JsonValue::object({{"id", JsonValue::number(int64_t{token.id})},
                                               {"content", text_value(token.content)},
                                               {"special", JsonValue::boolean(token.special)}}));
  }
  JsonValue out = JsonValue::object({{"tokenizer_class", text_value("Qwen2Tokenizer")},
                                     {"vocab_size", JsonValue::number(int64_t{tokenizer.size()})},
                                     {"rows", JsonValue::number(model.info.vocab_rows)},
                                     {"template", text_value(text::template_name(model.template_kind))},
                                     {"chat_template", text_value(tokenizer.chat_template())},
                                     {"stop_ids", ids_value(model.info.stop_ids)},
                                     {"added_tokens", std::move(added)},
                                     {"max_model_len", JsonValue::number(model.info.context_tok)}});
  // The names lm-evaluation-harness looks for.
  const std::optional<int32_t> eos = tokenizer.eos_id();
  if (eos) out.set("eos_token", text_value(tokenizer.decode(std::span(&*eos, 1))));
  return out;
}

}  // namespace

void add_token_routes(Router& router, Api& api) {
  router.add({.method = "POST",
              .path = "/tokenize",
              .summary = "text to token ids",
              .handler = pure(api, tokenize),
              .body = R"({"content":"Hello","with_pieces":true})",
              .tag = "bantam"});
  router.add({.method = "POST",
              .path = "/detokenize",
              .summary = "token ids to text",
              .handler = pure(api, detokenize),
              .body = R"({"tokens":[72,101]})",
              .tag = "bantam"});
  router.add({.method = "POST",
              .path = "/apply-template",
              .summary = "the prompt of a conversation, as text and as token ids",
              .handler = pure(api, apply_template),
              .body = R"({"messages":[{"role":"user","content":"Hello"}]})",
              .tag = "bantam"});
  router.add({.method = "GET",
              .path = "/tokenizer_info",
              .summary = "the first model's vocabulary, template and special tokens",
              .handler =
                  [&api](HttpRequest, const ResponderPtr& responder) {
                    api.host.with_model("", [responder](Result<ModelLease> model) {
                      if (!model.ok()) return responder->reply(error_reply(model.status()));
                      responder->reply({.body = to_json(tokenizer_info(**model)), .headers = {}});
                    });
                  },
              .body = "",
              .tag = "bantam"});
}

}  // namespace bantam::server
