// The part of Ollama's API that its clients use to talk to models: /api/chat and /api/generate as lines of JSON, and
// what they ask about models. Names follow Ollama's API reference. Pure; a writer is one answer's.
#pragma once

#include <memory>
#include <string>

#include "server/conversation.h"

namespace bantam::server {

// Errors (kBadInput) name the field, what was expected and what came.
Result<ChatRequest> parse_ollama_chat(const JsonValue& body);
Result<ChatRequest> parse_ollama_generate(const JsonValue& body);

// "2026-01-31T12:00:00.123456Z"
std::string rfc3339(std::chrono::system_clock::time_point time);

class OllamaWriter : public AnswerWriter {
 public:
  enum class Form : uint8_t { kChat, kGenerate };
  OllamaWriter(Form form, std::string model, Stopwatch since) : form_(form), model_(std::move(model)), since_(since) {}

  std::string_view stream_type() const override { return "application/x-ndjson"; }
  void begin(const PreparedRequest&, std::string*) override {}
  void delta(const engine::AnswerDelta& piece, std::string* out) override;
  void end(const engine::Generation& answer, std::string* out) override;
  void failed(const Status& status, std::string* out) override;
  JsonValue whole() const override { return whole_; }

 private:
  JsonValue line(std::string_view text, std::string_view thinking, const JsonValue* calls) const;
  void close_call(std::string* out);

  Form form_;
  std::string model_;
  Stopwatch since_;  // the request came
  std::string text_, thinking_;
  JsonValue calls_ = JsonValue::array();
  bool in_call_ = false;  // its name and arguments, until it is complete
  std::string call_name_, call_arguments_;
  JsonValue whole_;
};

}  // namespace bantam::server
