// See thinking_governor.h.
#include "engine/thinking_governor.h"

#include <algorithm>

namespace bantam::engine {
namespace {

constexpr int32_t kNoToken = -2;

// Whether text that ends in `bytes` may be cut there: after a line or a sentence, spaces and quotes aside.
bool ends_sentence(std::string_view bytes) {
  if (bytes.find('\n') != bytes.npos) return true;
  const size_t last = bytes.find_last_not_of(" \t\"')*");
  if (last == bytes.npos) return false;
  const std::string_view upto = bytes.substr(0, last + 1);
  for (const std::string_view end : {".", "!", "?", "。", "！", "？"}) {
    if (upto.ends_with(end)) return true;
  }
  return false;
}

}  // namespace

ThinkingGovernor::ThinkingGovernor(const text::Tokenizer& tokenizer, int64_t budget_tok, bool end_loops, bool thinking)
    : tokenizer_(&tokenizer),
      think_open_(tokenizer.find_added("<think>").value_or(kNoToken)),
      think_close_(tokenizer.find_added("</think>").value_or(kNoToken)),
      budget_tok_(budget_tok),
      end_loops_(end_loops),
      thinking_(thinking) {
  if (thinking_) consider(/*at_seam=*/true);
}

void ThinkingGovernor::push(int32_t id, bool thinking) {
  const bool was_thinking = thinking_;
  thinking_ = thinking;
  if (forced() >= 0) {
    if (id == forced()) {
      cut_ = cut_ || id == think_close_;
      ++forced_at_;
      return;
    }
    forced_.clear();  // tokens of an answer that is continued: they were chosen without this limit
    forced_at_ = 0;
  }
  if (!thinking_) return;
  if (was_thinking) return think(id);
  consider(/*at_seam=*/true);  // the thinking has just begun
}

void ThinkingGovernor::think(int32_t id) {
  const std::string_view bytes = tokenizer_->token_bytes(id);
  const bool loop = is_loop(id, bytes);
  ++thought_tok_;
  if (loop && due_tok_ < 0) due_tok_ = thought_tok_;
  const bool in_number = after_digit_ && bytes == ".";  // 3. may become 3.14
  if (!bytes.empty()) {
    at_line_start_ = bytes.back() == '\n';
    after_digit_ = bytes.back() >= '0' && bytes.back() <= '9';
  }
  consider(ends_sentence(bytes) && !in_number);
}

// Closes the thinking if its time is over and this is a place for it. at_seam: nothing is cut in two here.
void ThinkingGovernor::consider(bool at_seam) {
  if (cut_ || think_close_ < 0) return;
  if (due_tok_ < 0 && budget_tok_ >= 0 && thought_tok_ >= budget_tok_) due_tok_ = thought_tok_;
  if (due_tok_ >= 0 && (at_seam || thought_tok_ - due_tok_ >= kGraceTok)) begin_closing();
}

void ThinkingGovernor::begin_closing() {
  const std::string phrase = (at_line_start_ ? "" : "\n\n") + std::string(kPhrase);
  forced_ = tokenizer_->encode(phrase, /*allow_added=*/true);
  forced_at_ = 0;
}

bool ThinkingGovernor::is_loop(int32_t id, std::string_view bytes) {
  if (!end_loops_) return false;
  bool loop = lines_.push(bytes);
  for (int64_t period = 1; period <= std::min(kMaxPeriod, thought_tok_); ++period) {
    const int32_t before = last_[static_cast<size_t>((thought_tok_ - period) % kMaxPeriod)];
    int64_t& same = same_tok_[static_cast<size_t>(period)];
    same = before == id ? same + 1 : 0;
    loop = loop || same >= std::max(3 * period, kLoopTok);
  }
  last_[static_cast<size_t>(thought_tok_ % kMaxPeriod)] = id;
  return loop;
}

}  // namespace bantam::engine
