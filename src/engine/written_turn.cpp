// See written_turn.h.
#include "engine/written_turn.h"

#include <algorithm>

namespace bantam::engine {
namespace {

constexpr std::string_view kThinkOpen = "<think>\n";

// Ids for the bytes [begin, answer's end) of a rendered text.
struct Stretch {
  size_t begin = 0;
  std::span<const int32_t> ids;
};

bool is_newlines(std::string_view bytes) {
  return !bytes.empty() && bytes.find_first_not_of('\n') == std::string_view::npos;
}

// Whether the template itself put bytes [begin, end) there.
bool is_own(const text::Rendered& rendered, size_t begin, size_t end) {
  const auto piece = std::upper_bound(rendered.pieces.begin(), rendered.pieces.end(), begin,
                                      [](size_t at, const auto& p) { return at < p.end; });
  return piece != rendered.pieces.end() && piece->allow_control && end <= piece->end;
}

// The first of `ids` that are the bytes [begin, end), exactly; empty when they are not, or end within one of them.
std::span<const int32_t> match(const text::Tokenizer& tokenizer, const text::Rendered& rendered, size_t begin,
                               size_t end, std::span<const int32_t> ids) {
  const std::string_view text(rendered.text);
  size_t at = begin, used = 0;
  for (; at < end && used < ids.size(); ++used) {
    const std::string_view bytes = tokenizer.token_bytes(ids[used]);
    if (bytes.empty() || bytes.size() > end - at || text.substr(at, bytes.size()) != bytes) return {};
    if (tokenizer.is_added(ids[used]) && !is_own(rendered, at, at + bytes.size())) return {};
    at += bytes.size();
  }
  return at == end ? ids.first(used) : std::span<const int32_t>();
}

// Before the stretch stands "<|im_start|>assistant\n", the opening of a thinking as a generation prompt has it, or the
// end of one: what is tokenised there stands alone, as the model saw it.
Stretch find_stretch(const text::Tokenizer& tokenizer, const text::Rendered& rendered,
                     const text::Rendered::Answer& answer, const WrittenTurn& turn) {
  const std::span<const int32_t> ids(turn.ids);
  Stretch out{answer.begin, match(tokenizer, rendered, answer.begin, answer.end, ids)};
  if (!out.ids.empty()) return out;
  if (is_own(rendered, answer.begin, answer.begin + kThinkOpen.size()) && answer.content > answer.begin) {
    out.begin = answer.begin + kThinkOpen.size();
    out.ids = match(tokenizer, rendered, out.begin, answer.end, ids);
    if (!out.ids.empty()) return out;
  }
  return {answer.content, match(tokenizer, rendered, answer.content, answer.end, ids.subspan(turn.content))};
}

// The ids of the bytes [begin, end).
void append_encoded(const text::Tokenizer& tokenizer, const text::Rendered& rendered, size_t begin, size_t end,
                    std::vector<int32_t>* out) {
  std::vector<text::Span> spans;
  for (const text::Rendered::Piece& piece : rendered.pieces) {
    const size_t from = std::max(begin, piece.begin), to = std::min(end, piece.end);
    if (from < to) spans.push_back({std::string_view(rendered.text).substr(from, to - from), piece.allow_control});
  }
  const std::vector<int32_t> ids = tokenizer.encode(spans);
  out->insert(out->end(), ids.begin(), ids.end());
}

}  // namespace

WrittenTurn written_turn(const text::Tokenizer& tokenizer, std::span<const int32_t> begun, bool starts_in_thinking,
                         const Generation& answer) {
  WrittenTurn turn;
  turn.ids.assign(begun.begin(), begun.end());
  for (const Sampled& token : answer.tokens) turn.ids.push_back(token.id);
  const bool ended = answer.finish_reason == FinishReason::kStop || answer.finish_reason == FinishReason::kToolCalls;
  if (ended && !turn.ids.empty() && tokenizer.is_special(turn.ids.back())) turn.ids.pop_back();
  const auto open = tokenizer.find_added("<think>"), close = tokenizer.find_added("</think>"),
             call = tokenizer.find_added("<tool_call>");
  bool thinking = starts_in_thinking;
  size_t at = 0;
  if (!thinking && !turn.ids.empty() && turn.ids[0] == open) thinking = true;
  while (thinking && at < turn.ids.size()) {
    if (turn.ids[at] == call) break;  // the model has begun to act
    thinking = turn.ids[at++] != close;
  }
  while (at < turn.ids.size() && is_newlines(tokenizer.token_bytes(turn.ids[at]))) ++at;
  turn.content = at;
  return turn;
}

std::string content_bytes(const text::Tokenizer& tokenizer, const WrittenTurn& turn) {
  std::string out;
  for (size_t i = turn.content; i < turn.ids.size(); ++i) out += tokenizer.token_bytes(turn.ids[i]);
  out.resize(out.find_last_not_of('\n') + 1);  // npos + 1 is 0
  return out;
}

std::vector<int32_t> encode_rendered(const text::Tokenizer& tokenizer, const text::Rendered& rendered,
                                     const FindTurn& find) {
  std::vector<int32_t> out;
  size_t done = 0;
  for (const text::Rendered::Answer& answer : rendered.answers) {
    if (!find || answer.content == answer.end) continue;
    const auto content = std::string_view(rendered.text).substr(answer.content, answer.end - answer.content);
    const std::shared_ptr<const WrittenTurn> turn = find(answer.message, content);
    if (turn == nullptr) continue;
    const Stretch stretch = find_stretch(tokenizer, rendered, answer, *turn);
    if (stretch.ids.empty()) continue;
    append_encoded(tokenizer, rendered, done, stretch.begin, &out);
    out.insert(out.end(), stretch.ids.begin(), stretch.ids.end());
    done = answer.end;
  }
  append_encoded(tokenizer, rendered, done, rendered.text.size(), &out);
  return out;
}

}  // namespace bantam::engine
