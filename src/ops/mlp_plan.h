// How the MLP is cut: tiles of gate and up that a worker computes together, and the memory for their products.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/packed.h"

namespace bantam::ops {

struct MlpPlan {
  int64_t group_tiles;   // of gate, and as many of up; even
  int64_t panel_floats;  // their products
  int64_t panel_bytes;   // per worker: the products, and activations of 16 tokens made of them
};

// Products that stay in L2 (1 MiB and more where AVX-512 is) beside the activations of 512 tokens.
inline constexpr int64_t kMlpPanelFloats = 64 * 1024;

// tiles: of a chunk.
inline MlpPlan plan_mlp(int64_t tokens, int64_t tiles) {
  constexpr int64_t pair = 2, floats = 2 * kernels::kTileRows;  // of a tile, per token
  const int64_t fit = kMlpPanelFloats / (floats * tokens) / pair * pair;
  const int64_t group = std::clamp(fit, pair, std::max(pair, tiles));
  const int64_t products = std::max(kMlpPanelFloats, pair * floats * tokens);
  return {group, products, (products + kMlpPanelFloats / 2) * static_cast<int64_t>(sizeof(float))};
}

}  // namespace bantam::ops
