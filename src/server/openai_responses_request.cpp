// Requests of OpenAI's Responses API. See openai_responses.h.
#include <algorithm>

#include "server/json_values.h"
#include "server/openai_responses.h"

namespace bantam::server {
namespace {

// A string, or parts that are all text.
Result<std::string> plain_text(const JsonValue& content, const std::string& where) {
  if (content.is_string()) return content.as_string();
  if (!content.is_array()) {
    return bad_input("{}: expected a string or an array of parts, got {}", where, content.kind_name());
  }
  constexpr std::string_view kTexts[] = {"input_text", "output_text", "text", "summary_text", "reasoning_text"};
  std::string out;
  for (size_t i = 0; i < content.items().size(); ++i) {
    const JsonValue& part = content.items()[i];
    const std::string type = string_at(part, "type");
    if (type == "refusal") {
      out += string_at(part, "refusal");
      continue;
    }
    if (std::find(std::begin(kTexts), std::end(kTexts), type) == std::end(kTexts)) {
      return bad_input("{}[{}].type: expected input_text or output_text, got {:?}; this model reads text only", where,
                       i, type);
    }
    const JsonValue* text = part.find("text");
    if (text == nullptr || !text->is_string()) return bad_input("{}[{}].text: expected a string", where, i);
    out += text->as_string();
  }
  return out;
}

// Items into turns: thinking and calls belong to the assistant's turn they stand beside.
class Turns {
 public:
  explicit Turns(std::string system) : system_(std::move(system)) {}

  Status add(const JsonValue& item, const std::string& where) {
    if (!item.is_object()) return bad_input("{}: expected an object, got {}", where, item.kind_name());
    const std::string type = string_at(item, "type");
    if (type.empty() || type == "message") return add_message(item, where);
    if (type == "reasoning") return add_reasoning(item, where);
    if (type == "function_call") return add_call(item, where);
    if (type == "function_call_output") return add_result(item, where);
    if (type == "item_reference") {
      return bad_input("{}.type: this server keeps no items; send the item itself", where);
    }
    return bad_input("{}.type: expected message, reasoning, function_call or function_call_output, got {:?}", where,
                     type);
  }

  JsonValue take() {
    if (!system_.empty()) turns_.insert(turns_.begin(), turn("system", system_));
    return JsonValue::array(std::move(turns_));
  }

 private:
  static JsonValue turn(std::string_view role, std::string_view text) {
    return JsonValue::object({{"role", text_value(role)}, {"content", text_value(text)}});
  }

  Status add_message(const JsonValue& item, const std::string& where) {
    const std::string role = string_at(item, "role");
    const JsonValue* content = item.find("content");
    if (content == nullptr) return bad_input("{}.content: expected a string or an array of parts", where);
    BANTAM_TRY_ASSIGN(const std::string text, plain_text(*content, where + ".content"));
    if (role == "system" || role == "developer") {
      system_ += (system_.empty() || text.empty() ? "" : "\n\n") + text;
    } else if (role == "user") {
      turns_.push_back(turn("user", text));
    } else if (role == "assistant") {
      JsonValue& last = assistant_turn();
      last.set("content", JsonValue::string(string_at(last, "content") + text));
      name_turn(last, item);
    } else {
      return bad_input("{}.role: expected user, assistant, system or developer, got {:?}", where, role);
    }
    return {};
  }

  Status add_reasoning(const JsonValue& item, const std::string& where) {
    std::string text;
    for (const char* field : {"content", "summary"}) {
      const JsonValue* parts = item.find(field);
      if (!text.empty() || parts == nullptr || parts->is_null()) continue;
      BANTAM_TRY_ASSIGN(text, plain_text(*parts, where + "." + field));
    }
    if (!text.empty()) {
      JsonValue next = turn("assistant", "");
      next.set("reasoning_content", JsonValue::string(std::move(text)));
      turns_.push_back(std::move(next));
    }
    return {};
  }

  Status add_call(const JsonValue& item, const std::string& where) {
    if (string_at(item, "name").empty()) return bad_input("{}.name: expected a string", where);
    JsonValue& last = assistant_turn();
    JsonValue calls = last.find("tool_calls") != nullptr ? *last.find("tool_calls") : JsonValue::array();
    calls.items().push_back(JsonValue::object(
        {{"id", JsonValue::string(string_at(item, "call_id"))},
         {"type", text_value("function")},
         {"function", JsonValue::object({{"name", JsonValue::string(string_at(item, "name"))},
                                         {"arguments", JsonValue::string(string_at(item, "arguments"))}})}}));
    last.set("tool_calls", std::move(calls));
    name_turn(last, item);
    return {};
  }

  Status add_result(const JsonValue& item, const std::string& where) {
    const JsonValue* output = item.find("output");
    if (output == nullptr) return bad_input("{}.output: expected a string or an array of parts", where);
    BANTAM_TRY_ASSIGN(const std::string text, plain_text(*output, where + ".output"));
    turns_.push_back(turn("tool", text));
    turns_.back().set("tool_call_id", JsonValue::string(string_at(item, "call_id")));
    return {};
  }

  // An item's id stands for the turn it belongs to.
  static void name_turn(JsonValue& turn, const JsonValue& item) {
    if (std::string id = string_at(item, "id"); !id.empty()) turn.set("id", JsonValue::string(std::move(id)));
  }

  JsonValue& assistant_turn() {
    if (turns_.empty() || string_at(turns_.back(), "role") != "assistant") turns_.push_back(turn("assistant", ""));
    return turns_.back();
  }

  std::string system_;
  std::vector<JsonValue> turns_;
};

Status parse_input(Fields& fields, ChatRequest* out) {
  std::string instructions;
  BANTAM_TRY(fields.string("instructions", &instructions));
  const JsonValue* input = fields.find("input");
  if (input == nullptr || (!input->is_string() && !input->is_array())) {
    return bad_input("input: expected a string or an array of items");
  }
  Turns turns(std::move(instructions));
  if (input->is_string()) {
    BANTAM_TRY(turns.add(JsonValue::object({{"role", text_value("user")}, {"content", *input}}), "input"));
  } else {
    for (size_t i = 0; i < input->items().size(); ++i) {
      BANTAM_TRY(turns.add(input->items()[i], fmt::format("input[{}]", i)));
    }
  }
  out->messages = turns.take();
  if (out->messages.items().empty()) return bad_input("input: expected at least one item");
  return {};
}

Status parse_tools(Fields& fields, ChatRequest* out, std::vector<std::string>* skipped) {
  const JsonValue* tools = fields.find("tools");
  const JsonValue* choice = fields.find("tool_choice");
  const std::string wish = choice == nullptr ? "auto" : choice->is_string() ? choice->as_string() : "an object";
  if (wish != "auto" && wish != "none") {
    return bad_input("tool_choice: expected \"auto\" or \"none\", got {}; a forced call is not supported", wish);
  }
  if (tools == nullptr) return {};
  if (!tools->is_array()) return bad_input("tools: expected an array, got {}", tools->kind_name());
  JsonValue functions = JsonValue::array();
  for (size_t i = 0; i < tools->items().size(); ++i) {
    const JsonValue& tool = tools->items()[i];
    if (string_at(tool, "type") != "function") {
      skipped->push_back(fmt::format("tools[{}]({})", i, string_at(tool, "type")));
      continue;
    }
    if (string_at(tool, "name").empty()) return bad_input("tools[{}].name: expected a string", i);
    JsonValue function = JsonValue::object();
    for (const char* field : {"name", "description", "parameters"}) {
      if (const JsonValue* value = tool.find(field); value != nullptr && !value->is_null()) function.set(field, *value);
    }
    functions.items().push_back(
        JsonValue::object({{"type", text_value("function")}, {"function", std::move(function)}}));
  }
  if (!functions.items().empty() && wish == "auto") out->tools = std::move(functions);
  return {};
}

// What would need a memory, or a model that is held to a form.
Status refuse_unsupported(Fields& fields) {
  for (const char* field : {"previous_response_id", "conversation"}) {
    if (fields.find(field) != nullptr) {
      return bad_input("{}: responses are not kept here; send the whole conversation as input", field);
    }
  }
  std::optional<bool> background;
  BANTAM_TRY(fields.boolean("background", &background));
  if (background.value_or(false)) return bad_input("background: responses are not kept here, so that none can be");
  if (const JsonValue* text = fields.find("text")) {
    const JsonValue* format = text->find("format");
    const std::string type = format != nullptr ? string_at(*format, "type") : "text";
    if (type != "text" && !type.empty()) {
      return bad_input("text.format.type: expected text, got {:?}; constrained output is not supported", type);
    }
  }
  return {};
}

}  // namespace

Result<ChatRequest> parse_responses_request(const JsonValue& body) {
  ChatRequest out;
  Fields fields(body);
  std::vector<std::string> skipped;
  BANTAM_TRY(parse_generation_fields(fields, &out));
  if (out.n != 1) return bad_input("n: expected 1 on this route, got {}", out.n);
  BANTAM_TRY(fields.integer("max_output_tokens", 1, int64_t{1} << 30, &out.max_tok));
  BANTAM_TRY(refuse_unsupported(fields));
  BANTAM_TRY(parse_thinking_fields(fields, &out));
  if (const JsonValue* reasoning = fields.find("reasoning")) {
    std::string effort;
    BANTAM_TRY(Fields(*reasoning, "reasoning.").string("effort", &effort));
    BANTAM_TRY(apply_effort("reasoning.effort", effort, &out));
  }
  BANTAM_TRY(parse_input(fields, &out));
  BANTAM_TRY(parse_tools(fields, &out, &skipped));
  fields.ignore({"include", "truncation"});
  out.unknown_fields = fields.unread();
  out.unknown_fields.insert(out.unknown_fields.end(), skipped.begin(), skipped.end());
  return out;
}

}  // namespace bantam::server
