// What integer attention prepares per call and page, whatever multiplies: queries as int8, a page's scales as floats,
// the fetching of the next page. Included after attention.inl.h; used by attention_codes.inl.h and attention_amx.cpp.

// The queries of one call as int8, 32 dimensions per scale.
struct CodedQueries {
  int64_t blocks;       // Dh / 32
  int8_t* codes;        // [rows, Dh]
  float* scale;         // [rows, blocks]
  int32_t* correction;  // [rows, blocks]: -offset * sum of codes
};

// Fetches the next page while this one is worked on, a few lines per step of every stage in proportion to the stage's
// time (four rows of Dh 128: 16 + 64 + 64 + 128 lines of q8_0's 272), so that reading goes on at an even pace: a core
// has few line buffers, and a burst of fetches stops the work that was to hide it.
struct Fetch {
  const std::byte* at;
  const std::byte* end;

  template <int kLines>
  BANTAM_INLINE void step() {
    if (at >= end) return;
#pragma GCC unroll 4
    for (int i = 0; i < kLines; ++i) __builtin_prefetch(at + 64 * i, 0, 2);
    at += 64 * kLines;
  }
  // The next kLines lines, which the caller fetches between its products; past the end the line behind it, again and
  // again: cheaper than a test in the loop of products.
  template <int kLines>
  BANTAM_INLINE const std::byte* take() {
    const std::byte* const lines = at;
    at += at < end ? 64 * kLines : 0;
    return lines;
  }
};

// What the rows of a call share in one page.
struct CodedPage {
  const uint8_t* keys;
  const uint8_t* values;
  const float* key_scale;     // [blocks, 64]
  const float* value_scale;   // [blocks, 64]
  const float* value_weight;  // [blocks, 64]: value_scale * (32767 / largest), over all 64 slots
  const float* largest;       // [blocks]: the largest |value_scale| * (1 / 32767)
};

constexpr int64_t kMaxKvBlocks = kMaxHeadDim / kKvBlock;
constexpr float kProbability = 32767.0f;

template <bool kNibbles>
CodedQueries code_queries(const Walk& w, std::byte* memory) {
  const int64_t dh = w.run.head_dim, blocks = dh / kKvBlock;
  CodedQueries q{blocks, reinterpret_cast<int8_t*>(memory), reinterpret_cast<float*>(memory + w.rows * dh), nullptr};
  q.correction = reinterpret_cast<int32_t*>(q.scale + w.rows * blocks);
  for (int64_t row = 0; row < w.rows; ++row) {
    for (int64_t b = 0; b < blocks; ++b) {
      const float* x = w.query[row] + b * kKvBlock;
      const Vec low = Vec::load(x), high = Vec::load(x + 16), zero = Vec::zero();
      const float peak = max_tree(max(max(low, negate(low)), max(high, negate(high))));
      const float invalid = sum_tree(low * zero + high * zero);  // NaN where anything is not finite
      const bool empty = !(peak > 0x1p-118f);
      const Vec inverse = Vec::all(empty ? 0.0f : 127.0f / peak);
      alignas(64) int16_t wide[kKvBlock];
      (low * inverse).store_rounded(wide);
      (high * inverse).store_rounded(wide + 16);
      int32_t sum = 0;
      for (int64_t i = 0; i < kKvBlock; ++i) {
        q.codes[row * dh + b * kKvBlock + i] = static_cast<int8_t>(wide[i]);
        sum += static_cast<int8_t>(wide[i]);
      }
      q.scale[row * blocks + b] = (empty ? 0.0f : peak / 127.0f) + invalid;
      q.correction[row * blocks + b] = -(kNibbles ? 8 : 128) * sum;
    }
  }
  return q;
}

inline float largest_size(const Vec* v) {
  Vec most = Vec::zero();
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) most = max(most, max(v[i], negate(v[i])));
  return max_tree(most);
}

// The page's scales as floats, and the weights of rows that see all of it. memory: [3, blocks, 64] + [blocks].
template <bool kNibbles>
CodedPage open_page(const std::byte* head, int64_t head_dim, Fetch& fetch, float* memory) {
  const KvPlanes planes = kv_planes(kNibbles ? DType::kQ4_0 : DType::kQ8_0, head_dim);
  const int64_t blocks = head_dim / kKvBlock, count = blocks * kPageTok;
  float *key_scale = memory, *value_scale = memory + count, *weight = memory + 2 * count, *largest = memory + 3 * count;
  const auto* keys = reinterpret_cast<const uint16_t*>(head + planes.key_scales);
  const auto* values = reinterpret_cast<const uint16_t*>(head + planes.value_scales);
  for (int64_t i = 0; i < count; i += 16) {
    fetch.step<1>();
    Vec::load(keys + i).store(key_scale + i);
  }
  for (int64_t b = 0; b < blocks; ++b) {
    Vec v[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) v[i] = Vec::load(values + b * kPageTok + 16 * i);
    const float most = largest_size(v);
    const Vec stretch = Vec::all(most > 0 ? kProbability / most : 0.0f);
    largest[b] = most * (1 / kProbability);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      v[i].store(value_scale + b * kPageTok + 16 * i);
      (v[i] * stretch).store(weight + b * kPageTok + 16 * i);
    }
  }
  return {reinterpret_cast<const uint8_t*>(head),
          reinterpret_cast<const uint8_t*>(head + planes.values),
          key_scale,
          value_scale,
          weight,
          largest};
}
