// The pipeline of matrix-tile products: what a unit is, how units are unpacked, multiplied and scaled. Included inside
// the anonymous namespace and target region of linear_amx.cpp, whose banner says how the units of a core overlap.
//
// A unit is what has one scale, a block of 32 k or half of one, of a pair of row tiles for 16 tokens; a run is up to
// kRunUnits of them. While a run is multiplied, the sums of the one before are scaled and added. A panel is up to
// kPanelBlocks blocks of the pair, unpacked, which all token tiles pass. Its codes lie in one place and sums in
// three halves of runs, so that with a token tile's activations, the next one's and its totals they fit L1 (48 KiB).

constexpr int kPairTiles = 2;        // row tiles worked on together: they share A and d
constexpr int kRunUnits = 4;         // units whose sums are scaled together
constexpr int64_t kPanelBlocks = 8;  // of a panel when there are many tokens; with few a panel is one run
constexpr int64_t kTotalsStride = kPairTiles * kTileRows;
// With few tokens the pairs of tiles that are streamed in turns: linear_stream.inl.h's kStreams.
constexpr int64_t kTurnPairs = 2, kFewTokenTiles = 4;
constexpr int64_t kStreamedTokens = 64;  // from here on outputs are stored past the caches

template <DType T>
constexpr int kUnits = packed_format(T).halves();  // of a block
template <DType T>
constexpr int kRunBlocks = kRunUnits / kUnits<T>;

// One unit of two tiles. codes: signed bytes, 16 rows x 4 k a line.
template <DType T>
struct PanelCodes {
  alignas(64) int8_t line[kPairTiles][8 / kUnits<T>][64];
};
template <DType T>
struct PanelScales {
  alignas(64) float scale[kPairTiles][kTileRows];
  float shift[kPairTiles][kTileRows];
  float add[packed_format(T).has_add() ? kPairTiles : 1][kTileRows];
};

// Sums of half a run: [unit][tile][token][row].
constexpr int kSumUnits = kRunUnits / 2;
struct Sums {
  alignas(64) int32_t h[kSumUnits][kPairTiles][kTileTokens][kTileRows];
};

// What a call lays out in its scratch. Totals of pair p's token tile m: totals[p * (token tiles) + m].
template <DType T>
struct Scratch {
  PanelCodes<T> codes[kPanelBlocks * kUnits<T>];
  Sums sums[3];                                        // both halves of the run before, the first of the present one
  PanelScales<T> scales[2][kPanelBlocks * kUnits<T>];  // of the panel multiplied, and of its predecessor's last run
  float totals[kLinearTokens][kTotalsStride];
};

// What every sum starts from, all rows alike. (TILEZERO would need an addition per sum; moreover it makes products wait
// for one another, 52 cycles each, in some processes.)
alignas(64) constexpr int32_t kMagicLine[16] = {kMagicBits, kMagicBits, kMagicBits, kMagicBits, kMagicBits, kMagicBits,
                                                kMagicBits, kMagicBits, kMagicBits, kMagicBits, kMagicBits, kMagicBits,
                                                kMagicBits, kMagicBits, kMagicBits, kMagicBits};

constexpr int kHalfTokens = kTileTokens / 2, kQuarterTokens = kTileTokens / 4;

// Tile registers: 0..3 sums (even and odd units x two tiles), 4..5 activations of even and odd units, 6..7 codes.
// units: of a block.
constexpr TileConfig tile_config(int units) {
  TileConfig c;
  for (int i = 0; i < 6; ++i) c.rows[i] = kTileTokens;
  for (int i = 4; i < 6; ++i) c.row_bytes[i] = static_cast<uint16_t>(kBlock / units);
  for (int i = 6; i < 8; ++i) c.rows[i] = static_cast<uint8_t>(8 / units);
  return c;
}

// Tile instructions are volatile assembly whose memory operands GCC 12 does not know: keeps stores before loads.
BANTAM_INLINE void finish_stores() {
  __asm__ volatile("" ::: "memory");
}

// Signed codes of group G of a type that is nibbles alone: the affine instruction moves a nibble's bits, and takes 8
// off it (the top bit, inverted, fills what is above), in one step.
template <DType T, int G>
BANTAM_INLINE VI signed_nibbles(const uint8_t* planes) {
  constexpr bool offset = packed_format(T).offset == 8;
  constexpr int64_t top = offset ? 0x08080808 : 0, low = 0x0102040800000000 | top;
  const __m512i matrix = _mm512_set1_epi64(G < 4 ? low : static_cast<int64_t>(static_cast<uint64_t>(low) << 4));
  return _mm512_gf2p8affine_epi64_epi8(i_load(planes + 64 * (G % 4)), matrix, offset ? 0xF8 : 0);
}
template <DType T>
constexpr bool kPlainNibbles = packed_format(T).nibbles&& packed_format(T).bits == 4;
// out: the block's units.
template <DType T, int G = 0>
BANTAM_INLINE void store_codes(const uint8_t* planes, int place, PanelCodes<T>* out) {
  constexpr int lines = 8 / kUnits<T>;
  int8_t* line = out[G / lines].line[place][G % lines];
  if constexpr (kPlainNibbles<T>) {
    i_store(line, signed_nibbles<T, G>(planes));
  } else {
    i_store(line, _mm512_sub_epi8(load_code<T, G>(planes), i_set8(kOffset<T>)));
  }
  if constexpr (G < 7) store_codes<T, G + 1>(planes, place, out);
}

template <DType T>
BANTAM_INLINE void unpack_block(const uint8_t* tile, int64_t block, int place, PanelCodes<T>* codes,
                                PanelScales<T>* scales) {
  constexpr PackedFormat f = packed_format(T);
  const uint8_t* header = tile + f.header_at(block);
  store_codes<T>(tile + f.codes_at(block), place, codes);
  const BlockScales s = load_scales<T>(load_group<T>(header, 0), header, block % f.group_blocks(), 0);
  for (int h = 0; h < kUnits<T>; ++h) {
    f_store(scales[h].scale[place], s.scale[h]);
    f_store(scales[h].shift[place], shift_of(s.scale[h]));
    if constexpr (f.has_add()) f_store(scales[h].add[place], s.add[h]);
  }
}

// Blocks [block, block + count) of a pair of tiles, of which the last may be missing.
template <DType T>
void unpack_pair(const PackedMatrix& w, int64_t tile, int64_t tiles, int64_t block, int64_t count, PanelCodes<T>* codes,
                 PanelScales<T>* scales) {
  const int64_t bytes = tile_bytes(T, w.cols);
  for (int64_t r = 0; r < kPairTiles; ++r) {
    const auto* from = reinterpret_cast<const uint8_t*>(w.data) + (tile + (r < tiles ? r : 0)) * bytes;
    for (int64_t i = 0; i < count; ++i) {
      unpack_block<T>(from, block + i, static_cast<int>(r), codes + i * kUnits<T>, scales + i * kUnits<T>);
    }
  }
  finish_stores();
}

// Loads the operands of unit S, stores what sum register R of its pair holds, multiplies into that register.
template <DType T, int S>
BANTAM_INLINE void load_operands(const ActTile* acts, const PanelCodes<T>* codes) {
  const int8_t* q = acts[S / kUnits<T>].q[0] + S % kUnits<T> * (kBlock / kUnits<T>);
  if constexpr (S % 2 == 0) {
    _tile_loadd(4, q, kBlock);
  } else {
    _tile_loadd(5, q, kBlock);
  }
  _tile_loadd(6, codes[S].line[0], 64);
  _tile_loadd(7, codes[S].line[1], 64);
}
template <int S, int R>
BANTAM_INLINE void store_sums(Sums* sums, int unit) {
  auto* to = sums->h[unit % kSumUnits][R];
  if constexpr (S % 2 == 0 && R == 0) _tile_stored(0, to, 64);
  if constexpr (S % 2 == 0 && R == 1) _tile_stored(1, to, 64);
  if constexpr (S % 2 == 1 && R == 0) _tile_stored(2, to, 64);
  if constexpr (S % 2 == 1 && R == 1) _tile_stored(3, to, 64);
}
template <int S, int R>
BANTAM_INLINE void multiply() {
  if constexpr (S % 2 == 0 && R == 0) {
    _tile_loadd(0, kMagicLine, 0);
    _tile_dpbssd(0, 4, 6);
  } else if constexpr (S % 2 == 0) {
    _tile_loadd(1, kMagicLine, 0);
    _tile_dpbssd(1, 4, 7);
  } else if constexpr (R == 0) {
    _tile_loadd(2, kMagicLine, 0);
    _tile_dpbssd(2, 5, 6);
  } else {
    _tile_loadd(3, kMagicLine, 0);
    _tile_dpbssd(3, 5, 7);
  }
}

using Totals = VF[kHalfTokens][kPairTiles];

struct PairScales {
  VF scale[kPairTiles], shift[kPairTiles], add[kPairTiles];
};
template <DType T>
BANTAM_INLINE void load_pair_scales(const PanelScales<T>& unit, PairScales& s) {
#pragma GCC unroll 2
  for (int r = 0; r < kPairTiles; ++r) {
    s.scale[r] = f_load(unit.scale[r]);
    s.shift[r] = f_load(unit.shift[r]);
    if constexpr (packed_format(T).has_add()) s.add[r] = f_load(unit.add[r]);
  }
}

// Four tokens' values in each quarter of a vector, and one of them in every lane: permutes run on port 5, whereas the
// load ports, which broadcasts of single values would take, are as busy as port 0.
BANTAM_INLINE VF load_four(const float* from) {
  return _mm512_broadcast_f32x4(_mm_load_ps(from));
}
template <int N>
BANTAM_INLINE VF spread(VF four) {
  return _mm512_permute_ps(four, N * 0x55);
}

// total += unit `unit` of a run for kQuarterTokens tokens, from the N-th on, that start with token First of half Half.
// d, sum: those of the tokens.
template <DType T, int Half, int First, int N = 0>
BANTAM_INLINE void scale_tokens(VF d, VF sum, const Sums& sums, int unit, const PairScales& s, Totals& total) {
#pragma GCC unroll 2
  for (int r = 0; r < kPairTiles; ++r) {
    const int32_t* h = sums.h[unit % kSumUnits][r][Half * kHalfTokens + First + N];
    VF t = f_fma(f_from_bits(i_load(h)), s.scale[r], s.shift[r]);
    if constexpr (packed_format(T).has_add()) t = f_fma(spread<N>(sum), s.add[r], t);
    total[First + N][r] = f_fma(t, spread<N>(d), total[First + N][r]);
  }
  if constexpr (N + 1 < kQuarterTokens) scale_tokens<T, Half, First, N + 1>(d, sum, sums, unit, s, total);
}
template <DType T, int Half, int First>
BANTAM_INLINE void scale_unit(const ActTile& a, const Sums& sums, int unit, const PairScales& s, Totals& total) {
  static_assert(kQuarterTokens == 4);
  constexpr int token = Half * kHalfTokens + First;
  const VF d = load_four(a.d + token), sum = packed_format(T).has_add() ? load_four(a.sum + token) : d;
  scale_tokens<T, Half, First>(d, sum, sums, unit, s, total);
}

BANTAM_INLINE void load_totals(const float* from, Totals& total) {
#pragma GCC unroll 8
  for (int n = 0; n < kHalfTokens; ++n) {
#pragma GCC unroll 2
    for (int r = 0; r < kPairTiles; ++r) total[n][r] = f_load(from + n * kTotalsStride + r * kTileRows);
  }
}
BANTAM_INLINE void save_totals(float* to, const Totals& total) {
#pragma GCC unroll 8
  for (int n = 0; n < kHalfTokens; ++n) {
#pragma GCC unroll 2
    for (int r = 0; r < kPairTiles; ++r) f_store(to + n * kTotalsStride + r * kTileRows, total[n][r]);
  }
}

// With many tokens: has L1 fetch what unit S of the next run reads of its activations (codes and scales; sums of codes
// few types read), in two parts. They come from L2 and would hold up the tile loads.
constexpr int kActLines = offsetof(ActTile, sum) / 64;
template <DType T, int S, int Part>
BANTAM_INLINE void fetch_acts(const ActTile* next) {
  constexpr int lines = (kActLines + 1) / 2 / kUnits<T>, first = (S % kUnits<T> * 2 + Part) * lines;
  const auto* from = reinterpret_cast<const uint8_t*>(next + S / kUnits<T>) + first * 64;
  prefetch_lines<(first + lines > kActLines ? kActLines - first : lines) * 64>(from);
}

// Step S of a full run: multiplies unit S of the present run (acts, codes), having stored in `to` the sums that its
// registers hold, while two units of the run before (_b) are scaled for half of its tokens. next: the next run's acts.
template <DType T, int S, bool Many>
BANTAM_INLINE void step(const ActTile* acts, const PanelCodes<T>* codes, Sums* to, const ActTile* acts_b,
                        const PanelScales<T>* scales_b, const Sums* sums_b, Totals& total, const ActTile* next) {
  constexpr int half = S / 2, u = S % 2 * 2, stored = (S + 2) % 4;
  PairScales s;
  load_operands<T, S>(acts, codes);
  load_pair_scales<T>(scales_b[u], s);
  if constexpr (Many) fetch_acts<T, S, 0>(next);
  scale_unit<T, half, 0>(acts_b[u / kUnits<T>], *sums_b, u, s, total);
  store_sums<S, 0>(to, stored);
  scale_unit<T, half, kQuarterTokens>(acts_b[u / kUnits<T>], *sums_b, u, s, total);
  store_sums<S, 1>(to, stored);
  load_pair_scales<T>(scales_b[u + 1], s);
  if constexpr (Many) fetch_acts<T, S, 1>(next);
  scale_unit<T, half, 0>(acts_b[(u + 1) / kUnits<T>], *sums_b, u + 1, s, total);
  multiply<S, 0>();
  scale_unit<T, half, kQuarterTokens>(acts_b[(u + 1) / kUnits<T>], *sums_b, u + 1, s, total);
  multiply<S, 1>();
}

// The weights that come after a panel; L2 fetches a few lines of them with each step while the panel is multiplied. (A
// burst, before or after a panel, would hold up what is needed now: q8_0's 136 lines took 2 us.)
struct Fetch {
  const uint8_t* from[kPairTiles];
  int64_t lines = 0;   // of each tile
  int64_t a_step = 0;  // of them with each step
};
BANTAM_INLINE void fetch_step(const uint8_t*& tile0, const uint8_t*& tile1, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64) {
    _mm_prefetch(tile0 + i, _MM_HINT_T1);
    _mm_prefetch(tile1 + i, _MM_HINT_T1);
  }
  tile0 += bytes, tile1 += bytes;
}

// A panel, and the token tiles that pass it.
template <DType T>
struct Panel {
  const PanelCodes<T>* codes;
  const PanelScales<T>* scales;
  int64_t units;
  const ActTile* acts;  // of the first token tile, the panel's first block
  int64_t acts_stride;
  float* totals;
  int64_t token_tiles;
};

// The run before: its sums are still to be scaled, those of its last two units still to be stored.
template <DType T>
struct Run {
  int units = 0;
  const PanelScales<T>* scales = nullptr;
  const ActTile* acts = nullptr;
  float* totals = nullptr;
  Sums *low = nullptr, *high = nullptr;  // of its first and of its last units
  Sums* next = nullptr;                  // free for the next run
};

template <DType T, int S>
BANTAM_INLINE void multiply_unit(const ActTile* acts, const PanelCodes<T>* codes, int units, Sums* low) {
  if (S >= units) return;
  if (S >= 2) {
    store_sums<S, 0>(low, S - 2);
    store_sums<S, 1>(low, S - 2);
  }
  load_operands<T, S>(acts, codes);
  multiply<S, 0>();
  multiply<S, 1>();
}

// Scales a whole run whose sums are all stored.
template <DType T, int Half>
void scale_half(const Run<T>& run) {
  Totals total;
  float* totals = run.totals + Half * kHalfTokens * kTotalsStride;
  load_totals(totals, total);
  for (int u = 0; u < run.units; ++u) {
    PairScales s;
    load_pair_scales<T>(run.scales[u], s);
    const Sums& sums = u < kSumUnits ? *run.low : *run.high;
    scale_unit<T, Half, 0>(run.acts[u / kUnits<T>], sums, u, s, total);
    scale_unit<T, Half, kQuarterTokens>(run.acts[u / kUnits<T>], sums, u, s, total);
  }
  save_totals(totals, total);
}

// Scales what of a run is still in the registers and in its sums.
template <DType T>
void finish(Run<T>& run) {
  if (run.units == 0) return;
  const int last = run.units - 1, even = last & ~1, odd = (last - 1) | 1;
  store_sums<0, 0>(even < kSumUnits ? run.low : run.high, even);
  store_sums<0, 1>(even < kSumUnits ? run.low : run.high, even);
  if (last > 0) {
    store_sums<1, 0>(odd < kSumUnits ? run.low : run.high, odd);
    store_sums<1, 1>(odd < kSumUnits ? run.low : run.high, odd);
  }
  finish_stores();
  scale_half<T, 0>(run);
  scale_half<T, 1>(run);
  run.units = 0;
}

// Finishes the run before and multiplies one.
template <DType T>
void start(Run<T>& run, const PanelCodes<T>* codes, const PanelScales<T>* scales, int units, const ActTile* acts,
           float* totals) {
  finish(run);
  multiply_unit<T, 0>(acts, codes, units, run.low);
  multiply_unit<T, 1>(acts, codes, units, run.low);
  multiply_unit<T, 2>(acts, codes, units, run.low);
  multiply_unit<T, 3>(acts, codes, units, run.low);
  run.units = units, run.scales = scales, run.acts = acts, run.totals = totals;
}

// Multiplies a full run while the full one before it (_b) is scaled.
template <DType T, bool Many>
BANTAM_INLINE void advance(const ActTile* acts, const PanelCodes<T>* codes, Sums* low, const ActTile* acts_b,
                           const PanelScales<T>* scales_b, Sums* low_b, Sums* high_b, float* totals,
                           const ActTile* next, const uint8_t*& tile0, const uint8_t*& tile1, int64_t bytes) {
  Totals total;
  load_totals(totals, total);
  fetch_step(tile0, tile1, bytes);
  step<T, 0, Many>(acts, codes, high_b, acts_b, scales_b, low_b, total, next);
  fetch_step(tile0, tile1, bytes);
  step<T, 1, Many>(acts, codes, high_b, acts_b, scales_b, high_b, total, next);
  save_totals(totals, total);
  totals += kHalfTokens * kTotalsStride;
  load_totals(totals, total);
  fetch_step(tile0, tile1, bytes);
  step<T, 2, Many>(acts, codes, low, acts_b, scales_b, low_b, total, next);
  fetch_step(tile0, tile1, bytes);
  step<T, 3, Many>(acts, codes, low, acts_b, scales_b, high_b, total, next);
  save_totals(totals, total);
}

// The runs of a panel of full runs after a full one. started: the first of them is that one. Local variables: what GCC
// reads through a reference it reads again after every tile instruction (10 % of time), and a struct that is copied
// soon after its fields were written waits for them (10 % again).
template <DType T, bool Many>
__attribute__((noinline)) void walk(const Panel<T>& panel, const Fetch& fetch, Run<T>& run, bool started) {
  const PanelCodes<T>* const codes = panel.codes;
  const PanelScales<T>* const scales = panel.scales;
  const int64_t units = panel.units, row = panel.acts_stride - (units / kUnits<T> - kRunBlocks<T>);
  const ActTile *acts = panel.acts, *acts_b = run.acts, *const next_panel = acts + units / kUnits<T>;
  const PanelScales<T>* scales_b = run.scales;
  float *totals = panel.totals, *totals_b = run.totals;
  Sums *low_b = run.low, *high_b = run.high, *low = run.next;
  const uint8_t *tile0 = fetch.from[0], *tile1 = fetch.from[1];
  int64_t lines = fetch.lines, bytes = fetch.a_step * 64, u = 0;
  for (int64_t left = panel.token_tiles * (units / kRunUnits); left > 0; --left) {
    const bool last = u + kRunUnits == units;
    const ActTile* const next = left == 1 ? next_panel : acts + (last ? row : kRunBlocks<T>);
    if (!started) {
      advance<T, Many>(acts, codes + u, low, acts_b, scales_b, low_b, high_b, totals_b, next, tile0, tile1, bytes);
      Sums* const third = high_b;
      high_b = low_b, low_b = low, low = third;
      lines -= 4 * fetch.a_step;
      if (lines <= 0) bytes = 0;
    }
    started = false;
    acts_b = acts, scales_b = scales + u, totals_b = totals;
    acts = next;
    totals += last ? kTileTokens * kTotalsStride : 0;
    u = last ? 0 : u + kRunUnits;
  }
  run.scales = scales_b, run.acts = acts_b, run.totals = totals_b;
  run.low = low_b, run.high = high_b, run.next = low;
}

// Multiplies a panel with all token tiles.
template <DType T>
void multiply_panel(const Panel<T>& panel, bool many, const Fetch& fetch, Run<T>& run) {
  if (panel.units % kRunUnits == 0) {
    const bool starts = run.units != kRunUnits;
    if (starts) start<T>(run, panel.codes, panel.scales, kRunUnits, panel.acts, panel.totals);
    return many ? walk<T, true>(panel, fetch, run, starts) : walk<T, false>(panel, fetch, run, starts);
  }
  for (int64_t m = 0; m < panel.token_tiles; ++m) {
    for (int64_t u = 0; u < panel.units; u += kRunUnits) {
      const int64_t units = panel.units - u < kRunUnits ? panel.units - u : kRunUnits;
      start<T>(run, panel.codes + u, panel.scales + u, static_cast<int>(units),
               panel.acts + m * panel.acts_stride + u / kUnits<T>, panel.totals + m * kTileTokens * kTotalsStride);
    }
  }
}
