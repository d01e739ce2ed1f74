// Packing. Matrices are cut into pieces of about a MiB of source rows; each worker reads a piece into its own buffer
// and packs it in place, so reading and packing of different pieces overlap and the file is touched once. A worker
// packs the same share of every matrix, the one it will read when the pool multiplies by it, so that on a machine
// with several memory nodes each page is first touched, and therefore lies, where it is used.
#include "model/weights.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <numeric>
#include <set>
#include <utility>

#include "base/check.h"
#include "base/hash.h"
#include "quant/format.h"

namespace bantam::model {
namespace {

constexpr int64_t kAlignment = 64;                   // what packed tiles and vector loads want
constexpr int64_t kPieceBytes = int64_t{1} << 20;    // a worker's read; stays in its L2
constexpr int64_t kReportBytes = int64_t{64} << 20;  // progress and cancellation granularity
constexpr int64_t kF8Block = 128;

int64_t aligned(int64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

int64_t tensor_bytes(const TensorSpec& spec, DType dtype) {
  if (!spec.is_matrix()) return aligned(spec.shape.elems() * 4);
  int64_t bytes = aligned(kernels::packed_bytes(dtype, spec.shape[0], spec.shape[1]));
  if (dtype == DType::kF8E4M3) {
    bytes += aligned((spec.shape[0] + kF8Block - 1) / kF8Block * ((spec.shape[1] + kF8Block - 1) / kF8Block) * 4);
  }
  return bytes;
}

// The packed matrix and bias pointers a role fills.
struct Slots {
  kernels::PackedMatrix* matrix = nullptr;
  const float** vector = nullptr;
};
Slots slots_of(Weights& w, const TensorSpec& spec) {
  LayerWeights* ly = spec.layer >= 0 ? &w.layers[static_cast<size_t>(spec.layer)] : nullptr;
  switch (spec.role) {
    case Role::kEmbed:
      return {&w.embed, nullptr};
    case Role::kLmHead:
      return {&w.lm_head.weight, nullptr};
    case Role::kFinalNorm:
      return {nullptr, &w.final_norm};
    case Role::kAttnNorm:
      return {nullptr, &ly->attn_norm};
    case Role::kMlpNorm:
      return {nullptr, &ly->mlp_norm};
    case Role::kQNorm:
      return {nullptr, &ly->q_norm};
    case Role::kKNorm:
      return {nullptr, &ly->k_norm};
    case Role::kQBias:
      return {nullptr, &ly->q.bias};
    case Role::kKBias:
      return {nullptr, &ly->k.bias};
    case Role::kVBias:
      return {nullptr, &ly->v.bias};
    case Role::kQ:
      return {&ly->q.weight, nullptr};
    case Role::kK:
      return {&ly->k.weight, nullptr};
    case Role::kV:
      return {&ly->v.weight, nullptr};
    case Role::kO:
      return {&ly->o.weight, nullptr};
    case Role::kGate:
      return {&ly->gate.weight, nullptr};
    case Role::kUp:
      return {&ly->up.weight, nullptr};
    case Role::kDown:
      return {&ly->down.weight, nullptr};
  }
  return {};
}

class Packer {
 public:
  Packer(ThreadPool& pool, const LoadProgress& progress, int64_t total_bytes)
      : pool_(pool), progress_(progress), total_bytes_(total_bytes), buffers_(static_cast<size_t>(pool.threads())) {}

  Status vector(const TensorSpec& spec, const TensorSource& source, float* out) {
    const quant::Format* format = quant::find_format(source.dtype);
    BANTAM_CHECK(format != nullptr);
    const int64_t elems = spec.shape.elems();
    std::vector<std::byte> raw(static_cast<size_t>(row_bytes(source.dtype, elems)));
    BANTAM_TRY(source.read(0, raw));
    format->decode(reinterpret_cast<const uint8_t*>(raw.data()), out, elems);
    done_bytes_ += static_cast<int64_t>(raw.size());
    return report(1);
  }

  Status matrix(const TensorSpec& spec, const TensorSource& source, std::byte* out) {
    const int64_t rows = spec.shape[0], cols = spec.shape[1];
    const int64_t source_tile = kernels::kTileRows * row_bytes(source.dtype, cols);
    const int64_t piece_tiles = std::max<int64_t>(1, kPieceBytes / source_tile);
    const int64_t pieces = (kernels::tile_count(rows) + piece_tiles - 1) / piece_tiles;
    for (std::vector<std::byte>& buffer : buffers_) buffer.resize(static_cast<size_t>(piece_tiles * source_tile));
    pool_.parallel(pieces, [&](int64_t piece, int worker) {
      if (failed_.load(std::memory_order_relaxed)) return;
      Status status =
          pack_piece(source, rows, cols, piece * piece_tiles, piece_tiles, buffers_[static_cast<size_t>(worker)], out);
      if (status.ok() && worker == 0) status = report(kReportBytes);  // worker 0 is the loading thread
      if (!status.ok()) fail(std::move(status));
    });
    if (failed_) return std::move(failure_);
    return report(1);
  }

 private:
  Status pack_piece(const TensorSource& source, int64_t rows, int64_t cols, int64_t tile, int64_t tiles,
                    std::span<std::byte> buffer, std::byte* out) {
    const int64_t first_row = tile * kernels::kTileRows;
    const int64_t count = std::min(rows - first_row, tiles * kernels::kTileRows);
    const int64_t stride = row_bytes(source.dtype, cols);
    const std::span<std::byte> piece = buffer.first(static_cast<size_t>(count * stride));
    BANTAM_TRY(source.read(first_row * stride, piece));
    kernels::pack_tiles(source.dtype, piece.data(), count, cols, 0, kernels::tile_count(count),
                        out + tile * kernels::tile_bytes(source.dtype, cols));
    done_bytes_ += count * stride;
    return {};
  }

  void fail(Status status) {
    const std::lock_guard lock(mutex_);
    if (!failed_) failure_ = std::move(status);
    failed_ = true;
  }

  // Tells how far it is when at least that much is new; on the loading thread only.
  Status report(int64_t least_bytes) {
    const int64_t done = done_bytes_;
    if (!progress_ || done < reported_bytes_ + least_bytes) return {};
    reported_bytes_ = done;
    if (progress_(done, total_bytes_)) return {};
    return make_error(ErrorCode::kCancelled, "loading was cancelled after {} of {} bytes", done, total_bytes_);
  }

  ThreadPool& pool_;
  const LoadProgress& progress_;
  int64_t total_bytes_, reported_bytes_ = 0;
  std::atomic<int64_t> done_bytes_ = 0;
  std::vector<std::vector<std::byte>> buffers_;  // one per worker
  std::mutex mutex_;
  std::atomic<bool> failed_ = false;
  Status failure_;
};

// Points everything in `w` into its storage, tensors in the order of `specs`.
void place_tensors(Weights& w, std::span<const TensorSpec> specs, std::span<const DType> dtypes,
                   const std::vector<bool>& has_f8_scales) {
  std::byte* at = w.storage.data();
  for (size_t i = 0; i < specs.size(); ++i) {
    const TensorSpec& spec = specs[i];
    const Slots slots = slots_of(w, spec);
    std::byte* const begin = at;
    at += tensor_bytes(spec, dtypes[i]);
    if (slots.vector != nullptr) {
      *slots.vector = reinterpret_cast<float*>(begin);
      continue;
    }
    *slots.matrix = {dtypes[i], spec.shape[0], spec.shape[1], begin, nullptr};
    if (!has_f8_scales[i]) continue;
    const int64_t packed = aligned(kernels::packed_bytes(dtypes[i], spec.shape[0], spec.shape[1]));
    BANTAM_CHECK(packed < tensor_bytes(spec, dtypes[i]));
    slots.matrix->f8_scales = reinterpret_cast<const float*>(begin + packed);
  }
  if (w.config.tie_word_embeddings) w.lm_head.weight = w.embed;
}

std::vector<bool> has_scales(const Binding& binding) {
  std::vector<bool> out;
  for (const formats::NamedTensor* scales : binding.f8_scales) out.push_back(scales != nullptr);
  return out;
}

std::vector<DType> dtypes_of(const Binding& binding) {
  std::vector<DType> out;
  for (const formats::NamedTensor* tensor : binding.tensors) out.push_back(tensor->view.dtype);
  return out;
}

// What packing makes of a few known blocks, so that a layout that changes changes its fingerprint, unasked.
uint64_t layout_fingerprint(DType dtype) {
  constexpr int64_t kRows = kernels::kTileRows + 3, kCols = 512;
  std::vector<std::byte> source(static_cast<size_t>(kRows * row_bytes(dtype, kCols)));
  uint32_t state = 1;
  for (std::byte& b : source) {
    state = state * 1664525u + 1013904223u;
    b = static_cast<std::byte>(state >> 24);
  }
  std::vector<std::byte> packed(static_cast<size_t>(kernels::packed_bytes(dtype, kRows, kCols)));
  kernels::pack_tiles(dtype, source.data(), kRows, kCols, 0, kernels::tile_count(kRows), packed.data());
  return Fingerprint::of(packed);
}

}  // namespace

void for_each_tensor(const Weights& weights, const std::function<void(const TensorInfo&)>& visit) {
  auto& w = const_cast<Weights&>(weights);  // slots_of serves loading too; nothing is written here
  for (const TensorSpec& spec : tensor_specs(w.config)) {
    const Slots slots = slots_of(w, spec);
    visit({spec.role, spec.layer, spec.hf_name, spec.shape, slots.matrix ? slots.matrix->dtype : DType::kF32,
           slots.matrix, slots.vector ? *slots.vector : nullptr});
  }
}

int64_t packed_weights_bytes(std::span<const TensorSpec> specs, std::span<const DType> dtypes) {
  int64_t bytes = 0;
  for (size_t i = 0; i < specs.size(); ++i) bytes += tensor_bytes(specs[i], dtypes[i]);
  return bytes;
}

Result<Weights> lay_out_weights(const Config& config, std::span<const DType> dtypes,
                                const std::vector<bool>& has_f8_scales) {
  const std::vector<TensorSpec> specs = tensor_specs(config);
  BANTAM_CHECK(dtypes.size() == specs.size() && has_f8_scales.size() == specs.size());
  Weights w;
  w.config = config;
  w.layers.resize(static_cast<size_t>(config.num_hidden_layers));
  for (size_t i = 0; i < specs.size(); ++i) {
    w.source_bytes += specs[i].shape.rows() * row_bytes(dtypes[i], specs[i].shape.last());
  }
  w.packed_bytes = packed_weights_bytes(specs, dtypes);
  BANTAM_TRY_ASSIGN(w.storage, Storage::allocate(w.packed_bytes));
  place_tensors(w, specs, dtypes, has_f8_scales);
  return w;
}

Result<Weights> lay_out_weights(const Binding& binding) {
  return lay_out_weights(binding.config, dtypes_of(binding), has_scales(binding));
}

uint64_t packed_layout(const Binding& binding) {
  Fingerprint layout;
  std::set<DType> seen;
  int64_t offset = 0;
  for (size_t i = 0; i < binding.specs.size(); ++i) {
    const DType dtype = binding.tensors[i]->view.dtype;
    layout.add(binding.specs[i].hf_name);
    layout.add(static_cast<uint64_t>(dtype));
    layout.add(static_cast<uint64_t>(offset));
    if (binding.specs[i].is_matrix() && seen.insert(dtype).second) layout.add(layout_fingerprint(dtype));
    offset += tensor_bytes(binding.specs[i], dtype);
  }
  layout.add(static_cast<uint64_t>(offset));
  return layout.value();
}

std::vector<int32_t> first_touch_order(const Weights& weights, int64_t piece_bytes, int threads) {
  const int64_t pieces = (weights.packed_bytes + piece_bytes - 1) / piece_bytes;
  // The thread that will read the middle of each piece: its matrix is dealt out evenly, in order.
  std::vector<int32_t> thread_of(static_cast<size_t>(pieces), 0), order(static_cast<size_t>(pieces));
  for_each_tensor(weights, [&](const TensorInfo& t) {
    if (t.matrix == nullptr) return;
    const int64_t begin = t.matrix->data - weights.storage.data();
    const int64_t bytes = kernels::packed_bytes(t.dtype, t.shape[0], t.shape[1]);
    for (int64_t piece = begin / piece_bytes; piece * piece_bytes < begin + bytes; ++piece) {
      const int64_t middle = piece * piece_bytes + piece_bytes / 2 - begin;
      if (middle >= 0 && middle < bytes) {
        thread_of[static_cast<size_t>(piece)] = static_cast<int32_t>(middle * threads / bytes);
      }
    }
  });
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return thread_of[static_cast<size_t>(a)] < thread_of[static_cast<size_t>(b)];
  });
  return order;
}

Result<Weights> pack_weights(const Config& config, std::span<const TensorSource> sources,
                             std::span<const std::vector<float>> f8_scales, ThreadPool& pool,
                             const LoadProgress& progress) {
  const std::vector<TensorSpec> specs = tensor_specs(config);
  BANTAM_CHECK(sources.size() == specs.size() && f8_scales.size() == specs.size());
  std::vector<DType> dtypes;
  std::vector<bool> has_f8_scales;
  for (size_t i = 0; i < specs.size(); ++i) {
    dtypes.push_back(sources[i].dtype);
    has_f8_scales.push_back(!f8_scales[i].empty());
  }
  BANTAM_TRY_ASSIGN(Weights w, lay_out_weights(config, dtypes, has_f8_scales));
  Packer packer(pool, progress, w.source_bytes);
  std::byte* at = w.storage.data();
  for (size_t i = 0; i < specs.size(); ++i) {
    const TensorSpec& spec = specs[i];
    std::byte* const begin = at;
    at += tensor_bytes(spec, dtypes[i]);
    if (!spec.is_matrix()) {
      BANTAM_TRY(packer.vector(spec, sources[i], reinterpret_cast<float*>(begin)).with_context(spec.hf_name));
      continue;
    }
    if (has_f8_scales[i]) {
      std::byte* const scales = begin + aligned(kernels::packed_bytes(dtypes[i], spec.shape[0], spec.shape[1]));
      BANTAM_CHECK(static_cast<int64_t>(f8_scales[i].size() * 4) <= at - scales);
      std::memcpy(scales, f8_scales[i].data(), f8_scales[i].size() * 4);
    }
    BANTAM_TRY(packer.matrix(spec, sources[i], begin).with_context(spec.hf_name));
  }
  return w;
}

Result<Weights> load_weights(const formats::Checkpoint& checkpoint, const Binding& binding, ThreadPool& pool,
                             const LoadProgress& progress) {
  std::vector<TensorSource> sources;
  std::vector<std::vector<float>> scales(binding.specs.size());
  for (size_t i = 0; i < binding.specs.size(); ++i) {
    const formats::NamedTensor* t = binding.tensors[i];
    sources.push_back({t->view.dtype, [&checkpoint, t](int64_t offset, std::span<std::byte> out) {
                         return checkpoint.read(*t, offset, out);
                       }});
    const formats::NamedTensor* s = binding.f8_scales[i];
    if (s == nullptr) continue;
    std::vector<std::byte> raw(static_cast<size_t>(s->view.bytes()));
    BANTAM_TRY(checkpoint.read(*s, 0, raw));
    scales[i].resize(static_cast<size_t>(s->view.shape.elems()));
    quant::find_format(s->view.dtype)
        ->decode(reinterpret_cast<const uint8_t*>(raw.data()), scales[i].data(), s->view.shape.elems());
  }
  BANTAM_TRY_ASSIGN(Weights weights, pack_weights(binding.config, sources, scales, pool, progress));
  BANTAM_TRY(checkpoint.verify_sizes());
  return weights;
}

Result<Weights> load_weights(const formats::Checkpoint& checkpoint, ThreadPool& pool, const LoadProgress& progress) {
  BANTAM_TRY_ASSIGN(const Binding binding, bind(checkpoint));
  return load_weights(checkpoint, binding, pool, progress);
}

}  // namespace bantam::model
