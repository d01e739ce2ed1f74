// See answer_parser.h. Framing the family's template adds: "<think>\n...\n</think>\n\n" and "\n<tool_call>\n".
#include "engine/answer_parser.h"

#include "base/json.h"

namespace bantam::engine {
namespace {

constexpr int32_t kNoToken = -2;

// Where the value of the top-level "arguments" key lies in a tool call's text, as raw bytes; the whole text is known
// to be one JSON object. Keeps what the model wrote instead of printing it anew.
std::string raw_arguments(std::string_view call) {
  int depth = 0;
  bool in_string = false;
  size_t key_begin = 0;
  std::string_view last_string;
  bool expect_value = false;
  size_t value_begin = std::string_view::npos;
  for (size_t i = 0; i < call.size(); ++i) {
    const char c = call[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
        last_string = call.substr(key_begin, i - key_begin);
      }
      continue;
    }
    const bool space = c == ' ' || c == '\n' || c == '\t' || c == '\r';
    if (expect_value && !space) {
      value_begin = i;
      expect_value = false;
    }
    if (c == '"') {
      in_string = true;
      key_begin = i + 1;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']' || c == ',') {
      if (c != ',') --depth;
      const bool ends_value = c == ',' ? depth == 1 : depth == 0;
      if (value_begin != std::string_view::npos && ends_value) {
        std::string_view value = call.substr(value_begin, i - value_begin);
        while (!value.empty() && std::string_view(" \n\t\r").find(value.back()) != std::string_view::npos)
          value.remove_suffix(1);
        return std::string(value);
      }
    } else if (c == ':' && depth == 1 && last_string == "arguments" && value_begin == std::string_view::npos) {
      expect_value = true;
    }
  }
  return "{}";
}

}  // namespace

AnswerParser::AnswerParser(const text::Tokenizer& tokenizer, bool starts_in_thinking, bool with_calls)
    : tokenizer_(&tokenizer),
      decoder_(tokenizer, /*skip_special=*/true),
      think_open_(tokenizer.find_added("<think>").value_or(kNoToken)),
      think_close_(tokenizer.find_added("</think>").value_or(kNoToken)),
      call_open_(with_calls ? tokenizer.find_added("<tool_call>").value_or(kNoToken) : kNoToken),
      call_close_(with_calls ? tokenizer.find_added("</tool_call>").value_or(kNoToken) : kNoToken),
      state_(starts_in_thinking ? State::kThinking : State::kContent) {}

void AnswerParser::emit(AnswerDelta::Kind kind, std::string text, std::vector<AnswerDelta>* out) {
  if (at_start_) {
    const size_t first = text.find_first_not_of('\n');
    if (first == std::string::npos) return;
    text.erase(0, first);
    at_start_ = false;
    if (after_call_ && !content_.empty()) text.insert(0, "\n");  // keeps the words before and after a call apart
    after_call_ = false;
  }
  // Hold trailing newlines back until more text shows that they are not framing.
  text.insert(0, held_);
  const size_t last = text.find_last_not_of('\n');
  const size_t kept = last == std::string::npos ? 0 : last + 1;
  held_ = text.substr(kept);
  text.resize(kept);
  if (text.empty()) return;
  (kind == AnswerDelta::Kind::kReasoning ? reasoning_ : content_) += text;
  out->push_back({kind, std::move(text)});
}

void AnswerParser::enter(State next) {
  state_ = next;
  at_start_ = true;
  held_.clear();
}

void AnswerParser::push(int32_t id, std::vector<AnswerDelta>* out) {
  using Kind = AnswerDelta::Kind;
  if (state_ == State::kToolCall) {
    if (id == call_close_) return close_tool_call(out);
    return push_tool_call(decoder_.push(id), out);
  }
  if (id == call_open_) return open_tool_call(out);
  if (state_ == State::kThinking) {
    ++reasoning_tok_;
    if (id == think_open_) return;  // a redundant opening tag
    if (id == think_close_) {
      emit(Kind::kReasoning, decoder_.finish(), out);
      return enter(State::kContent);
    }
    return emit(Kind::kReasoning, decoder_.push(id), out);
  }
  if (id == think_open_ && reasoning_.empty() && content_.empty()) {
    ++reasoning_tok_;
    return enter(State::kThinking);
  }
  if (id == think_close_) return;  // a second closing tag says nothing
  emit(Kind::kContent, decoder_.push(id), out);
}

void AnswerParser::open_tool_call(std::vector<AnswerDelta>* out) {
  using Kind = AnswerDelta::Kind;
  emit(state_ == State::kThinking ? Kind::kReasoning : Kind::kContent, decoder_.finish(), out);
  held_.clear();
  state_ = State::kToolCall;
  call_.emplace();
  call_delivered_ = false;
}

void AnswerParser::push_tool_call(const std::string& text, std::vector<AnswerDelta>* out) {
  using Kind = AnswerDelta::Kind;
  call_->push(text);
  if (!call_->named()) return;
  const auto index = static_cast<int32_t>(tool_calls_.size()) - (call_delivered_ ? 1 : 0);
  if (!call_delivered_) {
    tool_calls_.push_back({call_->name(), {}});
    out->push_back({Kind::kToolName, call_->name(), index});
    call_delivered_ = true;
  }
  std::string piece = call_->take_arguments();
  if (piece.empty()) return;
  tool_calls_.back().arguments += piece;
  out->push_back({Kind::kToolArguments, std::move(piece), index});
}

void AnswerParser::leave_tool_call() {
  state_ = State::kContent;
  at_start_ = after_call_ = true;
  call_.reset();
}

void AnswerParser::close_tool_call(std::vector<AnswerDelta>* out) {
  using Kind = AnswerDelta::Kind;
  push_tool_call(decoder_.finish(), out);
  const std::string text = call_->text();
  const bool delivered = call_delivered_;
  const std::string rest(delivered && !call_->ends_well() ? call_->tail() : std::string_view());
  leave_tool_call();
  if (delivered && rest.empty()) return;
  const auto call = parse_json(text, "tool call");
  if (delivered) {
    if (!call.ok()) emit(Kind::kContent, rest, out);
    return;
  }
  const JsonValue* name = call.ok() ? call->find("name") : nullptr;
  if (name != nullptr && name->is_string() && !name->as_string().empty()) {
    const auto index = static_cast<int32_t>(tool_calls_.size());
    tool_calls_.push_back({name->as_string(), raw_arguments(text)});
    out->push_back({Kind::kToolName, tool_calls_.back().name, index});
    out->push_back({Kind::kToolArguments, tool_calls_.back().arguments, index});
    return;
  }
  // Not a call after all: the words stay visible instead of vanishing.
  emit(Kind::kContent, "<tool_call>" + text + "</tool_call>", out);
}

void AnswerParser::finish(std::vector<AnswerDelta>* out) {
  using Kind = AnswerDelta::Kind;
  if (state_ == State::kToolCall) {
    push_tool_call(decoder_.finish(), out);
    const std::string text = call_->text();
    const bool delivered = call_delivered_;
    const std::string rest(delivered && !call_->ends_well() ? call_->tail() : std::string_view());
    leave_tool_call();
    return emit(Kind::kContent, delivered ? rest : "<tool_call>" + text, out);
  }
  emit(state_ == State::kThinking ? Kind::kReasoning : Kind::kContent, decoder_.finish(), out);
  held_.clear();
}

}  // namespace bantam::engine
