// The pipeline of matrix-tile products: what a unit is, how units are unpacked, multiplied and scaled. Included inside
// the anonymous namespace and target region of linear_amx.cpp, whose banner says how the units of a core overlap.
//
// A unit is what has one scale, a block of 32 k or half of one, of a pair of row tiles for 16 tokens (or 8, when there
// are no more); a run is up to kRunUnits of them. While a run is multiplied, the sums of the one before are scaled and
// added.

constexpr int kPairTiles = 2;        // row tiles worked on together: they share A and d
constexpr int kRunUnits = 4;         // units whose sums are scaled together
constexpr int64_t kPanelBlocks = 8;  // of a panel when there are many tokens; with few a panel is one run
constexpr int64_t kTotalsStride = kPairTiles * kTileRows;
// With few tokens the pairs of tiles that are streamed in turns: linear_fast.inl.h's kStreams.
constexpr int64_t kTurnPairs = 2, kFewTokenTiles = 5;
constexpr int64_t kStreamedTokens = 64;  // from here on outputs are stored past the caches

template <DType T>
constexpr int kUnits = packed_format(T).halves();  // of a block
template <DType T>
constexpr int kRunBlocks = kRunUnits / kUnits<T>;

// One unit of two tiles. codes: signed bytes, 16 rows x 4 k a line.
template <DType T>
struct PanelUnit {
  alignas(64) int8_t codes[kPairTiles][8 / kUnits<T>][64];
  float scale[kPairTiles][kTileRows], shift[kPairTiles][kTileRows];
  float add[packed_format(T).has_add() ? kPairTiles : 1][kTileRows];
};

// Sums of one run: [unit][tile][token][row].
struct Sums {
  alignas(64) int32_t h[kRunUnits][kPairTiles][kTileTokens][kTileRows];
};

// What a call lays out in its scratch. Totals of pair p's token tile m: totals[p * (few tiles) + m].
template <DType T>
struct Scratch {
  float totals[kLinearTokens][kTotalsStride];
  PanelUnit<T> panels[2][kPanelBlocks *
                         kUnits<T>];  // the one multiplied, and the one before: its last sums may wait for scaling
  Sums sums[2];
};

// What every sum starts from, all rows alike. (TILEZERO would need an addition per sum; moreover it makes products wait
// for one another, 52 cycles each, in some processes.)
alignas(64) constexpr int32_t kMagicLine[16] = {kMagicBits, kMagicBits, kMagicBits, kMagicBits, kMagicBits, kMagicBits,
                                                kMagicBits, kMagicBits, kMagicBits, kMagicBits, kMagicBits, kMagicBits,
                                                kMagicBits, kMagicBits, kMagicBits, kMagicBits};

constexpr int kHalfTokens = kTileTokens / 2, kQuarterTokens = kTileTokens / 4;

// Tile registers: 0..3 sums (even and odd units x two tiles), 4..5 activations of even and odd units, 6..7 codes.
// Halves: 8 or 16 tokens. units: of a block.
constexpr TileConfig tile_config(int halves, int units) {
  TileConfig c;
  for (int i = 0; i < 6; ++i) c.rows[i] = static_cast<uint8_t>(halves * kHalfTokens);
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
BANTAM_INLINE void store_codes(const uint8_t* planes, int place, PanelUnit<T>* out) {
  constexpr int lines = 8 / kUnits<T>;
  int8_t* line = out[G / lines].codes[place][G % lines];
  if constexpr (kPlainNibbles<T>) {
    i_store(line, signed_nibbles<T, G>(planes));
  } else {
    i_store(line, _mm512_sub_epi8(load_code<T, G>(planes), i_set8(kOffset<T>)));
  }
  if constexpr (G < 7) store_codes<T, G + 1>(planes, place, out);
}

// ahead: bytes from the block to what L1, and twice that to what L2 is to fetch; 0: nothing.
template <DType T>
BANTAM_INLINE void unpack_block(const uint8_t* tile, int64_t block, int place, int64_t ahead, PanelUnit<T>* out) {
  constexpr PackedFormat f = packed_format(T);
  const uint8_t *header = tile + f.header_at(block), *planes = tile + f.codes_at(block);
  if (ahead > 0) {
    prefetch_lines<f.code_bytes(), _MM_HINT_T1>(planes + 2 * ahead);
    prefetch_lines<f.code_bytes()>(planes + ahead);
  }
  store_codes<T>(planes, place, out);
  const BlockScales s = load_scales<T>(load_group<T>(header, 0), header, block % f.group_blocks(), 0);
  for (int h = 0; h < kUnits<T>; ++h) {
    f_store(out[h].scale[place], s.scale[h]);
    f_store(out[h].shift[place], shift_of(s.scale[h]));
    if constexpr (f.has_add()) f_store(out[h].add[place], s.add[h]);
  }
}

// Blocks [block, block + count) of a pair of tiles, of which the last may be missing. stride: blocks from one panel of
// the pair to the next. out: their units.
template <DType T>
void unpack_pair(const PackedMatrix& w, int64_t tile, int64_t tiles, int64_t block, int64_t count, int64_t stride,
                 PanelUnit<T>* out) {
  constexpr PackedFormat f = packed_format(T);
  const int64_t bytes = tile_bytes(T, w.cols);
  const int64_t ahead = stride > kRunBlocks<T> ? stride * f.group_bytes() / f.group_blocks() : 0;
  for (int64_t r = 0; r < kPairTiles; ++r) {
    const auto* from = reinterpret_cast<const uint8_t*>(w.data) + (tile + (r < tiles ? r : 0)) * bytes;
    for (int64_t i = 0; i < count; ++i) {
      unpack_block<T>(from, block + i, static_cast<int>(r), ahead, out + i * kUnits<T>);
    }
  }
  finish_stores();
}

// One run: up to kRunUnits units of a panel for one token tile.
template <DType T>
struct Run {
  int units = 0;
  const PanelUnit<T>* panel = nullptr;
  const ActTile* acts = nullptr;  // of its first unit's block
  float* totals = nullptr;
  Sums* sums = nullptr;
};

// Loads the operands of unit S, stores what sum register R of its pair holds, multiplies into that register.
template <DType T, int S>
BANTAM_INLINE void load_operands(const ActTile* acts, const PanelUnit<T>* panel) {
  const int8_t* q = acts[S / kUnits<T>].q[0] + S % kUnits<T> * (kBlock / kUnits<T>);
  if constexpr (S % 2 == 0) {
    _tile_loadd(4, q, kBlock);
  } else {
    _tile_loadd(5, q, kBlock);
  }
  _tile_loadd(6, panel[S].codes[0], 64);
  _tile_loadd(7, panel[S].codes[1], 64);
}
template <int S, int R>
BANTAM_INLINE void store_sums(Sums* sums, int unit) {
  auto* to = sums->h[unit][R];
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
BANTAM_INLINE void load_pair_scales(const PanelUnit<T>& unit, PairScales& s) {
#pragma GCC unroll 2
  for (int r = 0; r < kPairTiles; ++r) {
    s.scale[r] = f_load(unit.scale[r]);
    s.shift[r] = f_load(unit.shift[r]);
    if constexpr (packed_format(T).has_add()) s.add[r] = f_load(unit.add[r]);
  }
}

// total += unit `unit` of a run for kQuarterTokens tokens from token First of half Half on.
template <DType T, int Half, int First>
BANTAM_INLINE void scale_unit(const ActTile& a, const Sums& sums, int unit, const PairScales& s, Totals& total) {
  constexpr int token = Half * kHalfTokens + First;
#pragma GCC unroll 4
  for (int n = 0; n < kQuarterTokens; ++n) {
    const VF d = f_set(a.d[token + n]);
#pragma GCC unroll 2
    for (int r = 0; r < kPairTiles; ++r) {
      VF t = f_fma(f_from_bits(i_load(sums.h[unit][r][token + n])), s.scale[r], s.shift[r]);
      if constexpr (packed_format(T).has_add()) t = f_fma(f_set(a.sum[token + n]), s.add[r], t);
      total[First + n][r] = f_fma(t, d, total[First + n][r]);
    }
  }
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

// Step S of a full run with 16 tokens: multiplies unit S of the present run (acts, panel), having stored in `to`[unit]
// the sums that its registers hold, while two units of the run before (_b) are scaled for half of its tokens.
template <DType T, int S>
BANTAM_INLINE void step(const ActTile* acts, const PanelUnit<T>* panel, Sums* to, const ActTile* acts_b,
                        const PanelUnit<T>* panel_b, const Sums* sums_b, Totals& total) {
  constexpr int half = S / 2, u = S % 2 * 2, stored = (S + 2) % 4;
  PairScales s;
  load_operands<T, S>(acts, panel);
  load_pair_scales<T>(panel_b[u], s);
  scale_unit<T, half, 0>(acts_b[u / kUnits<T>], *sums_b, u, s, total);
  store_sums<S, 0>(to, stored);
  scale_unit<T, half, kQuarterTokens>(acts_b[u / kUnits<T>], *sums_b, u, s, total);
  store_sums<S, 1>(to, stored);
  load_pair_scales<T>(panel_b[u + 1], s);
  scale_unit<T, half, 0>(acts_b[(u + 1) / kUnits<T>], *sums_b, u + 1, s, total);
  multiply<S, 0>();
  scale_unit<T, half, kQuarterTokens>(acts_b[(u + 1) / kUnits<T>], *sums_b, u + 1, s, total);
  multiply<S, 1>();
}
// The same with 8 tokens: unit S of the run before is scaled.
template <DType T, int S>
BANTAM_INLINE void step_half(const ActTile* acts, const PanelUnit<T>* panel, Sums* to, const ActTile* acts_b,
                             const PanelUnit<T>* panel_b, const Sums* sums_b, Totals& total) {
  constexpr int stored = (S + 2) % 4;
  PairScales s;
  load_operands<T, S>(acts, panel);
  load_pair_scales<T>(panel_b[S], s);
  store_sums<S, 0>(to, stored);
  store_sums<S, 1>(to, stored);
  scale_unit<T, 0, 0>(acts_b[S / kUnits<T>], *sums_b, S, s, total);
  multiply<S, 0>();
  scale_unit<T, 0, kQuarterTokens>(acts_b[S / kUnits<T>], *sums_b, S, s, total);
  multiply<S, 1>();
}

// With few tokens: what L1 and L2 are to fetch of a pair of tiles, a run's bytes each. The fetches stand between the
// tile instructions of a run: in a burst they would hold up what is needed now.
struct Fetch {
  const uint8_t *near[kPairTiles], *far[kPairTiles];
};
template <DType T, int S>
BANTAM_INLINE void fetch_part(const Fetch& fetch) {
  constexpr PackedFormat f = packed_format(T);
  constexpr int bytes = (kRunBlocks<T> * f.group_bytes() / f.group_blocks() / 4 + 63) / 64 * 64;
#pragma GCC unroll 2
  for (int r = 0; r < kPairTiles; ++r) {
    prefetch_lines<bytes, _MM_HINT_T1>(fetch.far[r] + S * bytes);
    prefetch_lines<bytes>(fetch.near[r] + S * bytes);
  }
}

// Multiplies a full run while a full one before it is scaled. Pointers instead of Runs: what GCC reads through a
// reference it reads again after every tile instruction (10 % of time).
template <DType T, int Halves, bool Fetches>
__attribute__((noinline)) void advance_full(const ActTile* acts, const PanelUnit<T>* panel, Sums* sums,
                                            const ActTile* acts_b, const PanelUnit<T>* panel_b, Sums* sums_b,
                                            float* totals, const Fetch* fetch) {
  Totals total;
  load_totals(totals, total);
  if constexpr (Halves == 1) {
    if constexpr (Fetches) fetch_part<T, 0>(*fetch);
    step_half<T, 0>(acts, panel, sums_b, acts_b, panel_b, sums_b, total);
    if constexpr (Fetches) fetch_part<T, 1>(*fetch);
    step_half<T, 1>(acts, panel, sums_b, acts_b, panel_b, sums_b, total);
    if constexpr (Fetches) fetch_part<T, 2>(*fetch);
    step_half<T, 2>(acts, panel, sums, acts_b, panel_b, sums_b, total);
    if constexpr (Fetches) fetch_part<T, 3>(*fetch);
    step_half<T, 3>(acts, panel, sums, acts_b, panel_b, sums_b, total);
  } else {
    if constexpr (Fetches) fetch_part<T, 0>(*fetch);
    step<T, 0>(acts, panel, sums_b, acts_b, panel_b, sums_b, total);
    if constexpr (Fetches) fetch_part<T, 1>(*fetch);
    step<T, 1>(acts, panel, sums_b, acts_b, panel_b, sums_b, total);
    save_totals(totals, total);
    totals += kHalfTokens * kTotalsStride;
    load_totals(totals, total);
    if constexpr (Fetches) fetch_part<T, 2>(*fetch);
    step<T, 2>(acts, panel, sums, acts_b, panel_b, sums_b, total);
    if constexpr (Fetches) fetch_part<T, 3>(*fetch);
    step<T, 3>(acts, panel, sums, acts_b, panel_b, sums_b, total);
  }
  save_totals(totals, total);
}

// Scales a whole run whose sums are all stored.
template <DType T, int Half>
void scale_half(const Run<T>& run) {
  Totals total;
  float* totals = run.totals + Half * kHalfTokens * kTotalsStride;
  load_totals(totals, total);
  for (int u = 0; u < run.units; ++u) {
    PairScales s;
    load_pair_scales<T>(run.panel[u], s);
    scale_unit<T, Half, 0>(run.acts[u / kUnits<T>], *run.sums, u, s, total);
    scale_unit<T, Half, kQuarterTokens>(run.acts[u / kUnits<T>], *run.sums, u, s, total);
  }
  save_totals(totals, total);
}

template <DType T, int S>
void multiply_unit(const Run<T>& run) {
  if (S >= run.units) return;
  if (S >= 2) {
    store_sums<S, 0>(run.sums, S - 2);
    store_sums<S, 1>(run.sums, S - 2);
  }
  load_operands<T, S>(run.acts, run.panel);
  multiply<S, 0>();
  multiply<S, 1>();
}

// A pipeline of runs: every run is multiplied while the one before is scaled.
template <DType T, int Halves>
struct Pipeline {
  Run<T> before;
  int buffer = 0;

  // fetch: or null
  void push(const Run<T>& now, const Fetch* fetch) {
    if (before.units == kRunUnits && now.units == kRunUnits) {
      const auto advance = fetch == nullptr ? advance_full<T, Halves, false> : advance_full<T, Halves, true>;
      advance(now.acts, now.panel, now.sums, before.acts, before.panel, before.sums, before.totals, fetch);
    } else {
      finish();
      multiply_unit<T, 0>(now);
      multiply_unit<T, 1>(now);
      multiply_unit<T, 2>(now);
      multiply_unit<T, 3>(now);
    }
    before = now;
    buffer ^= 1;
  }
  // Scales what is still in the registers and in before.sums.
  void finish() {
    if (before.units == 0) return;
    const int last = before.units - 1, even = last & ~1, odd = (last - 1) | 1;
    store_sums<0, 0>(before.sums, even);
    store_sums<0, 1>(before.sums, even);
    if (last > 0) {
      store_sums<1, 0>(before.sums, odd);
      store_sums<1, 1>(before.sums, odd);
    }
    finish_stores();
    scale_half<T, 0>(before);
    if constexpr (Halves == 2) scale_half<T, 1>(before);
    before.units = 0;
  }
};
