// One answer to one conversation, whatever API asked: the way from a body to a running answer and back through an
// AnswerWriter, which knows one API's words. Streamed and whole answers come from the same events, so they cannot
// differ. I/O thread only. OpenAI's chat has its own task (several choices, log-probabilities).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "server/api.h"

namespace bantam::server {

// Writes one answer in one API's words. Calls come in this order: begin, any number of delta, then end or failed.
class AnswerWriter {
 public:
  virtual ~AnswerWriter() = default;
  // Of a stream: its type, and the bytes to append to *out.
  virtual std::string_view stream_type() const { return "text/event-stream"; }
  virtual void begin(const PreparedRequest& prepared, std::string* out) = 0;
  virtual void delta(const engine::AnswerDelta& piece, std::string* out) = 0;
  virtual void end(const engine::Generation& answer, std::string* out) = 0;
  virtual void failed(const Status& status, std::string* out) = 0;
  // After end(): the same answer in one object.
  virtual JsonValue whole() const = 0;
  // After end(): what the client may call the answer by when it sends it back.
  virtual std::vector<std::string> ids() const { return {}; }
};

// What one route adds.
struct ConversationRoute {
  ErrorWords words = error_reply;
  Result<ChatRequest> (*parse)(const JsonValue& body) = nullptr;
  std::unique_ptr<AnswerWriter> (*writer)(Api& api, const Api::Received& received,
                                          const ChatRequest& request) = nullptr;
  // Answers a request that wants the model loaded and nothing else; empty: there is no such request.
  std::optional<JsonValue> (*loaded)(const Api::Received& received) = nullptr;
};
Handler conversation_handler(Api& api, const ConversationRoute& route);

// How an answer begins: what of it the prompt holds already, and whether a thinking is open there.
struct Beginning {
  Beginning() = default;
  explicit Beginning(const PreparedRequest& prepared);
  std::vector<int32_t> ids;
  bool in_thinking = false;
};
// Keeps an answer's ids for the time when it comes back as a turn; `ids`: as AnswerWriter::ids.
void keep_turn(Api& api, const Api::Received& received, const ChatRequest& request, const Beginning& beginning,
               const engine::Generation& answer, std::span<const std::string> ids);

// Computes what the next request of this conversation will begin with, so that it costs only its new tokens.
void warm_history(Api& api, std::shared_ptr<Api::Received> received, std::shared_ptr<const ChatRequest> request,
                  const engine::Generation& answer);

}  // namespace bantam::server
