// Writing models: which type each tensor gets, tensors streamed from a source through decode and encode, and the files
// around them. What convert, quantize and synth share. Never more than a few chunks resident.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/checkpoint.h"
#include "formats/gguf_writer.h"
#include "formats/tensor_writer.h"
#include "model/bind.h"
#include "quant/error.h"

namespace bantam::cli {

// A type as users name it: one DType for all matrices, or a mix.
struct TypeChoice {
  DType base = DType::kBF16;
  bool k_mix = false;    // q4_k_m: q6_k for the head and for half of v and down
  bool q6_head = false;  // the head (or the tied embedding) in q6_k, as llama.cpp gives block types
};
// f32 f16 bf16 q8_0 q4_0 ... or q4_k_m. Block types get a q6_k head unless `pure`.
Result<TypeChoice> parse_type(const std::string& text, bool pure);
// All spellings, for help texts.
std::string type_names();

// The type of one tensor: vectors stay f32 in GGUF and take the float type in folders; a matrix whose rows are not
// whole blocks falls back to q8_0, then f16.
DType tensor_type(const TypeChoice& choice, const model::TensorSpec& spec, const model::Config& config, bool gguf);

// True when OUT names a GGUF file.
bool is_gguf_path(const std::string& path);

// kNoSpace, with the numbers, when the file system of `path` has fewer than `bytes` free.
Status check_disk(const std::string& path, int64_t bytes);

// The folder a model is written to. A new one takes shape beside OUT and gets its name in commit(), so nothing
// half-written is ever found there; into one that exists, files go one by one, config.json last.
class OutputFolder {
 public:
  static Result<OutputFolder> create(const std::string& out);
  OutputFolder(OutputFolder&& other) noexcept;
  OutputFolder& operator=(OutputFolder&&) = delete;
  ~OutputFolder();
  const std::string& path() const { return path_; }  // where to write
  Status commit();

 private:
  OutputFolder() = default;
  std::string path_, final_;  // final_: the name to take, "" when path_ is it already
};

// Opens the output: a GGUF file or a folder of safetensors, with the plan's tensors named as that format does.
Result<std::unique_ptr<formats::TensorWriter>> create_output(const std::string& path,
                                                             const std::vector<model::TensorSpec>& specs,
                                                             const std::vector<DType>& types,
                                                             const formats::GgufMetadataBuilder& metadata);

// One tensor of a checkpoint, from its type (block scales of FP8 applied) to `type`, streamed to the writer.
// `meter` (or null) gets the error. Equal types are copied byte for byte.
Status export_tensor(const formats::Checkpoint& checkpoint, const model::Binding& binding, size_t index, DType type,
                     std::string_view out_name, formats::TensorWriter& writer, quant::ErrorMeter* meter);

}  // namespace bantam::cli
