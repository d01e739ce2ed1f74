// Answers of OpenAI's Responses API, and its route. See openai_responses.h. Events: response.created,
// response.in_progress; for each item output_item.added, its parts and deltas, output_item.done; then
// response.completed, .incomplete or .failed. Each carries its number in the stream.
#include "server/openai_responses.h"

#include <ctime>

#include "server/json_values.h"

namespace bantam::server {
namespace {

using Kind = engine::AnswerDelta::Kind;

JsonValue usage(const engine::Generation& answer) {
  const auto output = static_cast<int64_t>(answer.tokens.size());
  return JsonValue::object(
      {{"input_tokens", count_value(answer.prompt_tok)},
       {"input_tokens_details", JsonValue::object({{"cached_tokens", count_value(answer.cached_tok)}})},
       {"output_tokens", count_value(output)},
       {"output_tokens_details", JsonValue::object({{"reasoning_tokens", count_value(answer.reasoning_tok)}})},
       {"total_tokens", count_value(answer.prompt_tok + output)}});
}

// The request's own value, or what is assumed without one.
JsonValue repeated(const JsonValue& body, std::string_view field, JsonValue otherwise) {
  const JsonValue* value = body.find(field);
  return value != nullptr && !value->is_null() ? *value : otherwise;
}

}  // namespace

ResponseWriter::ResponseWriter(std::string id, int64_t created_s, std::string model, const JsonValue& body)
    : id_(std::move(id)), output_(JsonValue::array()) {
  const JsonValue* reasoning = body.find("reasoning");
  const JsonValue none;
  const auto of_reasoning = [&](std::string_view field) {
    return reasoning != nullptr ? repeated(*reasoning, field, none) : none;
  };
  summaries_ = !of_reasoning("summary").is_null();
  const JsonValue text = JsonValue::object({{"format", JsonValue::object({{"type", text_value("text")}})}});
  response_ = JsonValue::object(
      {{"id", text_value(id_)},
       {"object", text_value("response")},
       {"created_at", count_value(created_s)},
       {"status", text_value("in_progress")},
       {"background", JsonValue::boolean(false)},
       {"error", none},
       {"incomplete_details", none},
       {"instructions", repeated(body, "instructions", none)},
       {"max_output_tokens", repeated(body, "max_output_tokens", none)},
       {"model", JsonValue::string(std::move(model))},
       {"output", JsonValue::array()},
       {"parallel_tool_calls", repeated(body, "parallel_tool_calls", JsonValue::boolean(true))},
       {"previous_response_id", none},
       {"reasoning", JsonValue::object({{"effort", of_reasoning("effort")}, {"summary", of_reasoning("summary")}})},
       {"store", JsonValue::boolean(false)},
       {"temperature", none},
       {"text", text},
       {"tool_choice", repeated(body, "tool_choice", text_value("auto"))},
       {"tools", repeated(body, "tools", JsonValue::array())},
       {"top_p", none},
       {"truncation", text_value("disabled")},
       {"usage", none},
       {"user", repeated(body, "user", none)},
       {"metadata", repeated(body, "metadata", JsonValue::object())}});
}

void ResponseWriter::event(std::string_view type, std::vector<JsonValue::Member> members, std::string* out) {
  JsonValue data = JsonValue::object({{"type", text_value(type)}, {"sequence_number", count_value(sequence_++)}});
  for (auto& [key, value] : members) data.set(key, std::move(value));
  *out += fmt::format("event: {}\ndata: {}\n\n", type, to_json(data));
}

void ResponseWriter::item_event(std::string_view type, bool with_part, std::string_view field, JsonValue value,
                                std::string* out) {
  std::vector<JsonValue::Member> members;
  const bool whole_item = field == "item";
  if (!whole_item) members.emplace_back("item_id", text_value(item_id_));
  members.emplace_back("output_index", count_value(static_cast<int64_t>(output_.items().size())));
  const bool summary = item_ == Item::kReasoning && summaries_;
  if (with_part) members.emplace_back(summary ? "summary_index" : "content_index", count_value(0));
  members.emplace_back(std::string(field), std::move(value));
  // OpenAI's types demand them; there are none.
  if (type.starts_with("response.output_text.")) members.emplace_back("logprobs", JsonValue::array());
  event(type, std::move(members), out);
}

JsonValue ResponseWriter::part_value(std::string_view text) const {
  if (item_ == Item::kReasoning) {
    return JsonValue::object(
        {{"type", text_value(summaries_ ? "summary_text" : "reasoning_text")}, {"text", text_value(text)}});
  }
  return JsonValue::object({{"type", text_value("output_text")},
                            {"text", text_value(text)},
                            {"annotations", JsonValue::array()},
                            {"logprobs", JsonValue::array()}});
}

JsonValue ResponseWriter::item_value(bool done) const {
  JsonValue parts = done ? list_value({part_value(text_)}) : JsonValue::array();
  const JsonValue status = text_value(done ? "completed" : "in_progress");
  if (item_ == Item::kReasoning) {
    JsonValue item = JsonValue::object({{"id", text_value(item_id_)}, {"type", text_value("reasoning")}});
    item.set("summary", summaries_ ? parts : JsonValue::array());
    if (!summaries_) item.set("content", parts);
    item.set("status", status);
    return item;
  }
  if (item_ == Item::kMessage) {
    return JsonValue::object({{"id", text_value(item_id_)},
                              {"type", text_value("message")},
                              {"status", status},
                              {"role", text_value("assistant")},
                              {"content", std::move(parts)}});
  }
  return JsonValue::object({{"id", text_value(item_id_)},
                            {"type", text_value("function_call")},
                            {"status", status},
                            {"call_id", JsonValue::string("call_" + item_id_)},
                            {"name", text_value(call_name_)},
                            {"arguments", text_value(text_)}});
}

void ResponseWriter::open_item(Item kind, std::string_view call_name, std::string* out) {
  close_item(out);
  constexpr std::string_view kPrefixes[] = {"", "rs", "msg", "fc"};
  item_ = kind;
  item_id_ = fmt::format("{}_{}_{}", kPrefixes[static_cast<size_t>(kind)], id_, output_.items().size());
  call_name_ = call_name;
  item_event("response.output_item.added", false, "item", item_value(false), out);
  if (kind == Item::kCall) return;
  item_event(
      kind == Item::kReasoning && summaries_ ? "response.reasoning_summary_part.added" : "response.content_part.added",
      true, "part", part_value(""), out);
}

void ResponseWriter::close_item(std::string* out) {
  if (item_ == Item::kNone) return;
  const bool summary = item_ == Item::kReasoning && summaries_;
  if (item_ == Item::kCall) {
    item_event("response.function_call_arguments.done", false, "arguments", text_value(text_), out);
  } else {
    item_event(item_ == Item::kMessage ? "response.output_text.done"
               : summary               ? "response.reasoning_summary_text.done"
                                       : "response.reasoning_text.done",
               true, "text", text_value(text_), out);
    item_event(summary ? "response.reasoning_summary_part.done" : "response.content_part.done", true, "part",
               part_value(text_), out);
  }
  JsonValue item = item_value(true);
  item_event("response.output_item.done", false, "item", item, out);
  output_.items().push_back(std::move(item));
  item_ = Item::kNone;
  text_.clear();
}

void ResponseWriter::begin(const PreparedRequest& prepared, std::string* out) {
  response_.set("temperature", real_value(prepared.options.sampling.temperature));
  response_.set("top_p", real_value(prepared.options.sampling.top_p));
  event("response.created", {{"response", response_}}, out);
  event("response.in_progress", {{"response", response_}}, out);
}

void ResponseWriter::delta(const engine::AnswerDelta& piece, std::string* out) {
  switch (piece.kind) {
    case Kind::kReasoning:
      if (item_ != Item::kReasoning) open_item(Item::kReasoning, "", out);
      item_event(summaries_ ? "response.reasoning_summary_text.delta" : "response.reasoning_text.delta", true, "delta",
                 text_value(piece.text), out);
      break;
    case Kind::kContent:
      if (item_ != Item::kMessage) open_item(Item::kMessage, "", out);
      item_event("response.output_text.delta", true, "delta", text_value(piece.text), out);
      break;
    case Kind::kToolName:
      return open_item(Item::kCall, piece.text, out);
    case Kind::kToolArguments:
      item_event("response.function_call_arguments.delta", false, "delta", text_value(piece.text), out);
      break;
    case Kind::kNone:
      return;
  }
  text_ += piece.text;
}

void ResponseWriter::end(const engine::Generation& answer, std::string* out) {
  close_item(out);
  const bool cut = answer.finish_reason == engine::FinishReason::kLength;
  response_.set("status", text_value(cut ? "incomplete" : "completed"));
  if (cut) response_.set("incomplete_details", JsonValue::object({{"reason", text_value("max_output_tokens")}}));
  response_.set("output", output_);
  response_.set("usage", usage(answer));
  event(cut ? "response.incomplete" : "response.completed", {{"response", response_}}, out);
}

std::vector<std::string> ResponseWriter::ids() const {
  std::vector<std::string> out;
  for (const JsonValue& item : output_.items()) {
    for (const char* field : {"id", "call_id"}) {
      if (std::string id = string_at(item, field); !id.empty()) out.push_back(std::move(id));
    }
  }
  return out;
}

void ResponseWriter::failed(const Status& status, std::string* out) {
  response_.set("status", text_value("failed"));
  response_.set("error",
                JsonValue::object({{"code", text_value("server_error")}, {"message", text_value(status.message())}}));
  event("response.failed", {{"response", response_}}, out);
}

void add_openai_responses_routes(Router& router, Api& api) {
  const auto writer = [](Api& a, const Api::Received& received, const ChatRequest&) -> std::unique_ptr<AnswerWriter> {
    return std::make_unique<ResponseWriter>(a.make_id("resp"), static_cast<int64_t>(std::time(nullptr)),
                                            received.model->id, received.body);
  };
  router.add({.method = "POST",
              .path = "/v1/responses",
              .summary = "answer a conversation given as items; nothing is kept",
              .handler = conversation_handler(api, {.parse = parse_responses_request, .writer = writer}),
              .body = R"({"input":"Hello","stream":true})",
              .tag = "openai"});
}

}  // namespace bantam::server
