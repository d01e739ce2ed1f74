// Chat templates: names, the shape checks every template shares, and dispatch to the family's renderer.
#include "text/chat_template.h"

#include "text/chat_template_parts.h"

namespace bantam::text {
namespace {

// `what`[i] for every item must be an object.
Status check_objects(TemplateKind kind, std::string_view what, const std::vector<JsonValue>& items) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (!items[i].is_object()) {
      return bad_input("{}: {}[{}]: expected an object, got {}", template_name(kind), what, i, items[i].kind_name());
    }
  }
  return {};
}

}  // namespace

std::string_view template_name(TemplateKind kind) {
  switch (kind) {
    case TemplateKind::qwen3_hybrid:
      return "qwen3-hybrid";
    case TemplateKind::qwen3_hybrid_2504:
      return "qwen3-hybrid-2504";
    case TemplateKind::qwen3_instruct_2507:
      return "qwen3-instruct-2507";
    case TemplateKind::qwen3_thinking_2507:
      return "qwen3-thinking-2507";
    case TemplateKind::qwen2_5_instruct:
      return "qwen2.5-instruct";
  }
  return "unknown";
}

std::optional<TemplateKind> parse_template_name(std::string_view name) {
  for (const TemplateKind kind : kAllTemplates) {
    if (template_name(kind) == name) return kind;
  }
  return std::nullopt;
}

std::string template_names() {
  std::string names;
  for (const TemplateKind kind : kAllTemplates) names.append(names.empty() ? "" : ", ").append(template_name(kind));
  return names;
}

std::vector<Span> Rendered::spans() const {
  std::vector<Span> out;
  out.reserve(pieces.size());
  for (const Piece& piece : pieces) {
    out.push_back({std::string_view(text).substr(piece.begin, piece.end - piece.begin), piece.allow_control});
  }
  return out;
}

Result<Rendered> render(TemplateKind kind, const JsonValue& messages, const JsonValue* tools, RenderOptions options) {
  if (!messages.is_array()) {
    return bad_input("{}: messages: expected an array, got {}", template_name(kind), messages.kind_name());
  }
  if (messages.items().empty()) return bad_input("{}: messages: expected at least one message", template_name(kind));
  BANTAM_TRY(check_objects(kind, "messages", messages.items()));
  const std::vector<JsonValue>* tool_list = nullptr;
  if (tools != nullptr && !tools->is_null()) {
    if (!tools->is_array()) {
      return bad_input("{}: tools: expected an array, got {}", template_name(kind), tools->kind_name());
    }
    BANTAM_TRY(check_objects(kind, "tools", tools->items()));
    if (!tools->items().empty()) tool_list = &tools->items();
  }
  const Conversation chat{kind, messages.items(), tool_list, options};
  return kind == TemplateKind::qwen2_5_instruct ? render_qwen2_5(chat) : render_qwen3(chat);
}

JsonValue normalise_messages(JsonValue messages) {
  if (!messages.is_array()) return messages;
  for (JsonValue& message : messages.items()) {
    if (!message.is_object()) continue;
    const JsonValue* content = message.find("content");
    if (content == nullptr || content->is_null()) message.set("content", JsonValue::string(""));
  }
  return messages;
}

}  // namespace bantam::text
