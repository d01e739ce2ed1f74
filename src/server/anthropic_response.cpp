// Answers of Anthropic's Messages API. See anthropic.h. Events: message_start, ping, then for each block
// content_block_start, content_block_delta..., content_block_stop, then message_delta and message_stop.
#include <algorithm>

#include "server/anthropic.h"
#include "server/json_values.h"

namespace bantam::server {
namespace {

using Kind = engine::AnswerDelta::Kind;

void event(std::string_view type, std::string_view data, std::string* out) {
  *out += fmt::format("event: {}\ndata: {}\n\n", type, data);
}

JsonValue usage(int64_t input_tok, int64_t cached_tok, int64_t output_tok) {
  return JsonValue::object({{"input_tokens", count_value(input_tok)},
                            {"cache_creation_input_tokens", count_value(0)},
                            {"cache_read_input_tokens", count_value(cached_tok)},
                            {"output_tokens", count_value(output_tok)}});
}

std::string_view stop_reason(const engine::Generation& answer, bool by_stop) {
  switch (answer.finish_reason) {
    case engine::FinishReason::kLength:
      return "max_tokens";
    case engine::FinishReason::kToolCalls:
      return "tool_use";
    default:
      return by_stop ? "stop_sequence" : "end_turn";
  }
}

}  // namespace

std::string matched_stop(const engine::Generation& answer, std::span<const std::string> stops,
                         const text::Tokenizer& tokenizer) {
  if (answer.finish_reason != engine::FinishReason::kStop || stops.empty()) return "";
  std::vector<int32_t> ids;
  for (const Sampled& token : answer.tokens) ids.push_back(token.id);
  const std::string raw = tokenizer.decode(ids);
  // The stop follows what was delivered of the content, which nothing but the stop and its last token comes after.
  const size_t shown = raw.rfind(answer.text);
  const size_t from = shown == std::string::npos ? 0 : shown + answer.text.size();
  std::string found;
  size_t first = std::string::npos;
  for (const std::string& stop : stops) {
    const size_t at = raw.find(stop, from);
    if (at < first) {
      first = at;
      found = stop;
    }
  }
  return found;
}

MessageWriter::MessageWriter(std::string id, std::string model, std::vector<std::string> stops,
                             const text::Tokenizer& tokenizer)
    : id_(std::move(id)),
      stops_(std::move(stops)),
      tokenizer_(tokenizer),
      message_(JsonValue::object({{"id", text_value(id_)},
                                  {"type", text_value("message")},
                                  {"role", text_value("assistant")},
                                  {"model", JsonValue::string(std::move(model))},
                                  {"content", JsonValue::array()},
                                  {"stop_reason", JsonValue()},
                                  {"stop_sequence", JsonValue()}})),
      content_(JsonValue::array()) {}

void MessageWriter::begin(const PreparedRequest& prepared, std::string* out) {
  message_.set("usage", usage(static_cast<int64_t>(prepared.ids.size()), 0, 0));
  event("message_start", to_json(JsonValue::object({{"type", text_value("message_start")}, {"message", message_}})),
        out);
  event("ping", R"({"type":"ping"})", out);
}

void MessageWriter::open_block(Kind kind, JsonValue block, std::string* out) {
  close_block(out);
  kind_ = kind;
  block_ = std::move(block);
  event("content_block_start",
        fmt::format(R"({{"type":"content_block_start","index":{},"content_block":{}}})", content_.items().size(),
                    to_json(block_)),
        out);
}

void MessageWriter::send_delta(std::string_view type, std::string_view field, std::string_view text,
                               std::string* out) const {
  std::string data = fmt::format(R"({{"type":"content_block_delta","index":{},"delta":{{"type":"{}","{}":)",
                                 content_.items().size(), type, field);
  append_json_string(&data, text);
  event("content_block_delta", data + "}}", out);
}

void MessageWriter::close_block(std::string* out) {
  if (block_.is_null()) return;
  if (kind_ == Kind::kReasoning) {
    send_delta("signature_delta", "signature", "", out);
    block_.set("thinking", JsonValue::string(text_));
  } else if (kind_ == Kind::kContent) {
    block_.set("text", JsonValue::string(text_));
  } else if (auto input = parse_json(text_); input.ok() && input->is_object()) {
    block_.set("input", std::move(*input));
  }
  event("content_block_stop", fmt::format(R"({{"type":"content_block_stop","index":{}}})", content_.items().size()),
        out);
  content_.items().push_back(std::exchange(block_, JsonValue()));
  text_.clear();
}

void MessageWriter::delta(const engine::AnswerDelta& piece, std::string* out) {
  const bool going_on = !block_.is_null() && kind_ == piece.kind;
  switch (piece.kind) {
    case Kind::kReasoning:
      if (!going_on) {
        open_block(piece.kind,
                   JsonValue::object(
                       {{"type", text_value("thinking")}, {"thinking", text_value("")}, {"signature", text_value("")}}),
                   out);
      }
      send_delta("thinking_delta", "thinking", piece.text, out);
      break;
    case Kind::kContent:
      if (!going_on) {
        open_block(piece.kind, JsonValue::object({{"type", text_value("text")}, {"text", text_value("")}}), out);
      }
      send_delta("text_delta", "text", piece.text, out);
      break;
    case Kind::kToolName:
      open_block(piece.kind,
                 JsonValue::object({{"type", text_value("tool_use")},
                                    {"id", JsonValue::string(fmt::format("toolu_{}_{}", id_, calls_++))},
                                    {"name", text_value(piece.text)},
                                    {"input", JsonValue::object()}}),
                 out);
      return;
    case Kind::kToolArguments:
      send_delta("input_json_delta", "partial_json", piece.text, out);
      break;
    case Kind::kNone:
      return;
  }
  text_ += piece.text;
}

void MessageWriter::end(const engine::Generation& answer, std::string* out) {
  close_block(out);
  const std::string stop = matched_stop(answer, stops_, tokenizer_);
  const JsonValue reason = text_value(stop_reason(answer, !stop.empty()));
  const JsonValue sequence = stop.empty() ? JsonValue() : text_value(stop);
  const JsonValue used =
      usage(answer.prompt_tok - answer.cached_tok, answer.cached_tok, static_cast<int64_t>(answer.tokens.size()));
  message_.set("content", content_);
  message_.set("stop_reason", reason);
  message_.set("stop_sequence", sequence);
  message_.set("usage", used);
  event("message_delta",
        to_json(JsonValue::object({{"type", text_value("message_delta")},
                                   {"delta", JsonValue::object({{"stop_reason", reason}, {"stop_sequence", sequence}})},
                                   {"usage", used}})),
        out);
  event("message_stop", R"({"type":"message_stop"})", out);
}

std::vector<std::string> MessageWriter::ids() const {
  std::vector<std::string> out;
  for (const JsonValue& block : content_.items()) {
    if (std::string id = string_at(block, "id"); !id.empty()) out.push_back(std::move(id));
  }
  return out;
}

void MessageWriter::failed(const Status& status, std::string* out) {
  event("error", to_json(anthropic_error_object(http_status(status), status.message())), out);
}

}  // namespace bantam::server
