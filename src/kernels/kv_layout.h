// How keys and values lie in memory: pages of 64 tokens, head-major. Within a page each KV head owns one contiguous
// run: its keys transposed, K[Dh][64], then its values, V[64][Dh]. Transposed keys put 64 tokens side by side, so a
// query's scores need no horizontal sums and every score is one lane summed over Dh in order on every CPU.
// Shared by kernels, ops, model and engine as plain data; whoever allocates pages (engine, tests) owns the memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tensor/dtype.h"

namespace bantam::kernels {

inline constexpr int64_t kPageTok = 64;

struct KvLayout {
  DType dtype = DType::kF16;  // kF16 or kF32
  int64_t layers = 0, kv_heads = 0, head_dim = 0;

  int64_t head_bytes() const { return row_bytes(dtype, 2 * kPageTok * head_dim); }  // K then V of one head in one page
  int64_t page_bytes() const { return kv_heads * head_bytes(); }                    // one page of one layer
  int64_t token_bytes() const { return layers * page_bytes() / kPageTok; }          // all layers
};

// Pages of all layers. Page p of layer l starts at base + (l * pages + p) * page_bytes().
// Slots not yet written hold finite bytes (pages are zeroed when first allocated).
struct KvView {
  KvLayout layout;
  std::byte* base = nullptr;
  int64_t pages = 0;                    // pages per layer
  std::span<const int32_t> page_table;  // concatenated tables; Segment::page_begin points into it

  std::byte* page(int64_t layer, int64_t id) const { return base + (layer * pages + id) * layout.page_bytes(); }
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
