// Writing keys and values into their pages, rotated just before if they aren't yet: a token's heads are in the cache
// then. Chunks are pieces of a segment within one page: no two write the same bytes. Copies for forked segments follow
// in segment order, so a grandchild sees what its parent copied.
#include <algorithm>
#include <cstring>

#include "ops/attention_shapes.h"

namespace bantam::ops {
namespace {

using kernels::kPageTok;
using kernels::Segment;

// Tokens of one piece: keys lie [Dh][64] in a page, and half of f16's or a quarter of q8_0's row is a cache line.
constexpr int64_t kPieceTok = 32;
static_assert(kPageTok % kPieceTok == 0);

// Pieces that a segment's own tokens touch; they begin at multiples of kPieceTok.
int64_t pieces_touched(const Segment& s) {
  if (s.length == 0) return 0;
  return (int64_t{s.start_pos} + s.length - 1) / kPieceTok - s.start_pos / kPieceTok + 1;
}

// Calls f(segment, first position, end) for every piece, on the pool.
template <class F>
void for_pieces(Context& ctx, std::span<const Segment> segments, const F& f) {
  int64_t most = 0;
  for (const Segment& s : segments) most = std::max(most, pieces_touched(s));
  const auto count = static_cast<int64_t>(segments.size());
  ctx.pool->parallel(count * most, [&](int64_t chunk, int) {
    const Segment& s = segments[static_cast<size_t>(chunk % count)];
    if (chunk / count >= pieces_touched(s)) return;
    const int64_t piece = s.start_pos / kPieceTok + chunk / count;
    f(s, std::max<int64_t>(s.start_pos, piece * kPieceTok),
      std::min<int64_t>(int64_t{s.start_pos} + s.length, (piece + 1) * kPieceTok));
  });
}

// Copies `slots` columns of elem_bytes from each of `rows` rows of 64.
void copy_columns(const std::byte* from, std::byte* to, int64_t rows, int64_t elem_bytes, int64_t slots) {
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t row = i * kPageTok * elem_bytes;
    std::memcpy(to + row, from + row, static_cast<size_t>(slots * elem_bytes));
  }
}

// Copies slots [0, slots) of one KV head's run (kv_layout.h).
void copy_slots(const kernels::KvLayout& layout, const std::byte* from, std::byte* to, int64_t slots) {
  const int64_t dh = layout.head_dim;
  const kernels::KvPlanes planes = kernels::kv_planes(layout.dtype, dh);
  const int64_t value_bytes = (planes.key_scales - planes.values) / kPageTok;  // per token, in every type
  if (!kernels::kv_is_quant(layout.dtype)) {
    copy_columns(from, to, dh, row_bytes(layout.dtype, 1), slots);
    std::memcpy(to + planes.values, from + planes.values, static_cast<size_t>(slots * value_bytes));
    return;
  }
  copy_columns(from, to, dh / (layout.dtype == DType::kQ4_0 ? 8 : 4), 4, slots);
  for (const int64_t scales : {planes.key_scales, planes.value_scales}) {
    copy_columns(from + scales, to + scales, dh / kernels::kKvBlock, 2, slots);
  }
  // Values are stored two tokens by two: whole pairs, then every other byte of a last half pair.
  const int64_t whole = slots / 2 * 2 * value_bytes;
  from += planes.values, to += planes.values;
  std::memcpy(to, from, static_cast<size_t>(whole));
  for (int64_t i = 0; slots % 2 != 0 && i < value_bytes; ++i) to[whole + 2 * i] = from[whole + 2 * i];
}

void copy_from_parents(Context& ctx, const kernels::KvView& kv, int64_t layer, std::span<const Segment> segments) {
  ctx.pool->parallel(kv.layout.kv_heads, [&](int64_t head, int) {
    for (const Segment& s : segments) {
      const int64_t slots = s.start_pos % kPageTok, page = s.start_pos / kPageTok;
      if (s.parent < 0 || slots == 0 || s.length == 0) continue;
      const Segment& parent = segments[static_cast<size_t>(s.parent)];
      const int32_t from = kv.page_table[static_cast<size_t>(parent.page_begin + page)];
      const int32_t to = kv.page_table[static_cast<size_t>(s.page_begin + page)];
      BANTAM_CHECK(from != to);
      copy_slots(kv.layout, kv.run(layer, head, from), kv.run(layer, head, to), slots);
    }
  });
}

// Writes positions [begin, end) of a segment, which lie in one page.
void store(Context& ctx, TensorView qkv, HeadShape heads, const kernels::KvView& kv, int64_t layer, const Segment& s,
           int64_t begin, int64_t end) {
  const int64_t dh = heads.head_dim;
  const float* token = qkv.row(s.first_token + begin - s.start_pos);
  const int32_t id = kv.page_table[static_cast<size_t>(s.page_begin + begin / kPageTok)];
  for (int64_t head = 0; head < heads.kv_heads; ++head) {
    const float* k = token + (heads.q_heads + head) * dh;
    ctx.table->rows.kv_store(k, k + heads.kv_heads * dh, qkv.shape[1], end - begin, begin % kPageTok, dh,
                             kv.layout.dtype, kv.run(layer, head, id));
  }
}

// Whether some segment has a parent whose page it shares.
bool any_forked(std::span<const Segment> segments) {
  bool forked = false;
  for (const Segment& s : segments) {
    if (s.parent < 0) continue;
    const Segment& parent = segments[static_cast<size_t>(s.parent)];
    BANTAM_CHECK(s.start_pos <= int64_t{parent.start_pos} + parent.length);
    forked = true;
  }
  return forked;
}

}  // namespace

void kv_store(Context& ctx, TensorView qkv, HeadShape heads, const kernels::KvView& kv, int64_t layer,
              std::span<const Segment> segments) {
  check_attention(qkv, heads, kv, layer, segments);
  const bool forked = any_forked(segments);
  for_pieces(ctx, segments,
             [&](const Segment& s, int64_t begin, int64_t end) { store(ctx, qkv, heads, kv, layer, s, begin, end); });
  if (forked) copy_from_parents(ctx, kv, layer, segments);
}

void rope_store(Context& ctx, TensorView qkv, const HeadNorms& norms, HeadShape heads, TensorView cos_sin,
                const kernels::KvView& kv, int64_t layer, std::span<const Segment> segments, TensorView out) {
  check_attention(qkv, heads, kv, layer, segments);
  BANTAM_CHECK(out.valid() && out.dtype == DType::kF32 && out.shape == qkv.shape && cos_sin.dtype == DType::kF32);
  BANTAM_CHECK(cos_sin.shape[0] == qkv.shape[0] && cos_sin.shape[1] == heads.head_dim);
  const bool forked = any_forked(segments);
  for_pieces(ctx, segments, [&](const Segment& s, int64_t begin, int64_t end) {
    for (int64_t position = begin; position < end; ++position) {
      const int64_t t = s.first_token + position - s.start_pos;
      ctx.table->rows.qk_norm_rope(qkv.row(t), norms.q, norms.k, heads.q_heads, heads.kv_heads, heads.head_dim,
                                   norms.eps, cos_sin.row(t), out.row(t));
    }
    store(ctx, out, heads, kv, layer, s, begin, end);
  });
  if (forked) copy_from_parents(ctx, kv, layer, segments);
}

}  // namespace bantam::ops
