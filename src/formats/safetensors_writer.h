// Writes safetensors: one file, or a folder's model.safetensors, sharded above a size as Hugging Face does. Layout and
// strictness: docs/formats/safetensors.md. One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "formats/tensor_writer.h"

namespace bantam::formats {

inline constexpr uint64_t kDefaultShardBytes = 5'000'000'000;  // what transformers' save_pretrained uses

// String pairs for the header's __metadata__; Hugging Face expects {"format", "pt"} in model weights.
using SafetensorsMetadata = std::vector<std::pair<std::string, std::string>>;

// A single file at `path`. kUsage when a planned dtype has no safetensors name (the block types).
Result<std::unique_ptr<TensorWriter>> create_safetensors(const std::string& path, std::vector<TensorPlan> plan,
                                                         const SafetensorsMetadata& metadata = {});

// model.safetensors in an existing folder; when the data exceeds shard_bytes, model-0000i-of-0000n.safetensors and
// model.safetensors.index.json. All parts appear in finish(), the index last. A folder that already holds weights in
// the other of the two forms is refused (kUsage), because readers would pick the stale ones.
Result<std::unique_ptr<TensorWriter>> create_safetensors_folder(const std::string& folder, std::vector<TensorPlan> plan,
                                                                uint64_t shard_bytes = kDefaultShardBytes);

}  // namespace bantam::formats
