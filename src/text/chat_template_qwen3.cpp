// The four Qwen3 templates. They are one program with three switches: whether content must be a string (April 2025),
// whether thinking is taken apart (all but Instruct-2507) and how the generation prompt treats thinking.
// Source: qwen3-hybrid, -hybrid-2504, -instruct-2507, -thinking-2507 .jinja of the official checkpoints.
#include <algorithm>

#include "text/chat_template_parts.h"

namespace bantam::text {
namespace {

std::string_view strip_left(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of('\n'), text.size()));
  return text;
}

std::string_view strip_right(std::string_view text) {
  return text.substr(0, text.find_last_not_of('\n') + 1);  // npos + 1 is 0
}

bool is_tool_response(std::string_view text) {
  return text.starts_with("<tool_response>") && text.ends_with("</tool_response>");
}

class Qwen3Renderer {
 public:
  explicit Qwen3Renderer(const Conversation& chat)
      : chat_(chat),
        strict_(chat.kind == TemplateKind::qwen3_hybrid_2504),
        thinks_(chat.kind != TemplateKind::qwen3_instruct_2507) {}

  Result<Rendered> run() {
    BANTAM_TRY(write_head());
    last_query_ = find_last_query();
    for (size_t i = 0; i < chat_.size(); ++i) BANTAM_TRY(write_message(i));
    if (chat_.options.add_generation_prompt) write_generation_prompt();
    return out_.take();
  }

 private:
  // What an assistant turn prints after the template took its thinking apart.
  struct Turn {
    std::string_view content;
    std::string_view reasoning;
    bool has_reasoning = false;                // Jinja's truth of reasoning_content, of any type
    const JsonValue* bad_reasoning = nullptr;  // of a type that raises once it is printed
  };

  // The first system message and the tools.
  Status write_head() {
    const bool system = chat_.has_role(0, "system");
    std::string_view text;
    if (system) {
      BANTAM_TRY_ASSIGN(text, string_field(chat_, 0, "content"));
    }
    if (chat_.tools == nullptr && !system) return {};
    out_.own("<|im_start|>system\n");
    out_.given(text);
    if (chat_.tools == nullptr) {
      out_.own("<|im_end|>\n");
    } else {
      if (system) out_.own("\n\n");
      write_tools(chat_, &out_);
    }
    return {};
  }

  // The last user message that is a question and not a tool's answer in disguise; without one, the last message.
  // Thinking before it is history and dropped. (2504 raises here on content that is no string; write_message does.)
  size_t find_last_query() const {
    for (size_t i = chat_.size(); i-- > 0;) {
      if (!chat_.has_role(i, "user")) continue;
      const JsonValue* content = chat_.messages[i].find("content");
      if (content != nullptr && content->is_string() && !is_tool_response(content->as_string())) return i;
    }
    return chat_.size() - 1;
  }

  Status write_message(size_t i) {
    const bool user = chat_.has_role(i, "user");
    if (user || (i > 0 && chat_.has_role(i, "system"))) {
      BANTAM_TRY_ASSIGN(const std::string_view text, content_text(i));
      out_.own(user ? "<|im_start|>user\n" : "<|im_start|>system\n");
      out_.given(text);
      out_.own("<|im_end|>\n");
    } else if (chat_.has_role(i, "assistant")) {
      return write_assistant(i);
    } else if (chat_.has_role(i, "tool")) {
      const JsonValue* content = chat_.messages[i].find("content");
      const bool printed = strict_ || (content != nullptr && content->is_string());
      write_tool_result(chat_, i, printed ? content : nullptr, &out_);
    }
    return {};
  }

  // Content as text: 2504 raises unless it is a string, the later ones take anything else for empty.
  Result<std::string_view> content_text(size_t i) const {
    if (strict_) return string_field(chat_, i, "content");
    const JsonValue* content = chat_.messages[i].find("content");
    return content != nullptr && content->is_string() ? std::string_view(content->as_string()) : std::string_view();
  }

  Result<Turn> take_apart(size_t i) const {
    Turn turn;
    BANTAM_TRY_ASSIGN(turn.content, content_text(i));
    if (!thinks_) return turn;
    const JsonValue* reasoning = chat_.messages[i].find("reasoning_content");
    if (reasoning != nullptr && reasoning->is_string()) {
      turn.reasoning = reasoning->as_string();
      turn.has_reasoning = !turn.reasoning.empty();
    } else if (strict_ && reasoning != nullptr && !reasoning->is_null()) {
      turn.has_reasoning = is_truthy(reasoning);
      turn.bad_reasoning = reasoning;
    } else if (constexpr std::string_view kClose = "</think>"; turn.content.find(kClose) != turn.content.npos) {
      constexpr std::string_view kOpen = "<think>";
      std::string_view before = strip_right(turn.content.substr(0, turn.content.find(kClose)));
      if (const size_t open = before.rfind(kOpen); open != before.npos) before.remove_prefix(open + kOpen.size());
      turn.reasoning = strip_left(before);
      turn.has_reasoning = !turn.reasoning.empty();
      turn.content = strip_left(turn.content.substr(turn.content.rfind(kClose) + kClose.size()));
    }
    return turn;
  }

  Status write_assistant(size_t i) {
    BANTAM_TRY_ASSIGN(const Turn turn, take_apart(i));
    const bool last = i + 1 == chat_.size();
    out_.own("<|im_start|>assistant\n");
    out_.begin_answer(i);
    if (thinks_ && i > last_query_ && (last || turn.has_reasoning)) {
      if (turn.bad_reasoning != nullptr)
        return field_error(chat_, i, "reasoning_content", "a string", turn.bad_reasoning);
      out_.own("<think>\n");
      out_.given(strip_left(strip_right(turn.reasoning)));
      out_.own("\n</think>\n\n");
      out_.begin_content();
      out_.given(strip_left(turn.content));
    } else {
      out_.given(turn.content);
    }
    if (is_truthy(chat_.messages[i].find("tool_calls"))) BANTAM_TRY(write_calls(i, !turn.content.empty()));
    out_.end_answer();
    out_.own("<|im_end|>\n");
    return {};
  }

  Status write_calls(size_t i, bool after_content) {
    BANTAM_TRY_ASSIGN(const std::vector<JsonValue>* calls, tool_calls(chat_, i));
    for (size_t k = 0; k < calls->size(); ++k) {
      if (k > 0 || after_content) out_.own("\n");
      const JsonValue* call = &(*calls)[k];
      if (const JsonValue* function = call->find("function"); is_truthy(function)) call = function;
      BANTAM_TRY(write_tool_call(chat_, i, k, *call, /*paste_strings=*/true, &out_));
    }
    return {};
  }

  void write_generation_prompt() {
    out_.own("<|im_start|>assistant\n");
    if (chat_.kind == TemplateKind::qwen3_thinking_2507) {
      out_.own("<think>\n");
    } else if (thinks_ && chat_.options.enable_thinking == false) {
      out_.own("<think>\n\n</think>\n\n");
    }
  }

  const Conversation& chat_;
  const bool strict_;
  const bool thinks_;
  size_t last_query_ = 0;
  TemplateWriter out_;
};

}  // namespace

Result<Rendered> render_qwen3(const Conversation& chat) {
  return Qwen3Renderer(chat).run();
}

}  // namespace bantam::text
