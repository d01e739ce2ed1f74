// AnswerParser: the ids of one answer, one by one, into reasoning, content and tool calls. Only token ids switch
// state (<think>, </think>, <tool_call>, </tool_call>), so text that merely spells a tag never does. One object per
// answer; the tokenizer must outlive it. Called by generate() and the server.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

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
  int32_t call = -1;
};

class AnswerParser {
 public:
  // starts_in_thinking: the prompt already ends in an open <think> (Qwen3-Thinking-2507).
  AnswerParser(const text::Tokenizer& tokenizer, bool starts_in_thinking);

  AnswerDelta push(int32_t id);
  // The end of the answer: held-back text, and an unfinished tool call as content.
  AnswerDelta finish();

  bool thinking() const { return state_ == State::kThinking; }
  int64_t reasoning_tok() const { return reasoning_tok_; }
  const std::string& reasoning() const { return reasoning_; }
  const std::string& content() const { return content_; }
  const std::vector<ToolCall>& tool_calls() const { return tool_calls_; }

 private:
  enum class State : uint8_t { kContent, kThinking, kToolCall };
  AnswerDelta emit(AnswerDelta::Kind kind, std::string text);
  AnswerDelta close_tool_call();

  const text::Tokenizer* tokenizer_;
  text::StreamDecoder decoder_;
  int32_t think_open_, think_close_, call_open_, call_close_;
  State state_;
  bool at_start_ = true;     // of the current block: its leading newlines are framing, not text
  bool after_call_ = false;  // content goes on after a tool call
  std::string held_;         // newlines that are framing if the block ends here
  int64_t reasoning_tok_ = 0;
  std::string reasoning_, content_, call_text_;
  std::vector<ToolCall> tool_calls_;
};

}  // namespace bantam::engine
