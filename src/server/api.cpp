// See api.h.
#include "server/api.h"

#include <chrono>
#include <new>
#include <utility>

#include "base/check.h"

namespace bantam::server {
namespace {

// Reading more than this takes longer than a token may wait for its way out.
constexpr size_t kLargeBody = 32 << 10;
// As many as the prompt tokens that may be in work; a value takes some 100 bytes.
constexpr int64_t kMostJsonValues = 1 << 20;

int64_t server_start() {
  static const int64_t start =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  return start;
}

}  // namespace

std::string Api::make_id(std::string_view prefix) {
  return fmt::format("{}-{:x}-{:x}", prefix, server_start(), next_id++);
}

Status check_body_type(const HttpRequest& request) {
  const std::string_view type = request.header("content-type");
  std::string plain(type.substr(0, type.find(';')));
  while (plain.ends_with(' ') || plain.ends_with('\t')) plain.pop_back();
  for (char& c : plain) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  if (plain != "application/json") {
    return bad_input("expected Content-Type: application/json");
  }
  return {};
}

ServedModel Api::served(const Received& received) const {
  ServedModel out = received.model->served();
  out.find_turn = [memory = turns, owner = received.request.owner, model = out.name](std::span<const std::string> ids,
                                                                                     std::string_view content) {
    return memory->find(owner, model, ids, content);
  };
  return out;
}

void Api::work(const std::shared_ptr<Received>& received, std::function<void()> work, std::function<void()> then) {
  auto done = std::make_shared<bool>(false);
  auto guarded_work = [done, work = std::move(work)] {
    try {
      work();
      *done = true;
    } catch (const std::bad_alloc&) {
    }
  };
  auto guarded_then = [done, received, then = std::move(then)] {
    try {
      if (*done) return then();
    } catch (const std::bad_alloc&) {
    }
    received->responder->out_of_memory();
  };
  if (received->large) return host.aside(std::move(guarded_work), std::move(guarded_then));
  guarded_work();
  guarded_then();
}

void Api::receive(HttpRequest request, const ResponderPtr& responder, ErrorWords words, Then then) {
  if (Status status = check_body_type(request); !status.ok()) {
    return responder->reply(words(415, status.message(), ""));
  }
  auto received = std::make_shared<Received>();
  received->responder = responder;
  received->request = std::move(request);
  received->large = received->request.body.size() > kLargeBody;
  auto parsed = std::make_shared<Result<JsonValue>>(Status());
  work(
      received,
      [received, parsed] { *parsed = parse_json(std::exchange(received->request.body, {}), "body", kMostJsonValues); },
      [this, received, parsed, responder, words, then] {
        if (responder->gone()) return;
        if (!parsed->ok()) return responder->reply(refusal(words, parsed->status()));
        received->body = std::move(**parsed);
        if (!received->body.is_object()) {
          return responder->reply(
              refusal(words, bad_input("body: expected an object, got {}", received->body.kind_name())));
        }
        open_model(received, responder, words, then);
      });
}

void Api::open_model(std::shared_ptr<Received> received, const ResponderPtr& responder, ErrorWords words, Then then) {
  const JsonValue* model = received->body.find("model");
  if (model != nullptr && !model->is_null() && !model->is_string()) {
    return responder->reply(refusal(words, bad_input("model: expected a string, got {}", model->kind_name())));
  }
  const std::string id = model != nullptr && model->is_string() ? model->as_string() : "";
  const bool known = host.knows(id);
  host.with_model(id, [received, responder, words, then, known](Result<ModelLease> lease) {
    if (responder->gone()) return;
    if (!lease.ok() && !known) return responder->reply(words(404, lease.status().message(), "model_not_found"));
    if (!lease.ok() &&
        (lease.status().code() == ErrorCode::kNoSpace || lease.status().code() == ErrorCode::kCancelled)) {
      HttpReply reply = refusal(words, lease.status());
      reply.headers.emplace_back("Retry-After", "10");
      return responder->reply(std::move(reply));
    }
    if (!lease.ok()) {
      // What is wrong with its files is no fault of the request, and their paths are none of its business.
      return responder->reply(words(503, "the model could not be loaded; GET /v1/models says why", "model_not_loaded"));
    }
    received->model = std::move(*lease);
    then(received);
  });
}

bool AnswerTask::start(Work work) {
  left_ = work.choices.size();
  answers_.resize(left_);
  last_token_ms_.assign(left_, -1);
  work.events = shared_from_this();
  auto number = api_.host.submit(std::move(work));
  if (!number.ok()) {
    if (number.status().code() == ErrorCode::kBusy) ++api_.metrics.rejected;
    responder_->reply(refusal(words_, number.status()));
    return false;
  }
  responder_->on_gone([&api = api_, number = *number] {
    ++api.metrics.cancelled;
    api.host.cancel(number);
  });
  return true;
}

void AnswerTask::on_delta(size_t choice, const engine::AnswerDelta& piece,
                          std::chrono::steady_clock::time_point made_at) {
  const std::chrono::duration<double, std::milli> ago = std::chrono::steady_clock::now() - made_at;
  const double now = received_->since.elapsed_ms() - ago.count();
  double& last = last_token_ms_[choice];
  (last < 0 ? api_.metrics.first_token_s : api_.metrics.inter_token_s).observe((last < 0 ? now : now - last) / 1000);
  last = now;
  delta(choice, piece);
}

void AnswerTask::on_done(size_t choice, engine::Generation answer) {
  Metrics& metrics = api_.metrics;
  metrics.prompt_tok += answer.prompt_tok;
  metrics.cached_tok += answer.cached_tok;
  metrics.generated_tok += static_cast<int64_t>(answer.tokens.size());
  metrics.reasoning_tok += answer.reasoning_tok;
  answers_[choice] = std::move(answer);
  choice_done(choice, answers_[choice]);
  if (--left_ > 0) return;
  metrics.request_s.observe(received_->since.elapsed_ms() / 1000);
  responder_->on_gone({});
  all_done(answers_);
}

void AnswerTask::on_failed(const Status& status) {
  responder_->on_gone({});
  if (responder_->gone()) return;
  try {
    if (!responder_->answered()) return responder_->reply(refusal(words_, status));
    stream_failed(status);
    responder_->end();
  } catch (const std::bad_alloc&) {
    responder_->out_of_memory();
  }
}

void warn_unknown(Responder& responder, const std::vector<std::string>& fields) {
  constexpr size_t kMostBytes = 512;
  std::string names;
  for (const std::string& field : fields) {
    std::string plain;
    for (const char c : field) plain += c > ' ' && c < 127 && c != ',' ? c : '?';
    names += (names.empty() ? "" : ", ") + plain;
    if (names.size() > kMostBytes) {
      names.resize(kMostBytes);
      names += "...";
      break;
    }
  }
  if (!names.empty()) responder.add_header("X-Bantam-Warning", "ignored fields: " + names);
}

}  // namespace bantam::server
