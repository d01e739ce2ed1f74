// A model's tokenizer and template from one container to the other: Hugging Face files <-> GGUF metadata. Used by
// convert and quantize; both are optional (a model without a tokenizer converts too).
#pragma once

#include "base/result.h"
#include "formats/checkpoint.h"
#include "formats/gguf_writer.h"

namespace bantam::cli {

// Sets tokenizer.* from tokenizer.json (or vocab.json and merges.txt) and tokenizer_config.json. rows: the model's
// vocabulary rows; rows without text become unused "[PAD...]" tokens. Sets the model "no_vocab" when the folder has no
// tokenizer.
Status tokenizer_to_gguf(const formats::Checkpoint& folder, int64_t rows, formats::GgufMetadataBuilder* out);

// Writes tokenizer.json and tokenizer_config.json into `folder` from GGUF metadata; nothing when it has no tokenizer.
Status tokenizer_to_folder(const formats::GgufMetadata& gguf, const std::string& folder);

}  // namespace bantam::cli
