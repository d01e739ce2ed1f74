// The Qwen2.5-Instruct template: a default system text, no thinking, arguments always as JSON.
// Source: qwen2.5-instruct.jinja of the official checkpoints.
#include "text/chat_template_parts.h"

namespace bantam::text {
namespace {

constexpr std::string_view kDefaultSystem = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.";

// The system turn, which is always there: given or default text, then the tools.
Status write_head(const Conversation& chat, TemplateWriter* out) {
  out->own("<|im_start|>system\n");
  if (!chat.has_role(0, "system")) {
    out->own(kDefaultSystem);
  } else if (chat.tools != nullptr) {
    out->given_str(chat.messages[0].find("content"));  // printed alone, so anything has a text here
  } else {
    BANTAM_TRY_ASSIGN(const std::string_view text, string_field(chat, 0, "content"));
    out->given(text);
  }
  if (chat.tools == nullptr) {
    out->own("<|im_end|>\n");
  } else {
    out->own("\n\n");
    write_tools(chat, out);
  }
  return {};
}

Status write_assistant_with_calls(const Conversation& chat, size_t i, TemplateWriter* out) {
  out->own("<|im_start|>assistant\n");
  out->begin_answer(i);
  const bool has_content = is_truthy(chat.messages[i].find("content"));
  if (has_content) {
    BANTAM_TRY_ASSIGN(const std::string_view text, string_field(chat, i, "content"));
    out->given(text);
  }
  BANTAM_TRY_ASSIGN(const std::vector<JsonValue>* calls, tool_calls(chat, i));
  for (size_t k = 0; k < calls->size(); ++k) {
    const JsonValue* call = &(*calls)[k];
    if (const JsonValue* function = call->find("function"); function != nullptr) call = function;
    if (k > 0 || has_content) out->own("\n");
    BANTAM_TRY(write_tool_call(chat, i, k, *call, /*paste_strings=*/false, out));
  }
  out->end_answer();
  out->own("<|im_end|>\n");
  return {};
}

Status write_message(const Conversation& chat, size_t i, TemplateWriter* out) {
  const bool user = chat.has_role(i, "user");
  const bool assistant = chat.has_role(i, "assistant");
  const bool calls = assistant && is_truthy(chat.messages[i].find("tool_calls"));
  if (user || (i > 0 && chat.has_role(i, "system")) || (assistant && !calls)) {
    BANTAM_TRY_ASSIGN(const std::string_view text, string_field(chat, i, "content"));
    out->own(user ? "<|im_start|>user\n" : assistant ? "<|im_start|>assistant\n" : "<|im_start|>system\n");
    if (assistant) out->begin_answer(i);
    out->given(text);
    if (assistant) out->end_answer();
    out->own("<|im_end|>\n");
  } else if (assistant) {
    return write_assistant_with_calls(chat, i, out);
  } else if (chat.has_role(i, "tool")) {
    write_tool_result(chat, i, chat.messages[i].find("content"), out);
  }
  return {};
}

}  // namespace

Result<Rendered> render_qwen2_5(const Conversation& chat) {
  TemplateWriter out;
  BANTAM_TRY(write_head(chat, &out));
  for (size_t i = 0; i < chat.size(); ++i) BANTAM_TRY(write_message(chat, i, &out));
  if (chat.options.add_generation_prompt) out.own("<|im_start|>assistant\n");
  return out.take();
}

}  // namespace bantam::text
