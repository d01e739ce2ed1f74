// PrefillPace: how many prompt tokens a step may read beside answers in work, so that their tokens come at most so many
// times slower than without it. Learns from the times of the steps; what is computed never depends on it, only when.
// Called by BatchGenerator; one thread.
#pragma once

#include <algorithm>
#include <cstdint>

namespace bantam::engine {

class PrefillPace {
 public:
  // most_tok: never more; most_slower: 0 keeps to most_tok.
  PrefillPace(int64_t most_tok, double most_slower)
      : most_tok_(most_tok),
        most_slower_(most_slower),
        tok_(most_slower > 0 ? std::min(kFirstTok, most_tok) : most_tok) {}

  int64_t tok() const { return tok_; }

  // A step was computed: how many answers had their token, how many prompt tokens were read beside them, how long.
  void observe(int64_t decoding, int64_t prefill_tok, double ms) {
    if (most_slower_ <= 0 || decoding == 0) return;
    if (prefill_tok == 0) {
      alone_ms_ = alone_ms_ == 0 ? ms : alone_ms_ + kWeight * (ms - alone_ms_);
      return;
    }
    if (alone_ms_ == 0) return;
    const double room_ms = most_slower_ * alone_ms_;
    if (ms > room_ms) {
      tok_ = std::max(std::min(kLeastTok, most_tok_), tok_ * 3 / 4);
    } else if (ms < kComfort * room_ms && prefill_tok >= tok_) {
      tok_ = std::min(most_tok_, tok_ + std::max<int64_t>(1, tok_ / 8));
    }
  }

 private:
  static constexpr int64_t kFirstTok = 16, kLeastTok = 4;  // a prompt always moves on
  static constexpr double kWeight = 0.1, kComfort = 0.85;
  int64_t most_tok_;
  double most_slower_;
  int64_t tok_;
  double alone_ms_ = 0;  // of a step without prompts, lately
};

}  // namespace bantam::engine
