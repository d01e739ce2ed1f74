// /v1/chat/completions: streamed as chunks or answered whole. Streams follow what OpenAI's own client merges: role
// once, id and name of a tool call once, in the first delta of its index, then only arguments; the finish reason in a
// chunk of its own; usage, when asked for, in a last one without choices.
#include <ctime>

#include "server/conversation.h"
#include "server/openai_response.h"

namespace bantam::server {
namespace {

class ChatAnswer : public AnswerTask {
 public:
  ChatAnswer(Api& api, const ResponderPtr& responder, std::shared_ptr<Api::Received> received,
             std::shared_ptr<const ChatRequest> request)
      : AnswerTask(api, responder, error_reply, std::move(received)),
        request_(std::move(request)),
        head_{api.make_id("chatcmpl"), static_cast<int64_t>(std::time(nullptr)), received_->model->id},
        chunk_head_(to_json(response_head(head_, "chat.completion.chunk"))),
        waiting_(static_cast<size_t>(request_->n)) {
    chunk_head_.pop_back();
  }

  void begin(PreparedRequest prepared) {
    beginning_ = Beginning(prepared);
    Work work{.model = received_->model,
              .owner = received_->request.owner,
              .choices = {},
              .wants_tokens = request_->stream && request_->top_logprobs >= 0,
              .wants_progress = request_->stream && request_->return_progress,
              .wants_deltas = true,
              .events = nullptr};
    for (int32_t i = 0; i < request_->n; ++i) {
      work.choices.push_back({prepared.ids, prepared.options});
      work.choices.back().options.sampling.choice = static_cast<uint64_t>(i);
    }
    if (!start(std::move(work)) || !request_->stream) return;
    responder_->begin_stream("text/event-stream");
    for (size_t i = 0; i < waiting_.size(); ++i) {
      send(i, R"({"role":"assistant","content":null})", "null");
    }
  }

  void on_progress(size_t choice, int64_t done, int64_t total, int64_t cached) override {
    if (choice != 0) return;
    JsonValue chunk = response_head(head_, "chat.completion.chunk");
    chunk.set("choices", JsonValue::array());
    chunk.set("prompt_progress",
              JsonValue::object({{"total", JsonValue::number(total)},
                                 {"cache", JsonValue::number(cached)},
                                 {"processed", JsonValue::number(done)},
                                 {"time_ms", JsonValue::number(json_number(received_->since.elapsed_ms()))}}));
    send_event(to_json(chunk));
  }

  void on_token(size_t choice, const Sampled& token, bool reasoning) override {
    Waiting& waiting = waiting_[choice];
    (reasoning ? waiting.reasoning : waiting.content)
        .items()
        .push_back(logprob_entry(token, *received_->model->tokenizer));
  }

 private:
  // Log-probabilities of tokens whose text has not been sent yet.
  struct Waiting {
    JsonValue content = JsonValue::array(), reasoning = JsonValue::array();
  };

  void delta(size_t choice, const engine::AnswerDelta& piece) override {
    if (!request_->stream) return;
    using Kind = engine::AnswerDelta::Kind;
    std::string out;
    const auto text = [&](std::string_view before, std::string_view after) {
      out += before;
      append_json_string(&out, piece.text);
      out += after;
    };
    switch (piece.kind) {
      case Kind::kContent:
        text(R"({"content":)", "}");
        break;
      case Kind::kReasoning:
        text(R"({"reasoning_content":)", ",");
        text(R"("reasoning":)", "}");
        break;
      case Kind::kToolName:
        out = fmt::format(R"({{"tool_calls":[{{"index":{},"id":"{}_{}","type":"function",)", piece.call,
                          call_prefix(head_, choice), piece.call);
        text(R"("function":{"name":)", R"(,"arguments":""}}]})");
        break;
      case Kind::kToolArguments:
        out = fmt::format(R"({{"tool_calls":[{{"index":{},)", piece.call);
        text(R"("function":{"arguments":)", "}}]}");
        break;
      case Kind::kNone:
        return;
    }
    send(choice, out, "null");
  }

  void choice_done(size_t choice, const engine::Generation& answer) override {
    std::vector<std::string> ids;
    for (size_t i = 0; i < answer.tool_calls.size(); ++i) {
      ids.push_back(fmt::format("{}_{}", call_prefix(head_, choice), i));
    }
    keep_turn(api_, *received_, *request_, beginning_, answer, ids);
    if (!request_->stream) return;
    send(choice, "{}", fmt::format("\"{}\"", engine::finish_reason_name(answer.finish_reason)), &answer);
  }

  void all_done(std::span<const engine::Generation> answers) override {
    if (request_->stream) {
      if (request_->include_usage) {
        JsonValue chunk = response_head(head_, "chat.completion.chunk");
        chunk.set("choices", JsonValue::array());
        chunk.set("usage", usage_of(answers, answers.size()));
        chunk.set("timings", timings_of(answers.front()));
        send_event(to_json(chunk));
      }
      send_event("[DONE]");
      responder_->end();
    } else {
      responder_->reply(
          {.body = to_json(chat_completion(head_, answers, request_->top_logprobs >= 0, *received_->model->tokenizer)),
           .headers = {}});
    }
    if (answers.size() == 1) warm_history(api_, received_, request_, answers.front());
  }

  void stream_failed(const Status& status) override { send_event(to_json(error_object(status))); }

  void send(size_t choice, std::string_view delta, std::string_view finish, const engine::Generation* end = nullptr) {
    std::string out = chunk_head_;
    out += fmt::format(R"(,"choices":[{{"index":{},"delta":{},"logprobs":{},"finish_reason":{}}}])", choice, delta,
                       take_logprobs(choice), finish);
    if (end != nullptr) out += ",\"timings\":" + to_json(timings_of(*end));
    send_event(out + "}");
  }

  std::string take_logprobs(size_t choice) {
    Waiting& waiting = waiting_[choice];
    if (waiting.content.items().empty() && waiting.reasoning.items().empty()) return "null";
    const Waiting taken = std::exchange(waiting, {});
    return fmt::format(R"({{"content":{},"reasoning":{}}})", to_json(taken.content), to_json(taken.reasoning));
  }

  void send_event(std::string_view data) { responder_->write(fmt::format("data: {}\n\n", data)); }

  std::shared_ptr<const ChatRequest> request_;
  ResponseHead head_;
  Beginning beginning_;
  std::string chunk_head_;  // of every chunk, up to its choices
  std::vector<Waiting> waiting_;
};

void chat(Api& api, HttpRequest request, const ResponderPtr& responder) {
  api.receive(std::move(request), responder, error_reply, [&api, responder](std::shared_ptr<Api::Received> received) {
    auto parsed = parse_chat_request(received->body);
    if (!parsed.ok()) return responder->reply(error_reply(parsed.status()));
    warn_unknown(*responder, parsed->unknown_fields);
    auto wish = std::make_shared<ChatRequest>(std::move(*parsed));
    received->body = JsonValue();
    auto prepared = std::make_shared<Result<PreparedRequest>>(Status());
    api.work(
        received, [=, served = api.served(*received)] { *prepared = prepare(*wish, served); },
        [=, &api] {
          if (responder->gone()) return;
          if (!prepared->ok()) return responder->reply(error_reply(prepared->status()));
          std::make_shared<ChatAnswer>(api, responder, received, wish)->begin(std::move(**prepared));
        });
  });
}

}  // namespace

void add_openai_chat_routes(Router& router, Api& api) {
  router.add({.method = "POST",
              .path = "/v1/chat/completions",
              .summary = "answer a conversation",
              .handler = [&api](HttpRequest request,
                                const ResponderPtr& responder) { chat(api, std::move(request), responder); },
              .body = R"({"messages":[{"role":"user","content":"Hello"}],"stream":true})",
              .tag = "openai"});
}

}  // namespace bantam::server
