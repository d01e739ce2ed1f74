// Implements text/bpe.h.
#include "text/bpe.h"

#include <algorithm>
#include <bit>
#include <functional>

namespace bantam::text {
namespace {

constexpr uint32_t kNoRank = (1u << 24) - 1;
constexpr uint64_t kEmpty = ~uint64_t{0};  // no pair looks so: its rank would be kNoRank
// Above this many bytes the heap wins over scanning (measured on Chinese text, where words are whole clauses).
constexpr size_t kShortWord = 96;
constexpr size_t kLongestWord = size_t{1} << 30;  // positions are 32 bits; a longer word is cut

constexpr uint64_t pair_key(int32_t left, int32_t right) {
  return static_cast<uint64_t>(left) << 44 | static_cast<uint64_t>(right) << 24;
}
constexpr size_t pair_slot(uint64_t key, int shift) {
  return (key >> 24) * 0x9E3779B97F4A7C15 >> shift;
}

// Sorts pairs (rank << 32 | position). They come with the positions of each rank in order nearly always, so stable
// passes over the ranks' bytes do it in linear time; what comes otherwise is sorted the usual way. *spare is scratch.
void sort_pairs(std::vector<uint64_t>* pairs, std::vector<uint64_t>* spare) {
  constexpr size_t kWorthPasses = 2048;
  if (pairs->size() < kWorthPasses) return std::sort(pairs->begin(), pairs->end());
  for (int shift = 32; shift < 56 && !std::is_sorted(pairs->begin(), pairs->end()); shift += 8) {
    std::array<size_t, 257> begin{};  // by byte: where its pairs go
    for (const uint64_t pair : *pairs) ++begin[(pair >> shift & 0xFF) + 1];
    for (size_t i = 1; i < begin.size(); ++i) begin[i] += begin[i - 1];
    spare->resize(pairs->size());
    for (const uint64_t pair : *pairs) (*spare)[begin[pair >> shift & 0xFF]++] = pair;
    pairs->swap(*spare);
  }
  if (!std::is_sorted(pairs->begin(), pairs->end())) std::sort(pairs->begin(), pairs->end());
  spare->clear();
}

}  // namespace

Result<Bpe> Bpe::create(const std::array<int32_t, 256>& byte_ids, std::span<const Merge> merges) {
  if (merges.size() > static_cast<size_t>(kMaxMerges)) {
    return bad_input("bpe: expected at most {} merges, got {}", kMaxMerges, merges.size());
  }
  const auto is_id = [](int32_t id) { return id >= 0 && id < kMaxTokenIds; };
  Bpe bpe;
  bpe.byte_ids_ = byte_ids;
  for (const int32_t id : byte_ids) {
    if (!is_id(id)) return bad_input("bpe: expected ids from 0 to {}, got {} for a byte", kMaxTokenIds - 1, id);
  }
  const size_t slots = std::bit_ceil(std::max<size_t>(16, 2 * merges.size()));
  bpe.pairs_.assign(slots, kEmpty);
  bpe.pairs_shift_ = 64 - std::countr_zero(slots);
  bpe.merged_.reserve(merges.size());
  for (uint32_t rank = 0; rank < merges.size(); ++rank) {
    const Merge& merge = merges[rank];
    if (!is_id(merge.left) || !is_id(merge.right) || !is_id(merge.merged)) {
      return bad_input("bpe: merge {}: expected ids from 0 to {}, got {} + {} -> {}", rank, kMaxTokenIds - 1,
                       merge.left, merge.right, merge.merged);
    }
    bpe.merged_.push_back(merge.merged);
    const uint64_t key = pair_key(merge.left, merge.right);
    size_t at = pair_slot(key, bpe.pairs_shift_);
    while (bpe.pairs_[at] != kEmpty && bpe.pairs_[at] >> 24 != key >> 24) at = (at + 1) & (slots - 1);
    bpe.pairs_[at] = key | rank;
  }
  bpe.byte_pair_ranks_.reserve(1 << 16);
  for (const int32_t left : byte_ids) {
    for (const int32_t right : byte_ids) bpe.byte_pair_ranks_.push_back(bpe.rank_of(left, right));
  }
  return bpe;
}

uint32_t Bpe::rank_of(int32_t left, int32_t right) const {
  const uint64_t key = pair_key(left, right);
  const size_t mask = pairs_.size() - 1;
  for (size_t at = pair_slot(key, pairs_shift_);; at = (at + 1) & mask) {
    const uint64_t slot = pairs_[at];
    if (slot >> 24 == key >> 24) return static_cast<uint32_t>(slot & 0xFFFFFF);
    if (slot == kEmpty) return kNoRank;
  }
}

void Bpe::encode(std::string_view word, Scratch* scratch, std::vector<int32_t>* out) const {
  if (word.size() <= kShortWord) return encode_short(word, out);
  for (; !word.empty(); word.remove_prefix(std::min(word.size(), kLongestWord))) {
    encode_long(word.substr(0, kLongestWord), scratch, out);
  }
}

// keys[i] = rank of the pair that starts at i << 8 | i, so that the smallest key is the leftmost pair of lowest rank.
// Joined symbols stay in place with a key that never wins; `next` and `previous` skip them.
void Bpe::encode_short(std::string_view word, std::vector<int32_t>* out) const {
  constexpr uint32_t kNever = kNoRank << 8;
  uint32_t keys[kShortWord + 4];
  int32_t ids[kShortWord];
  uint8_t next[kShortWord], previous[kShortWord];
  const auto count = static_cast<uint32_t>(word.size());
  for (uint32_t i = 0; i < count; ++i) {
    ids[i] = byte_ids_[static_cast<unsigned char>(word[i])];
    keys[i] = i + 1 < count ? byte_pair_rank(word[i], word[i + 1]) << 8 | i : kNever;
    next[i] = static_cast<uint8_t>(i + 1);
    previous[i] = static_cast<uint8_t>(i - 1);
  }
  const uint32_t padded = (count + 3) & ~3u;
  for (uint32_t i = count; i < padded; ++i) keys[i] = kNever;
  for (;;) {
    uint32_t best[4] = {keys[0], keys[1], keys[2], keys[3]};
    for (uint32_t i = 4; i < padded; i += 4) {
      for (uint32_t lane = 0; lane < 4; ++lane) best[lane] = std::min(best[lane], keys[i + lane]);
    }
    const uint32_t lowest = std::min(std::min(best[0], best[1]), std::min(best[2], best[3]));
    if (lowest >= kNever) break;
    const uint32_t at = lowest & 0xFF;
    const uint32_t joined = next[at];
    const uint32_t after = next[joined];
    ids[at] = merged_[lowest >> 8];
    keys[joined] = kNever;
    next[at] = static_cast<uint8_t>(after);
    keys[at] = kNever;
    if (after < count) {
      previous[after] = static_cast<uint8_t>(at);
      keys[at] = rank_of(ids[at], ids[after]) << 8 | at;
    }
    if (at > 0) {
      const uint32_t before = previous[at];
      keys[before] = rank_of(ids[before], ids[at]) << 8 | before;
    }
  }
  for (uint32_t i = 0; i < count; i = next[i]) out->push_back(ids[i]);
}

// Joins the pair if it still stands and calls wait(pair) for the pairs that the joined symbol makes.
template <class Wait>
void Bpe::join_long(uint64_t pair, std::vector<Symbol>& symbols, Wait wait) const {
  const auto at = static_cast<int32_t>(pair & 0xFFFFFFFF);
  const auto rank = static_cast<uint32_t>(pair >> 32);
  Symbol& symbol = symbols[static_cast<size_t>(at)];
  if (symbol.rank != rank) return;
  Symbol& joined = symbols[static_cast<size_t>(symbol.next)];
  symbol.id = merged_[rank];
  symbol.next = joined.next;
  joined.rank = kNoRank;
  if (joined.next >= 0) symbols[static_cast<size_t>(joined.next)].previous = at;
  const auto update = [&](int32_t left) {
    Symbol& first = symbols[static_cast<size_t>(left)];
    first.rank = first.next < 0 ? kNoRank : rank_of(first.id, symbols[static_cast<size_t>(first.next)].id);
    if (first.rank != kNoRank) wait(uint64_t{first.rank} << 32 | static_cast<uint32_t>(left));
  };
  update(at);
  if (symbol.previous >= 0) update(symbol.previous);
}

// Pairs wait as rank << 32 | position. A generation of them is sorted and worked off in order; pairs that come up
// meanwhile wait in the next generation if they are behind all of this one, else in a heap. Words of many different
// pairs so use the heap as usual; repetitive ones, the only kind that gets huge, run through a few sorted generations,
// in order of memory. Entries are not removed when a join makes them wrong: one counts only while its rank is still
// that of the pair at its position.
void Bpe::encode_long(std::string_view word, Scratch* scratch, std::vector<int32_t>* out) const {
  auto& [symbols, generation, next_generation, heap] = *scratch;
  const auto count = static_cast<int32_t>(word.size());
  if (symbols.size() < word.size()) symbols.resize(word.size());
  next_generation.clear();
  next_generation.reserve(word.size());
  heap.clear();
  for (int32_t i = 0; i < count; ++i) {
    const auto at = static_cast<size_t>(i);
    const bool last = i + 1 == count;
    symbols[at] = {byte_ids_[static_cast<unsigned char>(word[at])], i - 1, last ? -1 : i + 1,
                   last ? kNoRank : byte_pair_rank(word[at], word[at + 1])};
    if (symbols[at].rank != kNoRank) next_generation.push_back(uint64_t{symbols[at].rank} << 32 | at);
  }
  while (!next_generation.empty()) {
    generation.swap(next_generation);
    next_generation.clear();
    std::erase_if(generation, [&](uint64_t pair) { return symbols[pair & 0xFFFFFFFF].rank != pair >> 32; });
    if (generation.empty()) break;
    sort_pairs(&generation, &next_generation);
    const auto wait = [&](uint64_t pair) {
      if (pair > generation.back()) return next_generation.push_back(pair);
      heap.push_back(pair);
      std::push_heap(heap.begin(), heap.end(), std::greater<>());
    };
    for (size_t next = 0; next < generation.size() || !heap.empty();) {
      if (heap.empty() || (next < generation.size() && generation[next] < heap.front())) {
        join_long(generation[next++], symbols, wait);
      } else {
        std::pop_heap(heap.begin(), heap.end(), std::greater<>());
        const uint64_t pair = heap.back();
        heap.pop_back();
        join_long(pair, symbols, wait);
      }
    }
  }
  for (int32_t i = 0; i >= 0; i = symbols[static_cast<size_t>(i)].next)
    out->push_back(symbols[static_cast<size_t>(i)].id);
}

}  // namespace bantam::text
