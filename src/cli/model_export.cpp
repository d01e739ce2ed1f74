// See model_export.h.
#include "cli/model_export.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/mmap.h"
#include "cli/terminal.h"
#include "formats/safetensors_writer.h"
#include "quant/format.h"
#include "tensor/bf16.h"

namespace bantam::cli {
namespace {

// llama.cpp gives q6_k to v and down in the first and last eighth of the layers and every third between.
bool more_bits(int64_t layer, int64_t layers) {
  return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

DType fitting_type(DType wanted, int64_t cols) {
  if (cols % info(wanted).block_elems == 0) return wanted;
  if (cols % info(DType::kQ8_0).block_elems == 0) return DType::kQ8_0;
  return DType::kF16;
}

bool is_head(const model::TensorSpec& spec, const model::Config& config) {
  return spec.role == model::Role::kLmHead || (spec.role == model::Role::kEmbed && config.tie_word_embeddings);
}

// Rows [row, row + n) of an FP8 tensor times their block multipliers.
void apply_f8_scales(const formats::NamedTensor& scales, int64_t row, int64_t n, int64_t cols, float* values) {
  const int64_t scale_cols = scales.view.shape[1];
  const auto* bytes = static_cast<const uint8_t*>(scales.view.data);
  const quant::Format* format = quant::find_format(scales.view.dtype);
  std::vector<float> line(static_cast<size_t>(scale_cols));
  for (int64_t r = 0; r < n; ++r) {
    format->decode(bytes + (row + r) / 128 * row_bytes(scales.view.dtype, scale_cols), line.data(), scale_cols);
    for (int64_t c = 0; c < cols; ++c) values[r * cols + c] *= line[static_cast<size_t>(c / 128)];
  }
}

}  // namespace

Result<TypeChoice> parse_type(const std::string& text, bool pure) {
  if (text == "q4_k_m") return TypeChoice{DType::kQ4_K, true, true};
  const auto dtype = parse_dtype(text);
  const quant::Format* format = dtype ? quant::find_format(*dtype) : nullptr;
  if (format == nullptr || format->encode == nullptr) {
    return usage_error("--type: expected one of {}, got {:?}", type_names(), text);
  }
  const bool quant = info(*dtype).is_quant && *dtype != DType::kQ8_0;
  return TypeChoice{*dtype, false, quant && !pure};
}

std::string type_names() {
  std::string out;
  for (const DTypeInfo& row : kDTypes) {
    const quant::Format* format = quant::find_format(*parse_dtype(row.name));
    if (format != nullptr && format->encode != nullptr) out += std::string(row.name) + " ";
  }
  return out + "q4_k_m";
}

DType tensor_type(const TypeChoice& choice, const model::TensorSpec& spec, const model::Config& config, bool gguf) {
  if (!spec.is_matrix()) {
    return gguf || info(choice.base).is_quant ? DType::kF32 : choice.base;
  }
  DType wanted = choice.base;
  if (choice.q6_head && is_head(spec, config)) wanted = DType::kQ6_K;
  const bool v_or_down = spec.role == model::Role::kV || spec.role == model::Role::kDown;
  if (choice.k_mix && v_or_down && more_bits(spec.layer, config.num_hidden_layers)) wanted = DType::kQ6_K;
  return fitting_type(wanted, spec.shape.last());
}

Status check_disk(const std::string& path, int64_t bytes) {
  std::error_code error;
  const auto parent = std::filesystem::absolute(path, error).parent_path();
  const auto space = std::filesystem::space(parent, error);
  if (error || space.available >= static_cast<uint64_t>(bytes)) return {};  // the write itself will tell
  return no_space("not enough space in {}: {} are needed, {} are free", parent.string(), human_bytes(bytes),
                  human_bytes(static_cast<int64_t>(space.available)));
}

Result<OutputFolder> OutputFolder::create(const std::string& out) {
  OutputFolder folder;
  folder.path_ = out;
  while (folder.path_.size() > 1 && folder.path_.ends_with('/')) folder.path_.pop_back();
  if (is_directory(folder.path_)) return folder;
  folder.final_ = folder.path_;
  folder.path_ += fmt::format(".part-{}", ::getpid());
  std::error_code error;
  std::filesystem::create_directories(folder.path_, error);
  if (error) return failed("cannot make the folder {}: {}", out, error.message());
  return folder;
}

OutputFolder::OutputFolder(OutputFolder&& other) noexcept
    : path_(std::exchange(other.path_, {})), final_(std::exchange(other.final_, {})) {}

OutputFolder::~OutputFolder() {
  std::error_code ignored;
  if (!final_.empty()) std::filesystem::remove_all(path_, ignored);
}

Status OutputFolder::commit() {
  if (final_.empty()) return {};
  std::error_code error;
  std::filesystem::rename(path_, final_, error);
  if (error) return failed("cannot rename {} to {}: {}", path_, final_, error.message());
  path_ = std::exchange(final_, {});
  return {};
}

bool is_gguf_path(const std::string& path) {
  return path.ends_with(".gguf");
}

Result<std::unique_ptr<formats::TensorWriter>> create_output(const std::string& path,
                                                             const std::vector<model::TensorSpec>& specs,
                                                             const std::vector<DType>& types,
                                                             const formats::GgufMetadataBuilder& metadata) {
  const bool gguf = is_gguf_path(path);
  std::vector<formats::TensorPlan> plan;
  for (size_t i = 0; i < specs.size(); ++i) {
    plan.push_back({gguf ? specs[i].gguf_name : specs[i].hf_name, types[i], specs[i].shape});
  }
  if (gguf) return formats::create_gguf(path, metadata, std::move(plan));
  return formats::create_safetensors_folder(path, std::move(plan));
}

Status export_tensor(const formats::Checkpoint& checkpoint, const model::Binding& binding, size_t index, DType type,
                     std::string_view out_name, formats::TensorWriter& writer, quant::ErrorMeter* meter) {
  const formats::NamedTensor& tensor = *binding.tensors[index];
  const int64_t cols = tensor.view.shape.last(), rows = tensor.view.shape.rows();
  const DType from = tensor.view.dtype;
  const formats::NamedTensor* scales = binding.f8_scales[index];
  const quant::Format* source = quant::find_format(from);
  const quant::Format* target = quant::find_format(type);
  constexpr int64_t kChunkElems = int64_t{1} << 20;
  const int64_t step = std::clamp<int64_t>(kChunkElems / std::max<int64_t>(cols, 1), 1, std::max<int64_t>(rows, 1));
  std::vector<std::byte> in(static_cast<size_t>(step * row_bytes(from, cols)));
  std::vector<std::byte> out(static_cast<size_t>(step * row_bytes(type, cols)));
  std::vector<float> values(static_cast<size_t>(step * cols)), decoded(meter ? values.size() : 0);
  for (int64_t row = 0; row < rows; row += step) {
    const int64_t n = std::min(step, rows - row);
    const auto in_bytes = static_cast<size_t>(n * row_bytes(from, cols));
    BANTAM_TRY(checkpoint.read(tensor, row * row_bytes(from, cols), std::span(in).first(in_bytes)));
    if (from == type && scales == nullptr) {
      BANTAM_TRY(writer.write(out_name, std::span<const std::byte>(in).first(in_bytes)));
      continue;
    }
    source->decode(reinterpret_cast<const uint8_t*>(in.data()), values.data(), n * cols);
    if (scales != nullptr) apply_f8_scales(*scales, row, n, cols, values.data());
    target->encode(values.data(), reinterpret_cast<uint8_t*>(out.data()), n * cols);
    if (meter != nullptr) {
      target->decode(reinterpret_cast<const uint8_t*>(out.data()), decoded.data(), n * cols);
      meter->add(values.data(), decoded.data(), n * cols);
    }
    BANTAM_TRY(
        writer.write(out_name, std::span<const std::byte>(out).first(static_cast<size_t>(n * row_bytes(type, cols)))));
  }
  return {};
}

}  // namespace bantam::cli
