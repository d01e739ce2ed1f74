// Checkpoint: a model on disk (or embedded in the program) as named tensor views, metadata and text files. Reads a
// folder in Hugging Face layout, a GGUF file (split or not) or one safetensors file, and knows nothing about models.
//
// Owns the mappings; every view, string_view and pointer it hands out lives as long as it does. Move-only (moving keeps
// them valid), immutable after open, so thread-safe. Called by model (weights), engine and cli.
//
// Files are mapped, not read. A file that is cut short while mapped raises SIGBUS on the next touch of the lost pages,
// so nobody computes on views: loaders copy or repack each tensor right away, release() its pages, call verify_sizes()
// after the last one, and drop the Checkpoint. read() never meets SIGBUS, at the price of a copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "formats/gguf_metadata.h"
#include "formats/named_tensor.h"

namespace bantam::formats {

enum class Kind : uint8_t { kHuggingFace, kGguf, kSafetensors };
std::string_view name(Kind kind);  // "hugging face folder", "gguf", "safetensors"

// What open() does about a folder's weights. GGUF and single safetensors files always list theirs.
enum class Weights : uint8_t {
  kRequired,   // none is an error
  kIfPresent,  // for `show` and `plan`
  kSkip,       // not even looked at: tokenizer-only folders, `tokenize`, `render`
};

// A text file that came with the model, by its plain name ("tokenizer.json", "LICENSE").
struct TextFile {
  std::string_view name;
  std::string_view text;
};

// A folder or file set in memory: file name -> bytes. The bytes outlive the Checkpoint.
using MemoryFiles = std::vector<std::pair<std::string, std::string_view>>;

class Checkpoint {
 public:
  // path: a folder, a .gguf file (of a split one: any of its parts) or a .safetensors file. kBadInput for anything
  // damaged, with what was expected, what came and where; kFailed when the system refuses.
  static Result<Checkpoint> open(const std::string& path, Weights weights = Weights::kRequired);
  static Result<Checkpoint> from_memory(const MemoryFiles& files, Weights weights = Weights::kRequired);
  static Result<Checkpoint> open_without_weights(const std::string& path) { return open(path, Weights::kSkip); }

  Checkpoint(Checkpoint&& other) noexcept;
  Checkpoint& operator=(Checkpoint&& other) noexcept;
  ~Checkpoint();

  Kind kind() const;
  const std::string& path() const;  // as given to open(); "(embedded)" when from memory
  // In file order (shards in index order); names are unique.
  std::span<const NamedTensor> tensors() const;
  const NamedTensor* find(std::string_view tensor_name) const;

  // Parsed config.json and generation_config.json, or nullptr when the folder has none (always for gguf).
  const JsonValue* config() const;
  const JsonValue* generation_config() const;
  // Text files of a Hugging Face folder: configs, tokenizer files, chat templates, README and licence; see kTextFiles
  // in hf_folder.h. Empty for other kinds.
  std::span<const TextFile> texts() const;
  std::optional<std::string_view> text(std::string_view file_name) const;
  // Metadata of a GGUF file (of a split one, its first part's), or nullptr.
  const GgufMetadata* gguf() const;

  // Sizes of all files together, text files included.
  uint64_t file_bytes() const;
  // kFailed, naming the file, when one no longer has the size it was mapped with. Loaders call it after packing: what
  // they read before a truncation could have been zeros from the last partial page.
  Status verify_sizes() const;
  // Copies bytes [offset, offset + out.size()) of the tensor's data through the file, not the mapping.
  Status read(const NamedTensor& tensor, int64_t offset, std::span<std::byte> out) const;
  // Tells the system that the tensor's mapped pages are not needed for now, so that packing a model does not keep both
  // forms of it resident. The view stays valid.
  void release(const NamedTensor& tensor) const;

 private:
  struct State;
  explicit Checkpoint(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// True when the file starts with GGUF's magic, whatever its name.
bool looks_like_gguf(const std::string& path);

}  // namespace bantam::formats
