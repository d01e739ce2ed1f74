// ToolCallScanner: the text of one tool call, byte by byte, as it is written. As soon as the text has got as far as
// {"name": "X", "arguments":  the name is known, and from there on the bytes of the arguments' value come out verbatim
// until the value closes. Every byte is looked at once, and where pushes split the text never shows. Owned by
// AnswerParser, one object per call. It checks no JSON inside the value: what the model wrote is what the caller gets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bantam::engine {

class ToolCallScanner {
 public:
  void push(std::string_view bytes);

  // The name and the beginning of "arguments" were there, in this order: the call may be delivered as it comes.
  bool named() const { return state_ >= State::kBeforeValue && state_ != State::kOther; }
  const std::string& name() const { return name_; }
  // Bytes of the arguments' value since the last call of this.
  std::string take_arguments();
  // All of the text so far.
  const std::string& text() const { return text_; }
  // Nothing but the object's end follows the value, or nothing yet.
  bool ends_well() const { return tail_is_plain_; }
  // What follows the arguments' value. REQUIRES: named().
  std::string_view tail() const { return std::string_view(text_).substr(value_end_); }

 private:
  enum class State : uint8_t {
    kStart,        // before {
    kBeforeKey,    // before "name" or "arguments"
    kKey,          // within a key
    kAfterKey,     // before :
    kBeforeName,   // before the name's "
    kName,         // within the name
    kAfterName,    // before ,
    kOther,        // not the usual order; only the whole text can tell
    kBeforeValue,  // named from here on
    kValue,        // within the value
    kAfterValue,   // before the object's }
    kEnd,          // after it
  };
  void step(char c);
  void frame(char c);
  void open_value(char c);
  void value(char c);
  bool finish_name();

  State state_ = State::kStart;
  std::string text_, key_, name_, arguments_;
  bool have_name_ = false;
  bool in_string_ = false, escaped_ = false;  // within a string of the name or the value
  bool bare_ = false;                         // the value is a number or a word
  int64_t depth_ = 0;                         // open { and [ of the value
  size_t value_end_ = 0;                      // in text_
  bool tail_is_plain_ = true;
};

}  // namespace bantam::engine
