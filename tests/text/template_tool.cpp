// Test-only executable behind tools/oracles/*template*.py: chat template requests as JSON lines on stdin, replies on
// stdout in the same order.
//   {"template", "messages", "tools"?, "add_generation_prompt"?, "enable_thinking"?} -> {"text", "given"}
//     given: [begin, end) byte ranges of text that came with the request
//   {"source"} -> {"fingerprint", "name", "exact", "warning"}
//   anything that fails -> {"error": {"message"}, "line"}
#include <iostream>

#include "base/json.h"
#include "text/chat_template.h"
#include "text/jinja_source.h"

namespace {

using bantam::JsonValue;
using bantam::Result;
namespace text = bantam::text;

Result<JsonValue> match(const std::string& source) {
  BANTAM_TRY_ASSIGN(const text::TemplateMatch found, text::match_template(source));
  JsonValue reply = JsonValue::object();
  const uint64_t print = text::fingerprint(text::canonical_jinja(source).value_or(""));
  reply.set("fingerprint", JsonValue::string(fmt::format("{:016x}", print)));
  reply.set("name", JsonValue::string(std::string(text::template_name(found.kind))));
  reply.set("exact", JsonValue::boolean(found.exact));
  reply.set("warning", JsonValue::string(found.warning));
  return reply;
}

Result<JsonValue> answer(const std::string& line) {
  BANTAM_TRY_ASSIGN(const JsonValue request, bantam::parse_json(line, "request"));
  if (const JsonValue* source = request.find("source"); source != nullptr && source->is_string()) {
    return match(source->as_string());
  }
  const JsonValue* name = request.find("template");
  const JsonValue* messages = request.find("messages");
  if (name == nullptr || !name->is_string() || messages == nullptr) {
    return bantam::bad_input("request: expected template and messages");
  }
  const auto kind = text::parse_template_name(name->as_string());
  if (!kind) return bantam::bad_input("request: unknown template {}", name->as_string());
  text::RenderOptions options;
  const JsonValue* prompt = request.find("add_generation_prompt");
  options.add_generation_prompt = prompt != nullptr && prompt->is_bool() && prompt->as_bool();
  const JsonValue* thinking = request.find("enable_thinking");
  if (thinking != nullptr && thinking->is_bool()) options.enable_thinking = thinking->as_bool();
  BANTAM_TRY_ASSIGN(text::Rendered rendered, text::render(*kind, *messages, request.find("tools"), options));
  JsonValue given = JsonValue::array();
  for (const auto& piece : rendered.pieces) {
    if (piece.allow_control) continue;
    given.items().push_back(JsonValue::array(
        {JsonValue::number(static_cast<int64_t>(piece.begin)), JsonValue::number(static_cast<int64_t>(piece.end))}));
  }
  JsonValue reply = JsonValue::object();
  reply.set("text", JsonValue::string(std::move(rendered.text)));
  reply.set("given", std::move(given));
  return reply;
}

}  // namespace

int main() {
  std::string line;
  for (int64_t number = 1; std::getline(std::cin, line); ++number) {
    Result<JsonValue> reply = answer(line);
    if (!reply.ok()) {
      JsonValue error = JsonValue::object();
      error.set("message", JsonValue::string(std::string(reply.status().message())));
      JsonValue wrapped = JsonValue::object();
      wrapped.set("error", std::move(error));
      wrapped.set("line", JsonValue::number(number));
      reply = Result<JsonValue>(std::move(wrapped));
    }
    std::cout << bantam::to_json(*reply) << '\n';
  }
  return 0;
}
