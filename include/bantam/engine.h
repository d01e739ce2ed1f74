// bantam's engine: a loaded model. Make one, make sessions from it, append tokens, sample. Standard library only.
// The answers of a session depend on its own tokens, seed and numerics mode; never on other sessions in the same
// step, on threads, chunking, forks or the CPU's instruction set.
// Thread-safety: one thread at a time drives an engine and its sessions.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bantam/result.h"
#include "bantam/session.h"

namespace bantam {

enum class NumericsMode : uint8_t { kFast, kExact };  // int8 activations for quantised weights | fp32 everything
// Of stored keys and values; the last two: blocks of 32 dimensions, for heads of a multiple of 32.
enum class KvType : uint8_t { kF16, kF32, kQ8_0, kQ4_0 };

// Weights are packed for the kernels when a model is loaded. With a folder to keep the packed form in, the next load of
// the same model reads it back instead, several times faster. `bantam` uses ~/.cache/bantam/packed.
struct PackedCacheOptions {
  std::string folder;                                   // "": keep nothing
  int64_t max_bytes = 20'000'000'000;                   // of all files; the least recently used go first
  int64_t min_model_bytes = int64_t{64} * 1000 * 1000;  // smaller models are packed in no time
};

struct EngineOptions {
  int threads = 0;  // 0: as many as the machine has
  NumericsMode numerics = NumericsMode::kFast;
  KvType kv = KvType::kF16;
  int64_t context_tok = 0;  // 0: the model's own or what fits in free memory, whichever is less
  int64_t pool_tok = 0;     // tokens of KV shared by all sessions; 0: one full context
  int64_t chunk_tok = 512;  // most tokens in one forward
  int64_t batch_rows = 64;  // most rows of logits in one forward
  std::string isa;          // "": the best this machine has
  PackedCacheOptions packed_cache;
};

// Where a model comes from: a path (folder in Hugging Face layout or a .gguf file), or files in memory.
struct ModelSource {
  std::string path;
  std::vector<std::pair<std::string, std::string_view>> files;  // name, bytes; used when path is empty
};

struct ModelInfo {
  std::string name, family, weight_type;  // e.g. "Qwen3-4B", "qwen3", "q4_k"
  int64_t vocab_rows = 0, layers = 0, hidden = 0;
  int64_t trained_context_tok = 0;   // what config.json says
  int64_t context_tok = 0;           // what this engine was opened with
  double rope_factor = 1.0;          // YaRN factor in use; 1: none
  bool context_was_limited = false;  // the default was cut to what fits in memory
  int64_t weights_bytes = 0, kv_bytes_per_tok = 0, workspace_bytes = 0;
  std::string isa;
  int threads = 0;
  double load_ms = 0;
  bool from_packed_cache = false;  // the weights were read as an earlier load had packed them
  std::string packed_cache_note;   // what a user should hear about the cache (it was damaged, the disk is full), or ""
  std::vector<int32_t> stop_ids;   // end-of-turn tokens of generation_config.json or config.json
  // generation_config.json's sampling; negative where the model names none.
  double temperature = -1, top_p = -1, min_p = -1, repetition_penalty = -1;
  int32_t top_k = -1;
};

// One session's part in a batched step.
struct StepItem {
  Session* session = nullptr;
  std::span<const int32_t> tokens;  // appended to that session; its logits follow the last one
};

using LoadProgress = std::function<bool(int64_t done_bytes, int64_t total_bytes)>;

class EngineImpl;

class Engine {
 public:
  static Result<Engine> load(const ModelSource& source, const EngineOptions& options,
                             const LoadProgress& progress = {});
  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;
  // Sessions must be gone. After a first load it waits until the packed cache is written, a second or a few for 2 GB.
  ~Engine();

  const ModelInfo& info() const;
  Result<Session> new_session();

  // Appends to many sessions in one forward. At most chunk_tok tokens in all and batch_rows sessions. Fails before
  // computing anything when a session's context or the pool is full; no session is changed then.
  Status step(std::span<const StepItem> items);

  // Ids that sampling must never choose (rows of the output that no token of the tokenizer spells).
  void set_textless_ids(std::vector<int32_t> ids);

  // For rooms inside bantam.
  EngineImpl& impl() { return *impl_; }

 private:
  explicit Engine(std::unique_ptr<EngineImpl> impl);
  std::unique_ptr<EngineImpl> impl_;
};

}  // namespace bantam
