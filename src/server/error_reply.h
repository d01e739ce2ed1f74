// Refusals and failures as replies, in the words of the API they answer: OpenAI's error object, Anthropic's, Ollama's.
// Messages name the field and what was expected; never an address, a path or a secret. Pure; thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "server/http.h"

namespace bantam::server {

// {"error": {"message", "type", "param", "code"}}, as OpenAI. param: the field a message begins with
// ("messages[0].role: expected ..."), else null.
JsonValue error_object(int http, std::string_view message, std::string_view code);
HttpReply error_reply(int http, std::string_view message, std::string_view code);

// A refusal in the words of one API; error_reply is OpenAI's.
using ErrorWords = HttpReply (*)(int http, std::string_view message, std::string_view code);
// {"type": "error", "error": {"type", "message"}}, as Anthropic.
JsonValue anthropic_error_object(int http, std::string_view message);
HttpReply anthropic_error(int http, std::string_view message, std::string_view code);
// {"error": message}, as Ollama.
HttpReply ollama_error(int http, std::string_view message, std::string_view code);

// The HTTP status that goes with a Status: 400 for requests that cannot be, 429 when busy, 503 without memory, else
// 500.
int http_status(const Status& status);
// The code OpenAI's clients look at, e.g. "context_length_exceeded"; "" for none.
std::string_view api_error_code(const Status& status);
JsonValue error_object(const Status& status);
HttpReply error_reply(const Status& status);
HttpReply refusal(ErrorWords words, const Status& status);
// The same refusal (made by error_reply) in other words.
HttpReply reworded(HttpReply reply, ErrorWords words);

}  // namespace bantam::server
