// /v1/messages and /v1/messages/count_tokens.
#include "server/anthropic.h"
#include "server/json_values.h"

namespace bantam::server {
namespace {

std::unique_ptr<AnswerWriter> message_writer(Api& api, const Api::Received& received, const ChatRequest& request) {
  return std::make_unique<MessageWriter>(api.make_id("msg"), received.model->id, request.stops,
                                         *received.model->tokenizer);
}

void count_tokens(Api& api, HttpRequest request, const ResponderPtr& responder) {
  api.receive(std::move(request), responder, anthropic_error,
              [&api, responder](const std::shared_ptr<Api::Received>& received) {
                auto prepared = std::make_shared<Result<PreparedRequest>>(Status());
                api.work(
                    received,
                    [=, served = api.served(*received)] {
                      auto parsed = parse_messages_request(received->body);
                      *prepared = parsed.ok() ? prepare(*parsed, served) : parsed.status();
                    },
                    [=] {
                      if (!prepared->ok()) return responder->reply(refusal(anthropic_error, prepared->status()));
                      const auto tok = static_cast<int64_t>((*prepared)->ids.size());
                      responder->reply(
                          {.body = to_json(JsonValue::object({{"input_tokens", count_value(tok)}})), .headers = {}});
                    });
              });
}

}  // namespace

void add_anthropic_routes(Router& router, Api& api) {
  router.add({.method = "POST",
              .path = "/v1/messages",
              .summary = "answer a conversation, as Anthropic's Messages API",
              .handler = conversation_handler(
                  api, {.words = anthropic_error, .parse = parse_messages_request, .writer = message_writer}),
              .body = R"({"max_tokens":256,"messages":[{"role":"user","content":"Hello"}]})",
              .tag = "anthropic",
              .words = anthropic_error});
  router.add({.method = "POST",
              .path = "/v1/messages/count_tokens",
              .summary = "how many tokens a request to /v1/messages has",
              .handler = [&api](HttpRequest request,
                                const ResponderPtr& responder) { count_tokens(api, std::move(request), responder); },
              .body = R"({"messages":[{"role":"user","content":"Hello"}]})",
              .tag = "anthropic",
              .words = anthropic_error});
}

}  // namespace bantam::server
