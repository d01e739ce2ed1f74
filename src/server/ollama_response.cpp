// Answers of Ollama's API. See ollama.h. Every line is an object of its own; a tool call is one line, when its
// arguments are complete; the last line has the counts and durations, in nanoseconds.
#include <chrono>
#include <ctime>

#include "server/json_values.h"
#include "server/ollama.h"

namespace bantam::server {
namespace {

using Kind = engine::AnswerDelta::Kind;

JsonValue nanoseconds(double ms) {
  return count_value(static_cast<int64_t>(ms * 1e6));
}

}  // namespace

std::string rfc3339(std::chrono::system_clock::time_point time) {
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
  const auto seconds = static_cast<std::time_t>(us / 1'000'000);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, us % 1'000'000);
}

JsonValue OllamaWriter::line(std::string_view text, std::string_view thinking, const JsonValue* calls) const {
  JsonValue out = JsonValue::object(
      {{"model", text_value(model_)}, {"created_at", JsonValue::string(rfc3339(std::chrono::system_clock::now()))}});
  if (form_ == Form::kChat) {
    JsonValue message = JsonValue::object({{"role", text_value("assistant")}, {"content", text_value(text)}});
    if (!thinking.empty()) message.set("thinking", text_value(thinking));
    if (calls != nullptr) message.set("tool_calls", *calls);
    out.set("message", std::move(message));
  } else {
    out.set("response", text_value(text));
    if (!thinking.empty()) out.set("thinking", text_value(thinking));
  }
  out.set("done", JsonValue::boolean(false));
  return out;
}

void OllamaWriter::close_call(std::string* out) {
  if (!std::exchange(in_call_, false)) return;
  auto arguments = parse_json(call_arguments_);
  const auto index = static_cast<int64_t>(calls_.items().size());
  const JsonValue call = JsonValue::object(
      {{"id", JsonValue::string(fmt::format("call_{}", index))},
       {"function",
        JsonValue::object(
            {{"index", count_value(index)},
             {"name", text_value(call_name_)},
             {"arguments", arguments.ok() && arguments->is_object() ? *arguments : JsonValue::object()}})}});
  calls_.items().push_back(call);
  const JsonValue one = list_value({call});
  *out += to_json(line("", "", &one)) + "\n";
  call_arguments_.clear();
}

void OllamaWriter::delta(const engine::AnswerDelta& piece, std::string* out) {
  if (piece.kind != Kind::kToolArguments) close_call(out);
  switch (piece.kind) {
    case Kind::kReasoning:
      thinking_ += piece.text;
      *out += to_json(line("", piece.text, nullptr)) + "\n";
      break;
    case Kind::kContent:
      text_ += piece.text;
      *out += to_json(line(piece.text, "", nullptr)) + "\n";
      break;
    case Kind::kToolName:
      in_call_ = true;
      call_name_ = piece.text;
      break;
    case Kind::kToolArguments:
      call_arguments_ += piece.text;
      break;
    case Kind::kNone:
      break;
  }
}

void OllamaWriter::end(const engine::Generation& answer, std::string* out) {
  close_call(out);
  const auto finish = [&](JsonValue last) {
    last.set("done", JsonValue::boolean(true));
    last.set("done_reason", text_value(answer.finish_reason == engine::FinishReason::kLength ? "length" : "stop"));
    last.set("total_duration", nanoseconds(since_.elapsed_ms()));
    last.set("load_duration", count_value(0));
    last.set("prompt_eval_count", count_value(answer.prompt_tok));
    last.set("prompt_eval_duration", nanoseconds(answer.prompt_ms));
    last.set("eval_count", count_value(static_cast<int64_t>(answer.tokens.size())));
    last.set("eval_duration", nanoseconds(answer.predicted_ms));
    return last;
  };
  whole_ = finish(line(text_, thinking_, calls_.items().empty() ? nullptr : &calls_));
  *out += to_json(finish(line("", "", nullptr))) + "\n";
}

void OllamaWriter::failed(const Status& status, std::string* out) {
  *out += to_json(JsonValue::object({{"error", text_value(status.message())}})) + "\n";
}

}  // namespace bantam::server
