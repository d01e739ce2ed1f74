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

AnswerParser::AnswerParser(const text::Tokenizer& tokenizer, bool starts_in_thinking)
    : tokenizer_(&tokenizer),
      decoder_(tokenizer, /*skip_special=*/true),
      think_open_(tokenizer.find_added("<think>").value_or(kNoToken)),
      think_close_(tokenizer.find_added("</think>").value_or(kNoToken)),
      call_open_(tokenizer.find_added("<tool_call>").value_or(kNoToken)),
      call_close_(tokenizer.find_added("</tool_call>").value_or(kNoToken)),
      state_(starts_in_thinking ? State::kThinking : State::kContent) {}

AnswerDelta AnswerParser::emit(AnswerDelta::Kind kind, std::string text) {
  if (at_start_) {
    const size_t first = text.find_first_not_of('\n');
    if (first == std::string::npos) return {};
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
  if (text.empty()) return {};
  (kind == AnswerDelta::Kind::kReasoning ? reasoning_ : content_) += text;
  return {kind, std::move(text)};
}

AnswerDelta AnswerParser::push(int32_t id) {
  using Kind = AnswerDelta::Kind;
  const auto enter = [&](State next) {
    state_ = next;
    at_start_ = true;
    held_.clear();
  };
  if (state_ == State::kThinking) {
    ++reasoning_tok_;
    if (id == think_open_) return {};  // a redundant opening tag
    if (id == think_close_) {
      AnswerDelta rest = emit(Kind::kReasoning, decoder_.finish());
      enter(State::kContent);
      return rest;
    }
    return emit(Kind::kReasoning, decoder_.push(id));
  }
  if (state_ == State::kToolCall) {
    if (id == call_close_) return close_tool_call();
    call_text_ += decoder_.push(id);
    return {};
  }
  if (id == think_open_ && reasoning_.empty() && content_.empty()) {
    ++reasoning_tok_;
    enter(State::kThinking);
    return {};
  }
  if (id == think_close_) return {};  // a second closing tag says nothing
  if (id == call_open_) {
    AnswerDelta rest = emit(Kind::kContent, decoder_.finish());
    held_.clear();
    state_ = State::kToolCall;
    call_text_.clear();
    return rest;
  }
  return emit(Kind::kContent, decoder_.push(id));
}

AnswerDelta AnswerParser::close_tool_call() {
  call_text_ += decoder_.finish();
  state_ = State::kContent;
  at_start_ = after_call_ = true;
  const auto call = parse_json(call_text_, "tool call");
  const JsonValue* name = call.ok() ? call->find("name") : nullptr;
  if (name != nullptr && name->is_string()) {
    tool_calls_.push_back({name->as_string(), raw_arguments(call_text_)});
    return {};
  }
  // Not a call after all: the words stay visible instead of vanishing.
  return emit(AnswerDelta::Kind::kContent, "<tool_call>" + call_text_ + "</tool_call>");
}

AnswerDelta AnswerParser::finish() {
  const std::string rest = decoder_.finish();
  if (state_ == State::kToolCall) {
    state_ = State::kContent;
    at_start_ = after_call_ = true;
    return emit(AnswerDelta::Kind::kContent, "<tool_call>" + call_text_ + rest);
  }
  AnswerDelta last =
      emit(state_ == State::kThinking ? AnswerDelta::Kind::kReasoning : AnswerDelta::Kind::kContent, rest);
  held_.clear();
  return last;
}

}  // namespace bantam::engine
