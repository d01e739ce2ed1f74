// OpenAI's Responses API without its memory: every request carries the whole conversation as items, nothing is kept.
// Requests are turned into the conversation the templates know; answers are written whole or as the events OpenAI's
// client puts together. Names follow OpenAI's API reference. Pure; a writer is one answer's.
#pragma once

#include <memory>
#include <string>

#include "server/conversation.h"

namespace bantam::server {

// Errors (kBadInput) name the field, what was expected and what came.
Result<ChatRequest> parse_responses_request(const JsonValue& body);

class ResponseWriter : public AnswerWriter {
 public:
  // body: the request, parts of which the response repeats.
  ResponseWriter(std::string id, int64_t created_s, std::string model, const JsonValue& body);

  void begin(const PreparedRequest& prepared, std::string* out) override;
  void delta(const engine::AnswerDelta& piece, std::string* out) override;
  void end(const engine::Generation& answer, std::string* out) override;
  void failed(const Status& status, std::string* out) override;
  JsonValue whole() const override { return response_; }
  std::vector<std::string> ids() const override;

 private:
  enum class Item : uint8_t { kNone, kReasoning, kMessage, kCall };
  void open_item(Item kind, std::string_view call_name, std::string* out);
  void close_item(std::string* out);
  JsonValue item_value(bool done) const;
  JsonValue part_value(std::string_view text) const;
  // An event about the open item; about its part where with_part.
  void item_event(std::string_view type, bool with_part, std::string_view field, JsonValue value, std::string* out);
  void event(std::string_view type, std::vector<JsonValue::Member> members, std::string* out);

  std::string id_;
  bool summaries_ = false;  // thinking was asked for as a summary; it is given whole there
  JsonValue response_, output_;
  Item item_ = Item::kNone;
  std::string item_id_, call_name_, text_;  // of the open item
  int64_t sequence_ = 0;
};

}  // namespace bantam::server
