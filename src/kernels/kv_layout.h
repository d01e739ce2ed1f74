// How keys and values lie in memory: pages of 64 tokens, head-major. Each KV head of a page owns one contiguous run,
// keys before values; pages come in groups of 16 consecutive ids, and within a group one head's runs lie one after
// another. Attention walks a head's pages, and one stream of 16 runs is read at full speed where 17 or 32 KB at a time
// are not (one Xeon core, integer work between: 16.8 against 10.9 GB/s); a whole pool per head would be no faster but
// touch a huge page per head and layer for the first token. Keys are transposed: 64 tokens side by side, so a query's
// scores need no horizontal sums and every score is one lane summed over Dh in order on every CPU.
//
//   f16, f32    keys [Dh][64], values [64][Dh]
//   q8_0        key codes [Dh / 4][64][4]: 4 dimensions of a token are one lane of an integer dot; value codes
//               [64 / 2][Dh][2]: 2 tokens of a dimension likewise; then key scales and value scales, each
//               [Dh / 32][64] f16. Key codes are unsigned (code + 128, the operand of vpdpbusd), value codes signed.
//   q4_0        the same with two codes per byte, unsigned (code + 8): key byte (g, t, i) holds dimension 8 g + i low
//               and 8 g + 4 + i high; value byte (pair, block of 32, i < 16, t) dimension i low and 16 + i high. A byte
//               belongs to one token, so storing a token never touches another's bits.
//
// A scale covers 32 dimensions of one token, as in the weight formats of the same names (the same bytes): a token is
// stored for good when it comes (a scale over several tokens would change codes already there), keys have outlying
// dimensions that one scale per token would let drown the others, and [block][token] lines scales up with the lanes of
// scores and of probabilities. docs/numerics.md has the products.
// Shared by kernels, ops, model and engine as plain data; whoever allocates pages (engine, tests) owns the memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "tensor/dtype.h"

namespace bantam::kernels {

inline constexpr int64_t kPageTok = 64;
inline constexpr int64_t kGroupPages = 16;

inline constexpr int64_t kKvBlock = 32;  // dimensions per scale of q8_0 and q4_0

inline constexpr bool kv_is_quant(DType t) {
  return t == DType::kQ8_0 || t == DType::kQ4_0;
}
// Whether pages of this type exist for this head dimension.
inline constexpr bool kv_supports(DType t, int64_t head_dim) {
  return t == DType::kF16 || t == DType::kF32 || (kv_is_quant(t) && head_dim % kKvBlock == 0);
}

// Byte offsets within one head's run in one page; scales of q8_0 and q4_0 only.
struct KvPlanes {
  int64_t keys, values, key_scales, value_scales;
};
inline constexpr KvPlanes kv_planes(DType t, int64_t head_dim) {
  const int64_t scales = head_dim / kKvBlock * kPageTok * 2;
  const int64_t codes = t == DType::kQ4_0 ? kPageTok * head_dim / 2
                                          : kPageTok * head_dim *
                                                (t == DType::kF32   ? 4
                                                 : t == DType::kF16 ? 2
                                                                    : 1);
  return {0, codes, 2 * codes, 2 * codes + scales};
}

struct KvLayout {
  DType dtype = DType::kF16;  // f16, f32, q8_0, q4_0: kv_supports()
  int64_t layers = 0, kv_heads = 0, head_dim = 0;

  int64_t head_bytes() const { return row_bytes(dtype, 2 * kPageTok * head_dim); }  // K then V of one head in one page
  int64_t page_bytes() const { return kv_heads * head_bytes(); }                    // one page of one layer, all heads
  int64_t token_bytes() const { return layers * page_bytes() / kPageTok; }          // all layers
};

// Pages of all layers: [layers][groups of 16 page ids][kv_heads][16] runs of head_bytes(); the last group may be short.
// Slots not yet written hold finite bytes (pages are zeroed when first allocated).
struct KvView {
  KvLayout layout;
  std::byte* base = nullptr;
  int64_t pages = 0;                    // pages per layer
  std::span<const int32_t> page_table;  // concatenated tables; Segment::page_begin points into it

  // One head's run in page `id`.
  std::byte* run(int64_t layer, int64_t head, int64_t id) const {
    const int64_t group = id / kGroupPages * kGroupPages, size = std::min(kGroupPages, pages - group);
    return base + ((layer * pages + group) * layout.kv_heads + head * size + id - group) * layout.head_bytes();
  }
};

// A run of consecutive tokens of one sequence inside a batch. A query sees all keys of its ancestors at positions
// below start_pos and its own segment causally.
struct Segment {
  int32_t first_token = 0;  // index of its first token in the batch
  int32_t length = 0;       // tokens
  int32_t parent = -1;      // earlier segment of this batch whose keys it sees below start_pos; -1: only its pages
  int32_t start_pos = 0;    // position of its first token
  int32_t page_begin = 0;   // page_table[page_begin + pos / 64] holds position pos. Pages wholly below start_pos may be
                            // shared; the page that holds start_pos is the segment's own. When parent >= 0, the slots
                            // of that page below start_pos are copied from the parent's page by ops::kv_store.
};

}  // namespace bantam::kernels
