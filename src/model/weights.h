// A model's weights in the form the kernels stream: every matrix packed once, every norm and bias widened to f32, all
// in one block of memory. Made by load_weights() or pack_weights(), then immutable: any number of forwards may read
// them at once. Move-only; shared by sessions through shared_ptr.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "formats/checkpoint.h"
#include "model/bind.h"
#include "model/config.h"
#include "ops/ops.h"
#include "tensor/storage.h"

namespace bantam::model {

struct LayerWeights {
  const float* attn_norm = nullptr;  // [D]
  ops::Linear q, k, v;               // [Hq Dh, D], [Hkv Dh, D] twice; with biases for Qwen2
  const float* q_norm = nullptr;     // [Dh], null for Qwen2
  const float* k_norm = nullptr;     // [Dh], null for Qwen2
  ops::Linear o;                     // [D, Hq Dh]
  const float* mlp_norm = nullptr;   // [D]
  ops::Linear gate, up;              // [F, D] each
  ops::Linear down;                  // [D, F]
};

struct Weights {
  Config config;
  kernels::PackedMatrix embed;  // [V, D]
  std::vector<LayerWeights> layers;
  const float* final_norm = nullptr;  // [D]
  ops::Linear lm_head;                // [V, D]; the embedding itself when tied
  int64_t source_bytes = 0;           // what the files hold
  int64_t packed_bytes = 0;           // what `storage` holds, before it is rounded up to whole pages
  Storage storage;                    // everything above points into it

  int64_t bytes() const { return storage.size_bytes(); }
};

// One tensor as for_each_tensor shows it: packed matrices and f32 vectors alike.
struct TensorInfo {
  Role role;
  int64_t layer;          // -1: not of a layer
  std::string_view name;  // Hugging Face's; valid during the call
  Shape shape;
  DType dtype;                          // of the source for matrices, f32 for vectors
  const kernels::PackedMatrix* matrix;  // null for vectors
  const float* vector;                  // null for matrices
};
// Visits every tensor in file order; a tied head is not visited.
void for_each_tensor(const Weights& weights, const std::function<void(const TensorInfo&)>& visit);

// Called after each piece with the source bytes packed so far and in all; returning false cancels (kCancelled).
// Runs on the loading thread.
using LoadProgress = std::function<bool(int64_t done_bytes, int64_t total_bytes)>;

// Where a tensor's bytes come from: the same layout a file has (row-major, blocks along rows).
struct TensorSource {
  DType dtype = DType::kF32;
  // Copies bytes [offset, offset + out.size()) of the data. Called from several threads at once.
  std::function<Status(int64_t offset, std::span<std::byte> out)> read;
};

// Packs the tensors of `config`. sources[i] belongs to tensor_specs(config)[i]; f8_scales[i] (f32, row-major
// [ceil(N/128), ceil(K/128)]) may be empty. REQUIRES: types are packable (bind() checks files).
Result<Weights> pack_weights(const Config& config, std::span<const TensorSource> sources,
                             std::span<const std::vector<float>> f8_scales, ThreadPool& pool,
                             const LoadProgress& progress = {});

// Reads a bound checkpoint with all threads. Bytes are read, never touched through the mapping, so besides the packed
// weights only a few MiB are resident, and a file cut short meanwhile is an error and not a crash.
Result<Weights> load_weights(const formats::Checkpoint& checkpoint, const Binding& binding, ThreadPool& pool,
                             const LoadProgress& progress = {});
// bind() and load_weights() in one.
Result<Weights> load_weights(const formats::Checkpoint& checkpoint, ThreadPool& pool,
                             const LoadProgress& progress = {});

// Weights with every pointer in place and memory that nobody has written yet: what packing fills, or the packed cache
// with the bytes an earlier packing made. dtypes[i], has_f8_scales[i] belong to tensor_specs(config)[i].
Result<Weights> lay_out_weights(const Config& config, std::span<const DType> dtypes,
                                const std::vector<bool>& has_f8_scales);
Result<Weights> lay_out_weights(const Binding& binding);
// Changes whenever the bytes that packing makes of the same tensors would: names, types, offsets, and what becomes of
// a few known blocks of each type.
uint64_t packed_layout(const Binding& binding);
// The pieces of the packed bytes in the order in which `threads` threads, each taking an equal run of the list, first
// touch what they will read in products.
std::vector<int32_t> first_touch_order(const Weights& weights, int64_t piece_bytes, int threads);

// Bytes of Weights::storage for these specs and their types, for `plan`.
int64_t packed_weights_bytes(std::span<const TensorSpec> specs, std::span<const DType> dtypes);

}  // namespace bantam::model
