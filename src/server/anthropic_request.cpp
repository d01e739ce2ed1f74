// Requests of Anthropic's Messages API. See anthropic.h.
#include <algorithm>

#include "server/anthropic.h"
#include "server/json_values.h"

namespace bantam::server {
namespace {

// Changes with every request of some clients and would hide the rest of the prompt from the prefix cache.
constexpr std::string_view kBillingHeader = "x-anthropic-billing-header";

// The text of one block that has one: text, or a document given as text.
Result<std::string> block_text(const JsonValue& block, const std::string& where) {
  const std::string type = string_at(block, "type");
  const JsonValue* text = block.find("text");
  if (type == "document") {
    const JsonValue* source = block.find("source");
    if (source != nullptr && string_at(*source, "type") == "text") return string_at(*source, "data");
    return bad_input("{}: expected a document whose source is text; this model reads text only", where);
  }
  if (type == "image") return bad_input("{}: images are not supported: this model reads text only", where);
  if (type != "text") return bad_input("{}.type: {:?} is not supported here", where, type);
  if (text == nullptr || !text->is_string()) return bad_input("{}.text: expected a string", where);
  return text->as_string();
}

// A string, or blocks that are all text.
Result<std::string> plain_text(const JsonValue& content, const std::string& where) {
  if (content.is_string()) return content.as_string();
  if (!content.is_array()) {
    return bad_input("{}: expected a string or an array of blocks, got {}", where, content.kind_name());
  }
  std::string out;
  for (size_t i = 0; i < content.items().size(); ++i) {
    BANTAM_TRY_ASSIGN(const std::string text, block_text(content.items()[i], fmt::format("{}[{}]", where, i)));
    if (where == "system" && text.starts_with(kBillingHeader)) continue;
    out += (out.empty() ? "" : "\n") + text;
  }
  return out;
}

JsonValue message(std::string_view role, std::string text) {
  return JsonValue::object({{"role", text_value(role)}, {"content", JsonValue::string(std::move(text))}});
}

// A user's blocks: results of tools become turns of their own, before what the user says beside them.
Status add_user(const JsonValue& content, const std::string& where, JsonValue* out) {
  std::string text;
  bool any_text = false, any_result = false;
  for (size_t i = 0; i < content.items().size(); ++i) {
    const JsonValue& block = content.items()[i];
    const std::string here = fmt::format("{}[{}]", where, i);
    if (string_at(block, "type") != "tool_result") {
      BANTAM_TRY_ASSIGN(const std::string more, block_text(block, here));
      text += (any_text ? "\n" : "") + more;
      any_text = true;
      continue;
    }
    const JsonValue* result = block.find("content");
    std::string said;
    if (result != nullptr && !result->is_null()) {
      BANTAM_TRY_ASSIGN(said, plain_text(*result, here + ".content"));
    }
    const JsonValue* error = block.find("is_error");
    if (error != nullptr && error->is_bool() && error->as_bool()) said = "Error: " + said;
    JsonValue turn = message("tool", std::move(said));
    turn.set("tool_call_id", JsonValue::string(string_at(block, "tool_use_id")));
    out->items().push_back(std::move(turn));
    any_result = true;
  }
  if (any_text || !any_result) out->items().push_back(message("user", std::move(text)));
  return {};
}

Status add_assistant(const JsonValue& content, const std::string& where, JsonValue* out) {
  std::string text, thinking;
  JsonValue calls = JsonValue::array();
  for (size_t i = 0; i < content.items().size(); ++i) {
    const JsonValue& block = content.items()[i];
    const std::string type = string_at(block, "type"), here = fmt::format("{}[{}]", where, i);
    if (type == "thinking") {
      thinking += string_at(block, "thinking");
    } else if (type == "tool_use") {
      const JsonValue* input = block.find("input");
      if (string_at(block, "name").empty()) return bad_input("{}.name: expected a string", here);
      if (input == nullptr || !input->is_object()) return bad_input("{}.input: expected an object", here);
      calls.items().push_back(JsonValue::object(
          {{"id", JsonValue::string(string_at(block, "id"))},
           {"type", text_value("function")},
           {"function",
            JsonValue::object({{"name", JsonValue::string(string_at(block, "name"))}, {"arguments", *input}})}}));
    } else if (type != "redacted_thinking") {
      BANTAM_TRY_ASSIGN(const std::string more, block_text(block, here));
      text += more;
    }
  }
  JsonValue turn = message("assistant", std::move(text));
  if (!thinking.empty()) turn.set("reasoning_content", JsonValue::string(std::move(thinking)));
  if (!calls.items().empty()) turn.set("tool_calls", std::move(calls));
  out->items().push_back(std::move(turn));
  return {};
}

Status parse_turns(Fields& fields, ChatRequest* out) {
  out->messages = JsonValue::array();
  if (const JsonValue* system = fields.find("system")) {
    BANTAM_TRY_ASSIGN(std::string text, plain_text(*system, "system"));
    if (!text.empty()) out->messages.items().push_back(message("system", std::move(text)));
  }
  const JsonValue* messages = fields.find("messages");
  if (messages == nullptr || !messages->is_array() || messages->items().empty()) {
    return bad_input("messages: expected a non-empty array of messages");
  }
  for (size_t i = 0; i < messages->items().size(); ++i) {
    const JsonValue& turn = messages->items()[i];
    const std::string where = fmt::format("messages[{}].content", i), role = string_at(turn, "role");
    if (role != "user" && role != "assistant" && role != "system") {
      return bad_input("messages[{}].role: expected user or assistant, got {:?}", i, role);
    }
    const JsonValue* content = turn.find("content");
    if (content == nullptr || (!content->is_string() && !content->is_array())) {
      return bad_input("{}: expected a string or an array of blocks", where);
    }
    if (content->is_string()) {
      out->messages.items().push_back(message(role, content->as_string()));
    } else if (role == "system") {
      BANTAM_TRY_ASSIGN(std::string text, plain_text(*content, where));
      out->messages.items().push_back(message(role, std::move(text)));
    } else {
      BANTAM_TRY(role == "user" ? add_user(*content, where, &out->messages)
                                : add_assistant(*content, where, &out->messages));
    }
  }
  return {};
}

// A last turn of the assistant's is the beginning of the answer.
Status take_prefill(ChatRequest* out) {
  std::vector<JsonValue>& turns = out->messages.items();
  if (string_at(turns.back(), "role") != "assistant") return {};
  if (turns.back().find("tool_calls") != nullptr) {
    return bad_input("messages[{}]: expected the results of its tool calls after it", turns.size() - 1);
  }
  if (out->thinking.value_or(false)) {
    return bad_input("messages: a last turn of the assistant's cannot be continued with thinking enabled");
  }
  out->prefix_text = string_at(turns.back(), "content");
  turns.pop_back();
  if (turns.empty()) return bad_input("messages: expected a user's message");
  return {};
}

Status parse_tools(Fields& fields, ChatRequest* out, std::vector<std::string>* skipped) {
  const JsonValue* tools = fields.find("tools");
  const JsonValue* choice = fields.find("tool_choice");
  const std::string wish = choice != nullptr ? string_at(*choice, "type") : "auto";
  if (wish != "auto" && wish != "none") {
    return bad_input("tool_choice.type: expected auto or none, got {:?}; a forced call is not supported", wish);
  }
  if (tools == nullptr) return {};
  if (!tools->is_array()) return bad_input("tools: expected an array, got {}", tools->kind_name());
  JsonValue functions = JsonValue::array();
  for (size_t i = 0; i < tools->items().size(); ++i) {
    const JsonValue& tool = tools->items()[i];
    const std::string type = string_at(tool, "type"), name = string_at(tool, "name");
    if (!type.empty() && type != "custom") {
      skipped->push_back(fmt::format("tools[{}]({})", i, type));  // one that Anthropic runs itself
      continue;
    }
    const JsonValue* schema = tool.find("input_schema");
    if (name.empty()) return bad_input("tools[{}].name: expected a string", i);
    if (schema == nullptr || !schema->is_object()) return bad_input("tools[{}].input_schema: expected an object", i);
    JsonValue function = JsonValue::object({{"name", text_value(name)}});
    if (const JsonValue* about = tool.find("description"); about != nullptr && about->is_string()) {
      function.set("description", *about);
    }
    function.set("parameters", *schema);
    functions.items().push_back(
        JsonValue::object({{"type", text_value("function")}, {"function", std::move(function)}}));
  }
  if (!functions.items().empty() && wish == "auto") out->tools = std::move(functions);
  return {};
}

Status parse_stop_sequences(Fields& fields, ChatRequest* out) {
  constexpr size_t kMostStops = 16;
  const JsonValue* stops = fields.find("stop_sequences");
  if (stops == nullptr) return {};
  if (!stops->is_array()) return bad_input("stop_sequences: expected an array, got {}", stops->kind_name());
  for (const JsonValue& stop : stops->items()) {
    if (!stop.is_string()) return bad_input("stop_sequences: expected strings, got {}", stop.kind_name());
    if (!stop.as_string().empty()) out->stops.push_back(stop.as_string());
  }
  if (out->stops.size() > kMostStops) {
    return bad_input("stop_sequences: expected at most {} strings, got {}", kMostStops, out->stops.size());
  }
  return {};
}

}  // namespace

Result<ChatRequest> parse_messages_request(const JsonValue& body) {
  ChatRequest out;
  Fields fields(body);
  std::vector<std::string> skipped;
  BANTAM_TRY(parse_generation_fields(fields, &out));
  if (out.n != 1) return bad_input("n: expected 1 on this route, got {}", out.n);
  BANTAM_TRY(parse_thinking_fields(fields, &out));
  if (!out.thinking) out.thinking = false;  // as Anthropic: only when asked for
  BANTAM_TRY(parse_stop_sequences(fields, &out));
  BANTAM_TRY(parse_turns(fields, &out));
  BANTAM_TRY(take_prefill(&out));
  BANTAM_TRY(parse_tools(fields, &out, &skipped));
  out.unknown_fields = fields.unread();
  out.unknown_fields.insert(out.unknown_fields.end(), skipped.begin(), skipped.end());
  return out;
}

}  // namespace bantam::server
