// Anthropic's Messages API: its requests turned into the conversation the templates know, and its answers, whole or as
// the stream of events its clients put together. Names follow Anthropic's API reference; the sampling fields of
// OpenAI's route are understood too. Pure; a writer is one answer's.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/conversation.h"

namespace bantam::server {

// Errors (kBadInput) name the field, what was expected and what came.
Result<ChatRequest> parse_messages_request(const JsonValue& body);

class MessageWriter : public AnswerWriter {
 public:
  // tokenizer must outlive it; stops: to tell which one ended the answer.
  MessageWriter(std::string id, std::string model, std::vector<std::string> stops, const text::Tokenizer& tokenizer);

  void begin(const PreparedRequest& prepared, std::string* out) override;
  void delta(const engine::AnswerDelta& piece, std::string* out) override;
  void end(const engine::Generation& answer, std::string* out) override;
  void failed(const Status& status, std::string* out) override;
  JsonValue whole() const override { return message_; }
  std::vector<std::string> ids() const override;

 private:
  void open_block(engine::AnswerDelta::Kind kind, JsonValue block, std::string* out);
  void close_block(std::string* out);
  void send_delta(std::string_view type, std::string_view field, std::string_view text, std::string* out) const;

  std::string id_;
  std::vector<std::string> stops_;
  const text::Tokenizer& tokenizer_;
  JsonValue message_, content_;
  JsonValue block_;  // being written; null: none
  engine::AnswerDelta::Kind kind_{};
  std::string text_;  // of the block so far
  int64_t calls_ = 0;
};

// The stop string that ended the answer; "" when none of them did.
std::string matched_stop(const engine::Generation& answer, std::span<const std::string> stops,
                         const text::Tokenizer& tokenizer);

}  // namespace bantam::server
