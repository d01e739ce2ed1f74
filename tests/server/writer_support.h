// What the tests of the APIs share: bodies, deltas and generations by hand, and events read back.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/conversation.h"
#include "text/tokenizer_loader.h"

namespace bantam::server::testing {

using Kind = engine::AnswerDelta::Kind;

inline JsonValue json(const std::string& text) {
  auto value = parse_json(text);
  EXPECT_TRUE(value.ok()) << text;
  return value.ok() ? *value : JsonValue();
}

inline const text::Tokenizer& house_tokenizer() {
  static const auto tokenizer = text::load_tokenizer_folder(BANTAM_SOURCE_DIR "/models/nano");
  EXPECT_TRUE(tokenizer.ok());
  return *tokenizer;
}

// What writer appends, event by event: "NAME DATA" for streams of events, the line for lines of JSON.
inline std::vector<std::string> events_of(const std::string& bytes) {
  std::vector<std::string> out;
  const std::string separator = bytes.starts_with("event:") ? "\n\n" : "\n";
  for (size_t at = 0; at < bytes.size();) {
    const size_t end = bytes.find(separator, at);
    EXPECT_NE(end, std::string::npos) << "an event without an end";
    out.push_back(bytes.substr(at, end - at));
    at = end + separator.size();
  }
  return out;
}

// A whole answer written: thinking, text, and one tool call in two pieces.
inline std::string write_all(AnswerWriter& writer, const engine::Generation& answer) {
  PreparedRequest prepared;
  prepared.ids = {1, 2, 3, 4, 5};
  std::string out;
  writer.begin(prepared, &out);
  writer.delta({Kind::kReasoning, "Let me"}, &out);
  writer.delta({Kind::kReasoning, " see"}, &out);
  writer.delta({Kind::kContent, "I \"look\""}, &out);
  writer.delta({Kind::kToolName, "find", 0}, &out);
  writer.delta({Kind::kToolArguments, "{\"what\": ", 0}, &out);
  writer.delta({Kind::kToolArguments, "\"x\"}", 0}, &out);
  writer.end(answer, &out);
  return out;
}

inline engine::Generation generation(engine::FinishReason reason) {
  engine::Generation answer;
  answer.finish_reason = reason;
  answer.prompt_tok = 5;
  answer.cached_tok = 2;
  answer.reasoning_tok = 3;
  answer.prompt_ms = 2;
  answer.predicted_ms = 4;
  answer.tokens.resize(9);
  return answer;
}

}  // namespace bantam::server::testing
