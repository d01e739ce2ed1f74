// See tool_call_scanner.h.
#include "engine/tool_call_scanner.h"

#include <utility>

#include "base/json.h"

namespace bantam::engine {
namespace {

bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

}  // namespace

void ToolCallScanner::push(std::string_view bytes) {
  for (const char c : bytes) {
    step(c);
    text_ += c;
  }
}

std::string ToolCallScanner::take_arguments() {
  return std::exchange(arguments_, {});
}

void ToolCallScanner::step(char c) {
  switch (state_) {
    case State::kOther:
      return;
    case State::kValue:
      return value(c);
    case State::kKey:
      if (c == '"') {
        state_ = State::kAfterKey;
      } else {
        key_ += c;
      }
      return;
    case State::kName:
      if (!escaped_ && c == '"') {
        state_ = finish_name() ? State::kAfterName : State::kOther;
      } else {
        escaped_ = !escaped_ && c == '\\';
        name_ += c;
      }
      return;
    default:
      if (!is_space(c)) frame(c);
  }
}

// A byte between strings and values, no white space.
void ToolCallScanner::frame(char c) {
  switch (state_) {
    case State::kStart:
      state_ = c == '{' ? State::kBeforeKey : State::kOther;
      return;
    case State::kBeforeKey:
      key_.clear();
      state_ = c == '"' ? State::kKey : State::kOther;
      return;
    case State::kAfterKey:
      if (c == ':' && !have_name_ && key_ == "name") {
        state_ = State::kBeforeName;
      } else {
        state_ = c == ':' && have_name_ && key_ == "arguments" ? State::kBeforeValue : State::kOther;
        value_end_ = text_.size() + 1;
      }
      return;
    case State::kBeforeName:
      state_ = c == '"' ? State::kName : State::kOther;
      return;
    case State::kAfterName:
      state_ = c == ',' ? State::kBeforeKey : State::kOther;
      return;
    case State::kBeforeValue:
      return open_value(c);
    case State::kAfterValue:
      tail_is_plain_ = tail_is_plain_ && c == '}';
      state_ = State::kEnd;
      return;
    default:  // one } too many says nothing
      tail_is_plain_ = tail_is_plain_ && c == '}';
  }
}

// The name as JSON text in name_ becomes the name itself. False when it is not one.
bool ToolCallScanner::finish_name() {
  const auto parsed = parse_json("\"" + name_ + "\"", "name");
  if (!parsed.ok() || parsed->as_string().empty()) return false;
  name_ = parsed->as_string();
  have_name_ = true;
  return true;
}

void ToolCallScanner::open_value(char c) {
  if (c == '}' || c == ']' || c == ',' || c == ':') {  // no value at all
    value_end_ = text_.size();
    tail_is_plain_ = false;
    state_ = State::kEnd;
    return;
  }
  state_ = State::kValue;
  bare_ = c != '"' && c != '{' && c != '[';
  value(c);
}

void ToolCallScanner::value(char c) {
  if (bare_ && (is_space(c) || c == ',' || c == '}' || c == ']')) {
    value_end_ = text_.size();
    state_ = State::kAfterValue;
    if (!is_space(c)) frame(c);
    return;
  }
  arguments_ += c;
  value_end_ = text_.size() + 1;
  if (in_string_) {
    if (escaped_) {
      escaped_ = false;
    } else if (c == '\\') {
      escaped_ = true;
    } else if (c == '"') {
      in_string_ = false;
    }
  } else if (c == '"') {
    in_string_ = true;
  } else if (c == '{' || c == '[') {
    ++depth_;
  } else if (c == '}' || c == ']') {
    --depth_;
  }
  if (!bare_ && !in_string_ && depth_ <= 0) state_ = State::kAfterValue;
}

}  // namespace bantam::engine
