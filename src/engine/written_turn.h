// What the model wrote need not be what its text is cut into when it comes back as history: a sampled answer may spell
// a word in other tokens. A WrittenTurn keeps the ids, and encode_rendered() puts them in the place of the text, so
// that the next turn reads what the model wrote and finds its keys and values in the prefix cache. Bytes never change,
// and control tokens stand only where the template put them; whatever does not fit is tokenised as ever. Called by
// render_prompt() and by whoever keeps turns (server). Pure; thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/answer_builder.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace bantam::engine {

struct WrittenTurn {
  std::vector<int32_t> ids;  // from the generation prompt's end, without the end of the turn
  size_t content = 0;        // how many of them are thinking and its frame, which templates leave out of a history
};

// The turn of an answer. begun: the ids its prompt ended in that belong to the answer (a continued one).
// starts_in_thinking: as GenerateOptions, about the place before these.
WrittenTurn written_turn(const text::Tokenizer& tokenizer, std::span<const int32_t> begun, bool starts_in_thinking,
                         const Generation& answer);
// The bytes of the turn's content and tool calls as a template prints them when the model kept to its forms.
std::string content_bytes(const text::Tokenizer& tokenizer, const WrittenTurn& turn);

// The turn that was written as message `message`, whose content and calls are printed as `content`; null: not known.
using FindTurn = std::function<std::shared_ptr<const WrittenTurn>(size_t message, std::string_view content)>;

// Ids of a rendered conversation; the assistant's turns that `find` knows (empty: none) and whose bytes are the
// rendered ones, up to a token of theirs, are put in as they were written.
std::vector<int32_t> encode_rendered(const text::Tokenizer& tokenizer, const text::Rendered& rendered,
                                     const FindTurn& find);

}  // namespace bantam::engine
