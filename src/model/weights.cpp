// Packing. Matrices are cut into pieces of about a MiB of source rows; each worker reads a piece into its own buffer
// and packs it in place, so reading and packing of different pieces overlap and the file is touched once.
#include "model/weights.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <utility>

#include "base/check.h"
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
    return report(static_cast<int64_t>(raw.size()));
  }

  Status matrix(const TensorSpec& spec, const TensorSource& source, std::byte* out) {
    const int64_t rows = spec.shape[0], cols = spec.shape[1];
    const int64_t source_tile = kernels::kTileRows * row_bytes(source.dtype, cols);
    const int64_t piece_tiles = std::max<int64_t>(1, kPieceBytes / source_tile);
    const int64_t pieces = (kernels::tile_count(rows) + piece_tiles - 1) / piece_tiles;
    for (std::vector<std::byte>& buffer : buffers_) buffer.resize(static_cast<size_t>(piece_tiles * source_tile));
    const int64_t batch = std::max<int64_t>(pool_.threads(), kReportBytes / (piece_tiles * source_tile));
    for (int64_t first = 0; first < pieces; first += batch) {
      const int64_t count = std::min(batch, pieces - first);
      pool_.parallel(count, [&](int64_t chunk, int worker) {
        pack_piece(source, rows, cols, (first + chunk) * piece_tiles, piece_tiles,
                   buffers_[static_cast<size_t>(worker)], out);
      });
      if (failed_) return std::move(failure_);
      const int64_t end_row = std::min(rows, (first + count) * piece_tiles * kernels::kTileRows);
      BANTAM_TRY(report((end_row - first * piece_tiles * kernels::kTileRows) * row_bytes(source.dtype, cols)));
    }
    return {};
  }

  Status report(int64_t bytes) {
    done_bytes_ += bytes;
    if (progress_ && !progress_(done_bytes_, total_bytes_)) {
      return make_error(ErrorCode::kCancelled, "loading was cancelled after {} of {} bytes", done_bytes_, total_bytes_);
    }
    return {};
  }

 private:
  void pack_piece(const TensorSource& source, int64_t rows, int64_t cols, int64_t tile, int64_t tiles,
                  std::span<std::byte> buffer, std::byte* out) {
    const int64_t first_row = tile * kernels::kTileRows;
    const int64_t count = std::min(rows - first_row, tiles * kernels::kTileRows);
    const int64_t stride = row_bytes(source.dtype, cols);
    const std::span<std::byte> piece = buffer.first(static_cast<size_t>(count * stride));
    if (Status status = source.read(first_row * stride, piece); !status.ok()) {
      const std::lock_guard lock(mutex_);
      if (!failed_) failure_ = std::move(status);
      failed_ = true;
      return;
    }
    kernels::pack_tiles(source.dtype, piece.data(), count, cols, 0, kernels::tile_count(count),
                        out + tile * kernels::tile_bytes(source.dtype, cols));
  }

  ThreadPool& pool_;
  const LoadProgress& progress_;
  int64_t total_bytes_, done_bytes_ = 0;
  std::vector<std::vector<std::byte>> buffers_;  // one per worker
  std::mutex mutex_;
  std::atomic<bool> failed_ = false;
  Status failure_;
};

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

Result<Weights> pack_weights(const Config& config, std::span<const TensorSource> sources,
                             std::span<const std::vector<float>> f8_scales, ThreadPool& pool,
                             const LoadProgress& progress) {
  const std::vector<TensorSpec> specs = tensor_specs(config);
  BANTAM_CHECK(sources.size() == specs.size() && f8_scales.size() == specs.size());
  Weights w;
  w.config = config;
  w.layers.resize(static_cast<size_t>(config.num_hidden_layers));
  std::vector<DType> dtypes;
  for (size_t i = 0; i < specs.size(); ++i) {
    dtypes.push_back(sources[i].dtype);
    w.source_bytes += specs[i].shape.rows() * row_bytes(sources[i].dtype, specs[i].shape.last());
  }
  BANTAM_TRY_ASSIGN(w.storage, Storage::allocate(packed_weights_bytes(specs, dtypes)));

  Packer packer(pool, progress, w.source_bytes);
  std::byte* out = w.storage.data();
  for (size_t i = 0; i < specs.size(); ++i) {
    const TensorSpec& spec = specs[i];
    const Slots slots = slots_of(w, spec);
    std::byte* const begin = out;
    out += tensor_bytes(spec, dtypes[i]);
    if (slots.vector != nullptr) {
      *slots.vector = reinterpret_cast<float*>(begin);
      BANTAM_TRY(packer.vector(spec, sources[i], reinterpret_cast<float*>(begin)).with_context(spec.hf_name));
      continue;
    }
    *slots.matrix = {dtypes[i], spec.shape[0], spec.shape[1], begin, nullptr};
    if (!f8_scales[i].empty()) {
      std::byte* const scales = begin + aligned(kernels::packed_bytes(dtypes[i], spec.shape[0], spec.shape[1]));
      BANTAM_CHECK(static_cast<int64_t>(f8_scales[i].size() * 4) <= out - scales);
      std::memcpy(scales, f8_scales[i].data(), f8_scales[i].size() * 4);
      slots.matrix->f8_scales = reinterpret_cast<const float*>(scales);
    }
    BANTAM_TRY(packer.matrix(spec, sources[i], begin).with_context(spec.hf_name));
  }
  if (config.tie_word_embeddings) w.lm_head.weight = w.embed;
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
