// Reads safetensors: header to named views, and the index of sharded checkpoints. Strict, so that one file has exactly
// one meaning: every rule is listed in docs/formats/safetensors.md. Pure functions; called by Checkpoint.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/file_set.h"
#include "formats/json_cursor.h"
#include "formats/named_tensor.h"
#include "formats/source_file.h"

namespace bantam::formats {

// Appends the file's tensors in header order. Names are views into the file, or into the arena where JSON escapes
// them. Does not look for duplicate names: the Checkpoint does, over all shards. kBadInput for anything damaged.
Status read_safetensors(const SourceFile& file, StringArena* arena, std::vector<NamedTensor>* tensors);

// Opens every shard that model.safetensors.index.json names and appends their tensors, shards in the order of first
// mention. kBadInput when a shard is missing, or a listed tensor is not in the shard it is listed for.
Status read_sharded_safetensors(const FileSet& files, StringArena* arena,
                                std::vector<std::unique_ptr<SourceFile>>* sources, std::vector<NamedTensor>* tensors);

// "BF16" for kBF16 and so on; empty for types that safetensors does not have.
std::string_view safetensors_name(DType dtype);
std::optional<DType> dtype_of_safetensors(std::string_view name);

}  // namespace bantam::formats
