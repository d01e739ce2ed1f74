// AnswerParser: the ids of one answer, one by one, into reasoning, content and tool calls. Only token ids switch
// state (<think>, </think>, <tool_call>, </tool_call>), so text that merely spells a tag never does. One object per
// answer; the tokenizer must outlive it. Called by AnswerBuilder.
//
// A tool call is delivered as it is written: its name, then its arguments verbatim, piece by piece (see
// tool_call_scanner.h). One that has its arguments first is delivered at its end. One that is malformed before its name
// was delivered is content, tags and all; later, the call ends with what was delivered, and what follows its arguments
// is content. A <tool_call> within the thinking ends the thinking: the model has begun to act. Where nobody offered the
// model any tools there are no calls: what it writes of one is text like any other.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/tool_call_scanner.h"
#include "text/stream_decoder.h"
#include "text/tokenizer.h"

namespace bantam::engine {

struct ToolCall {
  std::string name;
  std::string arguments;  // JSON text, exactly as the model wrote it
};

struct AnswerDelta {
  enum class Kind : uint8_t { kNone, kReasoning, kContent, kToolName, kToolArguments };
  Kind kind = Kind::kNone;
  std::string text;
  int32_t call = -1;  // of kToolName, once per call, and kToolArguments: which call of the answer, from 0
};

class AnswerParser {
 public:
  // starts_in_thinking: the prompt already ends in an open <think> (Qwen3-Thinking-2507).
  // with_calls: tools were offered.
  AnswerParser(const text::Tokenizer& tokenizer, bool starts_in_thinking, bool with_calls = true);

  // Appends what `id` adds to *out.
  void push(int32_t id, std::vector<AnswerDelta>* out);
  // The end of the answer: held-back text, and an unfinished tool call whose name is not known as content.
  void finish(std::vector<AnswerDelta>* out);

  bool thinking() const { return state_ == State::kThinking; }
  int64_t reasoning_tok() const { return reasoning_tok_; }
  const std::string& reasoning() const { return reasoning_; }
  const std::string& content() const { return content_; }
  const std::vector<ToolCall>& tool_calls() const { return tool_calls_; }

 private:
  enum class State : uint8_t { kContent, kThinking, kToolCall };
  void emit(AnswerDelta::Kind kind, std::string text, std::vector<AnswerDelta>* out);
  void enter(State next);
  void open_tool_call(std::vector<AnswerDelta>* out);
  void push_tool_call(const std::string& text, std::vector<AnswerDelta>* out);
  void close_tool_call(std::vector<AnswerDelta>* out);
  void leave_tool_call();

  const text::Tokenizer* tokenizer_;
  text::StreamDecoder decoder_;
  int32_t think_open_, think_close_, call_open_, call_close_;
  State state_;
  bool at_start_ = true;     // of the current block: its leading newlines are framing, not text
  bool after_call_ = false;  // content goes on after a tool call
  std::string held_;         // newlines that are framing if the block ends here
  int64_t reasoning_tok_ = 0;
  std::string reasoning_, content_;
  std::optional<ToolCallScanner> call_;  // while one is open
  bool call_delivered_ = false;          // it is tool_calls_.back() already
  std::vector<ToolCall> tool_calls_;
};

}  // namespace bantam::engine
