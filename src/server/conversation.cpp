// See conversation.h.
#include "server/conversation.h"

namespace bantam::server {
namespace {

class ConversationAnswer : public AnswerTask {
 public:
  ConversationAnswer(Api& api, const ResponderPtr& responder, ErrorWords words, std::shared_ptr<Api::Received> received,
                     std::shared_ptr<const ChatRequest> request, std::unique_ptr<AnswerWriter> writer)
      : AnswerTask(api, responder, words, std::move(received)),
        request_(std::move(request)),
        writer_(std::move(writer)) {}

  void begin(PreparedRequest prepared) {
    Work work{.model = received_->model,
              .owner = received_->request.owner,
              .choices = {{prepared.ids, prepared.options}},
              .wants_tokens = false,
              .wants_progress = false,
              .wants_deltas = true,
              .events = nullptr};
    beginning_ = Beginning(prepared);
    if (!start(std::move(work))) return;
    if (request_->stream) responder_->begin_stream(std::string(writer_->stream_type()));
    writer_->begin(prepared, &written_);
    flush();
  }

 private:
  void delta(size_t, const engine::AnswerDelta& piece) override {
    writer_->delta(piece, &written_);
    flush();
  }

  void all_done(std::span<const engine::Generation> answers) override {
    writer_->end(answers.front(), &written_);
    keep_turn(api_, *received_, *request_, beginning_, answers.front(), writer_->ids());
    flush();
    if (request_->stream) {
      responder_->end();
    } else {
      responder_->reply({.body = to_json(writer_->whole()), .headers = {}});
    }
    warm_history(api_, received_, request_, answers.front());
  }

  void stream_failed(const Status& status) override {
    writer_->failed(status, &written_);
    flush();
  }

  void flush() {
    if (request_->stream) responder_->write(written_);
    written_.clear();
  }

  std::shared_ptr<const ChatRequest> request_;
  std::unique_ptr<AnswerWriter> writer_;
  Beginning beginning_;
  std::string written_;
};

void answer(Api& api, const ConversationRoute& route, const ResponderPtr& responder,
            const std::shared_ptr<Api::Received>& received) {
  if (route.loaded != nullptr) {
    if (auto reply = route.loaded(*received)) return responder->reply({.body = to_json(*reply), .headers = {}});
  }
  auto parsed = route.parse(received->body);
  if (!parsed.ok()) return responder->reply(refusal(route.words, parsed.status()));
  warn_unknown(*responder, parsed->unknown_fields);
  auto request = std::make_shared<const ChatRequest>(std::move(*parsed));
  auto prepared = std::make_shared<Result<PreparedRequest>>(Status());
  api.work(
      received, [=, served = api.served(*received)] { *prepared = prepare(*request, served); },
      [=, &api] {
        if (responder->gone()) return;
        if (!prepared->ok()) return responder->reply(refusal(route.words, prepared->status()));
        auto writer = route.writer(api, *received, *request);
        received->body = JsonValue();
        std::make_shared<ConversationAnswer>(api, responder, route.words, received, request, std::move(writer))
            ->begin(std::move(**prepared));
      });
}

}  // namespace

Handler conversation_handler(Api& api, const ConversationRoute& route) {
  return [&api, route](HttpRequest request, const ResponderPtr& responder) {
    api.receive(std::move(request), responder, route.words,
                [&api, route, responder](const std::shared_ptr<Api::Received>& received) {
                  answer(api, route, responder, received);
                });
  };
}

Beginning::Beginning(const PreparedRequest& prepared)
    : ids(prepared.ids.end() - static_cast<std::ptrdiff_t>(prepared.options.resumed_tok), prepared.ids.end()),
      in_thinking(prepared.options.starts_in_thinking) {}

void keep_turn(Api& api, const Api::Received& received, const ChatRequest& request, const Beginning& beginning,
               const engine::Generation& answer, std::span<const std::string> ids) {
  if (request.raw_prompt) return;
  const text::Tokenizer& tokenizer = *received.model->tokenizer;
  engine::WrittenTurn turn = engine::written_turn(tokenizer, beginning.ids, beginning.in_thinking, answer);
  // A stop string is part of what was written and not of what was said.
  const bool said = answer.tool_calls.empty() && beginning.ids.empty();
  const std::string content = said ? answer.text : engine::content_bytes(tokenizer, turn);
  api.turns->add(received.request.owner, received.model->id, std::move(turn), ids, content);
}

void warm_history(Api& api, std::shared_ptr<Api::Received> received, std::shared_ptr<const ChatRequest> request,
                  const engine::Generation& answer) {
  const auto reason = answer.finish_reason;
  const bool whole = reason == engine::FinishReason::kStop || reason == engine::FinishReason::kToolCalls;
  const bool plain = !request->raw_prompt && request->prefix_ids.empty() && request->prefix_text.empty();
  if (!whole || !plain) return;
  auto histories = std::make_shared<std::vector<std::vector<int32_t>>>();
  api.work(
      received,
      [=, served = api.served(*received)] {
        // Many clients leave the thinking out where the template would print it.
        histories->push_back(history_ids(*request, answer, /*with_thinking=*/false, served));
        if (answer.tool_calls.empty() || answer.reasoning.empty()) return;
        histories->push_back(history_ids(*request, answer, /*with_thinking=*/true, served));
      },
      [=, &api] {
        for (auto& ids : *histories) {
          if (!ids.empty()) api.host.warm(received->model, received->request.owner, std::move(ids));
        }
      });
}

}  // namespace bantam::server
