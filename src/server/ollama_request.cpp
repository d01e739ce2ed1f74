// Requests of Ollama's API. See ollama.h.
#include <limits>

#include "server/json_values.h"
#include "server/ollama.h"

namespace bantam::server {
namespace {

Status parse_stops(Fields& options, ChatRequest* out) {
  const JsonValue* stop = options.find("stop");
  if (stop == nullptr) return {};
  if (stop->is_string()) {
    out->stops = {stop->as_string()};
  } else if (stop->is_array()) {
    for (const JsonValue& item : stop->items()) {
      if (!item.is_string()) return bad_input("options.stop: expected strings, got {}", item.kind_name());
      out->stops.push_back(item.as_string());
    }
  } else {
    return bad_input("options.stop: expected a string or an array of strings, got {}", stop->kind_name());
  }
  std::erase(out->stops, "");
  return {};
}

Status parse_options(Fields& fields, ChatRequest* out, std::vector<std::string>* unread) {
  const JsonValue* given = fields.find("options");
  if (given == nullptr) return {};
  if (!given->is_object()) return bad_input("options: expected an object, got {}", given->kind_name());
  Fields options(*given, "options.");
  engine::SamplingWishes& wishes = out->sampling;
  BANTAM_TRY(options.number("temperature", 0, 100, &wishes.temperature));
  BANTAM_TRY(options.number("top_p", 0, 1, &wishes.top_p));
  BANTAM_TRY(options.number("min_p", 0, 1, &wishes.min_p));
  BANTAM_TRY(options.number("repeat_penalty", 0.01, 100, &wishes.repetition_penalty));
  BANTAM_TRY(options.number("presence_penalty", -100, 100, &wishes.presence_penalty));
  BANTAM_TRY(options.number("frequency_penalty", -100, 100, &wishes.frequency_penalty));
  BANTAM_TRY(options.integer("top_k", 0, 1 << 20, &wishes.top_k));
  BANTAM_TRY(
      options.integer("seed", std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max(), &wishes.seed));
  BANTAM_TRY(options.integer("num_predict", -2, int64_t{1} << 30, &out->max_tok));
  if (out->max_tok && *out->max_tok < 0) out->max_tok.reset();  // -1, -2: until the model stops or the context ends
  BANTAM_TRY(parse_stops(options, out));
  for (const std::string& name : options.unread()) unread->push_back("options." + name);
  return {};
}

// think: true, false, or an effort.
Status parse_think(Fields& fields, ChatRequest* out) {
  const JsonValue* think = fields.find("think");
  if (think == nullptr) return {};
  if (think->is_string()) return apply_effort("think", think->as_string(), out);
  if (!think->is_bool()) return bad_input("think: expected true, false or an effort, got {}", think->kind_name());
  out->thinking = think->as_bool();
  return {};
}

Status parse_common(Fields& fields, ChatRequest* out, std::vector<std::string>* unread) {
  BANTAM_TRY(fields.string("model", &out->model));
  std::optional<bool> stream;
  BANTAM_TRY(fields.boolean("stream", &stream));
  out->stream = stream.value_or(true);
  BANTAM_TRY(parse_options(fields, out, unread));
  BANTAM_TRY(parse_think(fields, out));
  const JsonValue* format = fields.find("format");
  if (format != nullptr && !(format->is_string() && format->as_string().empty())) {
    return bad_input("format: not supported: answers are plain text");
  }
  fields.ignore({"keep_alive"});
  return {};
}

Status refuse_images(const JsonValue& holder, const std::string& where) {
  const JsonValue* images = holder.find("images");
  if (images == nullptr || !images->is_array() || images->items().empty()) return {};
  return bad_input("{}images: not supported: this model reads text only", where);
}

// {"role", "content", "thinking"?, "tool_calls"?, "tool_name"?} as the templates know it.
Result<JsonValue> turn_of(const JsonValue& message, size_t index) {
  const std::string where = fmt::format("messages[{}].", index), role = string_at(message, "role");
  if (role != "system" && role != "user" && role != "assistant" && role != "tool") {
    return bad_input("{}role: expected system, user, assistant or tool, got {:?}", where, role);
  }
  const JsonValue* content = message.find("content");
  if (content != nullptr && !content->is_null() && !content->is_string()) {
    return bad_input("{}content: expected a string, got {}", where, content->kind_name());
  }
  BANTAM_TRY(refuse_images(message, where));
  JsonValue out =
      JsonValue::object({{"role", text_value(role)}, {"content", JsonValue::string(string_at(message, "content"))}});
  if (const std::string thinking = string_at(message, "thinking"); !thinking.empty()) {
    out.set("reasoning_content", text_value(thinking));
  }
  const JsonValue* calls = message.find("tool_calls");
  if (calls == nullptr || calls->is_null()) return out;
  if (!calls->is_array()) return bad_input("{}tool_calls: expected an array, got {}", where, calls->kind_name());
  for (const JsonValue& call : calls->items()) {
    const JsonValue* function = call.find("function");
    if (function == nullptr || string_at(*function, "name").empty() || function->find("arguments") == nullptr) {
      return bad_input("{}tool_calls: expected objects {{\"function\": {{\"name\", \"arguments\"}}}}", where);
    }
  }
  if (!calls->items().empty()) out.set("tool_calls", *calls);
  return out;
}

}  // namespace

Result<ChatRequest> parse_ollama_chat(const JsonValue& body) {
  ChatRequest out;
  Fields fields(body);
  std::vector<std::string> unread;
  BANTAM_TRY(parse_common(fields, &out, &unread));
  const JsonValue* messages = fields.find("messages");
  if (messages == nullptr || !messages->is_array() || messages->items().empty()) {
    return bad_input("messages: expected a non-empty array of messages");
  }
  out.messages = JsonValue::array();
  for (size_t i = 0; i < messages->items().size(); ++i) {
    BANTAM_TRY_ASSIGN(JsonValue turn, turn_of(messages->items()[i], i));
    out.messages.items().push_back(std::move(turn));
  }
  if (const JsonValue* tools = fields.find("tools")) {
    if (!tools->is_array()) return bad_input("tools: expected an array, got {}", tools->kind_name());
    if (!tools->items().empty()) out.tools = *tools;
  }
  out.unknown_fields = fields.unread();
  out.unknown_fields.insert(out.unknown_fields.end(), unread.begin(), unread.end());
  return out;
}

Result<ChatRequest> parse_ollama_generate(const JsonValue& body) {
  ChatRequest out;
  Fields fields(body);
  std::vector<std::string> unread;
  BANTAM_TRY(parse_common(fields, &out, &unread));
  BANTAM_TRY(refuse_images(body, ""));
  std::string prompt, system, suffix;
  BANTAM_TRY(fields.string("prompt", &prompt));
  BANTAM_TRY(fields.string("system", &system));
  BANTAM_TRY(fields.string("suffix", &suffix));
  fields.ignore({"images"});
  if (prompt.empty()) return bad_input("prompt: expected a non-empty string");
  if (!suffix.empty()) return bad_input("suffix: not supported; the prompt is continued at its end");
  std::optional<bool> raw;
  BANTAM_TRY(fields.boolean("raw", &raw));
  const auto turn = [](std::string_view role, std::string_view text) {
    return JsonValue::object({{"role", text_value(role)}, {"content", text_value(text)}});
  };
  out.messages = JsonValue::array();
  if (!system.empty()) out.messages.items().push_back(turn("system", system));
  out.messages.items().push_back(turn("user", prompt));
  if (raw.value_or(false)) out.raw_prompt = std::move(prompt);
  out.unknown_fields = fields.unread();
  out.unknown_fields.insert(out.unknown_fields.end(), unread.begin(), unread.end());
  return out;
}

}  // namespace bantam::server
