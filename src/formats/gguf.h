// Reads one GGUF file (version 2 or 3, little endian): metadata and named views of its tensors. Layout, limits and the
// rules a file must obey: docs/formats/gguf.md. Pure; called by Checkpoint.
#pragma once

#include <vector>

#include "base/result.h"
#include "formats/file_set.h"
#include "formats/gguf_metadata.h"
#include "formats/named_tensor.h"
#include "formats/source_file.h"

namespace bantam::formats {

// Appends the file's tensors in file order; fills metadata when it is not null. Names and metadata are views into the
// file. Does not look for duplicate names: the Checkpoint does, over all parts. kBadInput for anything damaged.
Status read_gguf(const SourceFile& file, GgufMetadata* metadata, std::vector<NamedTensor>* tensors);

// Opens `name`, and if its split.count says so all the other parts (PREFIX-00001-of-0000N.gguf); metadata is that of
// the first part.
Status read_gguf_parts(const FileSet& files, std::string_view name, std::vector<std::unique_ptr<SourceFile>>* sources,
                       GgufMetadata* metadata, std::vector<NamedTensor>* tensors);

}  // namespace bantam::formats
