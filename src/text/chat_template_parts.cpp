// Parts of the chat template renderers: writer, field access with errors, tools block, tool calls, tool results.
#include "text/chat_template_parts.h"

#include "text/tojson.h"

namespace bantam::text {
namespace {

constexpr std::string_view kToolsHead =
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with function "
    "signatures within <tools></tools> XML tags:\n<tools>";
constexpr std::string_view kToolsTail =
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments within "
    "<tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n"
    "</tool_call><|im_end|>\n";

}  // namespace

void TemplateWriter::append(std::string_view text, bool allow_control) {
  if (text.empty()) return;
  const size_t begin = out_.text.size();
  out_.text.append(text);
  if (out_.pieces.empty() || out_.pieces.back().allow_control != allow_control) {
    out_.pieces.push_back({begin, begin, allow_control});
  }
  out_.pieces.back().end = out_.text.size();
}

void TemplateWriter::begin_answer(size_t message) {
  const size_t here = out_.text.size();
  out_.answers.push_back({.message = message, .begin = here, .content = here, .end = here});
}

void TemplateWriter::given_json(const JsonValue& value) {
  std::string text;
  append_python_json(&text, value);
  given(text);
}

void TemplateWriter::given_str(const JsonValue* value) {
  if (value == nullptr) return;
  std::string text;
  append_python_str(&text, *value);
  given(text);
}

bool Conversation::has_role(size_t i, std::string_view role) const {
  if (i >= messages.size()) return false;
  const JsonValue* value = messages[i].find("role");
  return value != nullptr && value->is_string() && value->as_string() == role;
}

Status field_error(const Conversation& chat, size_t i, std::string_view what, std::string_view expected,
                   const JsonValue* got) {
  const JsonValue* role = chat.messages[i].find("role");
  return bad_input("{}: messages[{}] ({}): {}: expected {}, got {}", template_name(chat.kind), i,
                   role != nullptr && role->is_string() ? std::string_view(role->as_string()) : "no role", what,
                   expected, got != nullptr ? got->kind_name() : "nothing");
}

Result<std::string_view> string_field(const Conversation& chat, size_t i, std::string_view field) {
  const JsonValue* value = chat.messages[i].find(field);
  if (value == nullptr || !value->is_string()) return field_error(chat, i, field, "a string", value);
  return std::string_view(value->as_string());
}

bool is_truthy(const JsonValue* value) {
  return value != nullptr && python_truth(*value);
}

void write_tools(const Conversation& chat, TemplateWriter* out) {
  out->own(kToolsHead);
  for (const JsonValue& tool : *chat.tools) {
    out->own("\n");
    out->given_json(tool);
  }
  out->own(kToolsTail);
}

Result<const std::vector<JsonValue>*> tool_calls(const Conversation& chat, size_t i) {
  const JsonValue* calls = chat.messages[i].find("tool_calls");
  if (calls == nullptr || !calls->is_array()) return field_error(chat, i, "tool_calls", "an array", calls);
  return &calls->items();
}

Status write_tool_call(const Conversation& chat, size_t i, size_t call_index, const JsonValue& call, bool paste_strings,
                       TemplateWriter* out) {
  out->own("<tool_call>\n{\"name\": \"");
  out->given_str(call.find("name"));
  out->own("\", \"arguments\": ");
  const JsonValue* arguments = call.find("arguments");
  if (arguments == nullptr) {
    return field_error(chat, i, fmt::format("tool_calls[{}].arguments", call_index), "an object or a string", nullptr);
  }
  if (paste_strings && arguments->is_string()) {
    out->given(arguments->as_string());
  } else {
    out->given_json(*arguments);
  }
  out->own("}\n</tool_call>");
  return {};
}

void write_tool_result(const Conversation& chat, size_t i, const JsonValue* content, TemplateWriter* out) {
  if (i == 0 || !chat.has_role(i - 1, "tool")) out->own("<|im_start|>user");
  out->own("\n<tool_response>\n");
  out->given_str(content);
  out->own("\n</tool_response>");
  if (!chat.has_role(i + 1, "tool")) out->own("<|im_end|>\n");
}

}  // namespace bantam::text
