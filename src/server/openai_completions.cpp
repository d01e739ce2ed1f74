// /v1/completions: raw continuations of texts or token ids, without a template; with echo and log-probabilities of the
// prompt, as evaluation harnesses score with.
#include <ctime>

#include "server/api.h"
#include "server/openai_response.h"

namespace bantam::server {
namespace {

class CompletionAnswer : public AnswerTask {
 public:
  CompletionAnswer(Api& api, const ResponderPtr& responder, std::shared_ptr<Api::Received> received,
                   CompletionRequest request)
      : AnswerTask(api, responder, error_reply, std::move(received)),
        request_(std::move(request)),
        head_{api.make_id("cmpl"), static_cast<int64_t>(std::time(nullptr)), received_->model->id},
        chunk_head_(to_json(response_head(head_, "text_completion"))) {
    chunk_head_.pop_back();
  }

  void begin(std::vector<PreparedRequest> prompts) {
    Work work{.model = received_->model,
              .owner = received_->request.owner,
              .choices = {},
              .wants_tokens = request_.stream && request_.top_logprobs >= 0,
              .wants_prompt = request_.stream && request_.echo && request_.top_logprobs >= 0,
              .wants_progress = false,
              .wants_deltas = request_.stream,
              .events = nullptr};
    for (PreparedRequest& prompt : prompts) {
      if (request_.echo) echoed_.push_back(prompt.ids);
      for (int32_t i = 0; i < request_.n; ++i) {
        work.choices.push_back({prompt.ids, prompt.options});
        work.choices.back().options.sampling.choice = static_cast<uint64_t>(i);
      }
    }
    waiting_.resize(work.choices.size());
    const bool echo_waits = work.wants_prompt;  // for the log-probabilities
    if (!start(std::move(work)) || !request_.stream) return;
    responder_->begin_stream("text/event-stream");
    if (echo_waits) return;
    for (size_t i = 0; i < echoed_.size() * static_cast<size_t>(request_.n); ++i) send(i, echoed_text(i), "null");
  }

  void on_prompt(size_t choice, std::vector<Sampled> prompt) override {
    Waiting& waiting = waiting_[choice];
    const std::string logprobs = to_json(completion_logprobs(prompt, 1, &waiting.offset, *received_->model->tokenizer));
    send_chunk(choice, echoed_text(choice), logprobs, "null");
  }

  void on_token(size_t choice, const Sampled& token, bool) override { waiting_[choice].tokens.push_back(token); }

 private:
  // Log-probabilities of tokens whose text has not been sent yet, and where in the text they begin.
  struct Waiting {
    std::vector<Sampled> tokens;
    int64_t offset = 0;
  };

  void delta(size_t choice, const engine::AnswerDelta& piece) override {
    if (request_.stream) send(choice, piece.text, "null");
  }
  void choice_done(size_t choice, const engine::Generation& answer) override {
    if (request_.stream) send(choice, "", fmt::format("\"{}\"", engine::finish_reason_name(answer.finish_reason)));
  }

  void all_done(std::span<const engine::Generation> answers) override {
    const CompletionParts parts{.choices = answers,
                                .n = static_cast<size_t>(request_.n),
                                .with_logprobs = request_.top_logprobs >= 0,
                                .echoed = echoed_};
    if (!request_.stream) {
      return responder_->reply(
          {.body = to_json(text_completion(head_, parts, *received_->model->tokenizer)), .headers = {}});
    }
    if (request_.include_usage) {
      JsonValue chunk = response_head(head_, "text_completion");
      chunk.set("choices", JsonValue::array());
      chunk.set("usage", usage_of(answers, parts.n));
      chunk.set("timings", timings_of(answers.front()));
      send_event(to_json(chunk));
    }
    send_event("[DONE]");
    responder_->end();
  }

  void stream_failed(const Status& status) override { send_event(to_json(error_object(status))); }

  std::string echoed_text(size_t choice) const {
    return received_->model->tokenizer->decode(echoed_[choice / static_cast<size_t>(request_.n)]);
  }
  void send(size_t choice, std::string_view text, std::string_view finish) {
    send_chunk(choice, text, take_logprobs(choice), finish);
  }
  void send_chunk(size_t choice, std::string_view text, std::string_view logprobs, std::string_view finish) {
    std::string out = chunk_head_;
    out += fmt::format(R"(,"choices":[{{"index":{},"text":)", choice);
    append_json_string(&out, text);
    out += fmt::format(R"(,"logprobs":{},"finish_reason":{}}}]}})", logprobs, finish);
    send_event(out);
  }
  std::string take_logprobs(size_t choice) {
    Waiting& waiting = waiting_[choice];
    if (waiting.tokens.empty()) return "null";
    const std::vector<Sampled> taken = std::exchange(waiting.tokens, {});
    return to_json(completion_logprobs(taken, 0, &waiting.offset, *received_->model->tokenizer));
  }

  void send_event(std::string_view data) { responder_->write(fmt::format("data: {}\n\n", data)); }

  CompletionRequest request_;
  ResponseHead head_;
  std::string chunk_head_;  // of every chunk, up to its choices
  std::vector<std::vector<int32_t>> echoed_;
  std::vector<Waiting> waiting_;
};

void complete(Api& api, HttpRequest request, const ResponderPtr& responder) {
  api.receive(std::move(request), responder, error_reply, [&api, responder](std::shared_ptr<Api::Received> received) {
    auto parsed = parse_completion_request(received->body);
    if (!parsed.ok()) return responder->reply(error_reply(parsed.status()));
    warn_unknown(*responder, parsed->unknown_fields);
    auto wish = std::make_shared<CompletionRequest>(std::move(*parsed));
    received->body = JsonValue();
    auto prepared = std::make_shared<std::vector<PreparedRequest>>();
    auto status = std::make_shared<Status>();
    api.work(
        received,
        [=] {
          for (size_t i = 0; i < wish->prompts.size() && status->ok(); ++i) {
            auto one = prepare(*wish, i, received->model->served());
            if (one.ok())
              prepared->push_back(std::move(*one));
            else
              *status = one.status();
          }
        },
        [=, &api] {
          if (responder->gone()) return;
          if (!status->ok()) return responder->reply(error_reply(*status));
          std::make_shared<CompletionAnswer>(api, responder, received, std::move(*wish))->begin(std::move(*prepared));
        });
  });
}

}  // namespace

void add_openai_completion_routes(Router& router, Api& api) {
  router.add({.method = "POST",
              .path = "/v1/completions",
              .summary = "continue texts or token ids, without a template",
              .handler = [&api](HttpRequest request,
                                const ResponderPtr& responder) { complete(api, std::move(request), responder); },
              .body = R"({"prompt":"Once upon a time","max_tokens":32})",
              .tag = "openai"});
}

}  // namespace bantam::server
