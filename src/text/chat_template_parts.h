// What the family renderers share: the provenance-keeping writer, the fields of a message as Jinja sees them, and the
// pieces of text every template has. For chat_template*.cpp only. Plain data; thread-safe as such.
#pragma once

#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "text/chat_template.h"

namespace bantam::text {

// Collects text with provenance. Neighbouring pieces of one kind are joined.
class TemplateWriter {
 public:
  void own(std::string_view text) { append(text, true); }     // the template's: control tokens count
  void given(std::string_view text) { append(text, false); }  // the request's: plain text, whatever it spells
  void given_json(const JsonValue& value);                    // given(json.dumps(value))
  void given_str(const JsonValue* value);                     // given(str(value)); undefined prints nothing
  // The bounds of an assistant's turn: see Rendered::Answer. Its content begins with it, unless said later.
  void begin_answer(size_t message);
  void begin_content() { out_.answers.back().content = out_.text.size(); }
  void end_answer() { out_.answers.back().end = out_.text.size(); }
  Rendered take() { return std::move(out_); }

 private:
  void append(std::string_view text, bool allow_control);
  Rendered out_;
};

// A conversation being rendered: the arguments of render(), checked for shape.
struct Conversation {
  TemplateKind kind;
  const std::vector<JsonValue>& messages;  // objects, at least one
  const std::vector<JsonValue>* tools;     // objects; null when there are none
  RenderOptions options;

  size_t size() const { return messages.size(); }
  // True when message i exists and its role is that string.
  bool has_role(size_t i, std::string_view role) const;
};

// A field that the template uses as a string where anything else raises. `what` says the field, for the message:
// "qwen3-hybrid: messages[2] (user): content: expected a string, got null".
Result<std::string_view> string_field(const Conversation& chat, size_t i, std::string_view field);
// The error for field `what` of message i.
Status field_error(const Conversation& chat, size_t i, std::string_view what, std::string_view expected,
                   const JsonValue* got);

bool is_truthy(const JsonValue* value);  // undefined is false

// The tools block from "# Tools" to the system turn's end.
void write_tools(const Conversation& chat, TemplateWriter* out);
// The tool calls of message i (an array, or an error), each through `write_call(index, call, path)`.
Result<const std::vector<JsonValue>*> tool_calls(const Conversation& chat, size_t i);
// `{"name": ..., "arguments": ...}` between <tool_call> tags. String arguments are pasted when `paste_strings`, else
// quoted as JSON. Missing arguments raise.
Status write_tool_call(const Conversation& chat, size_t i, size_t call_index, const JsonValue& call, bool paste_strings,
                       TemplateWriter* out);
// One tool result with the frame of its user turn, which consecutive results share. `content` may be null.
void write_tool_result(const Conversation& chat, size_t i, const JsonValue* content, TemplateWriter* out);

// The two renderers.
Result<Rendered> render_qwen3(const Conversation& chat);
Result<Rendered> render_qwen2_5(const Conversation& chat);

}  // namespace bantam::text
