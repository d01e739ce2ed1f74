// ThinkingGovernor: ends a thinking that has used up its budget or runs in circles. It watches the ids of one answer
// and says which id must come next: at the end of a sentence, or kGraceTok tokens after the limit at the latest, the
// phrase that the family was trained to take as "answer now", token by token, then </think>. After that <think> cannot
// be chosen again. Pure logic of tokens: the same answer and limits give the same tokens wherever they are computed.
// Owned by AnswerBuilder, one object per answer; the tokenizer must outlive it.
//
// Sources: Qwen3 technical report (arXiv 2505.09388), section 4.7 (thinking budget) and the model cards' recipe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/line_loop_detector.h"
#include "text/tokenizer.h"

namespace bantam::engine {

class ThinkingGovernor {
 public:
  static constexpr int64_t kGraceTok = 48;
  static constexpr std::string_view kPhrase =
      "Considering the limited time by the user, I have to give the solution based on the thinking directly now.\n"
      "</think>\n\n";

  // budget_tok: tokens of reasoning after which the thinking ends, 0 at once, -1 never. end_loops: whether one that
  // repeats itself is ended. thinking: whether the answer begins within its thinking.
  ThinkingGovernor(const text::Tokenizer& tokenizer, int64_t budget_tok, bool end_loops, bool thinking);

  // The next id of the answer was `id`; `thinking`: whether the answer stands within its thinking now.
  void push(int32_t id, bool thinking);
  // The id that must come next; -1: the model's choice.
  int32_t forced() const { return forced_at_ < forced_.size() ? forced_[forced_at_] : -1; }
  // The id that must not come next; -1: none.
  int32_t banned() const { return cut_ ? think_open_ : -1; }
  // Whether it ended the thinking.
  bool cut() const { return cut_; }

 private:
  void think(int32_t id);
  bool is_loop(int32_t id, std::string_view bytes);
  void consider(bool at_seam);
  void begin_closing();

  // Lengths of cycles that are looked for, and how many ids at least have to repeat the ones a cycle before them, three
  // whole cycles in any case. A table or a list of zeros is not a loop yet.
  static constexpr int64_t kMaxPeriod = 256, kLoopTok = 96;

  const text::Tokenizer* tokenizer_;
  int32_t think_open_, think_close_;
  int64_t budget_tok_;
  bool end_loops_;
  bool thinking_ = false;
  int64_t thought_tok_ = 0;  // of all thinking in the answer
  int64_t due_tok_ = -1;     // thought_tok_ when the limit was met; -1: not yet
  bool at_line_start_ = true, after_digit_ = false;
  std::vector<int32_t> forced_;
  size_t forced_at_ = 0;
  bool cut_ = false;

  std::array<int32_t, kMaxPeriod> last_{};          // ring of the thinking's last ids
  std::array<int64_t, kMaxPeriod + 1> same_tok_{};  // by period: how many ids in a row equal the one a period before
  LineLoopDetector lines_;
};

}  // namespace bantam::engine
