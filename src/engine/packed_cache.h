// The packed cache: weights as packing made them, kept in a folder so that the next load reads instead of packing.
// Called by engine.cpp when a model is loaded and by `bantam cache`. One thread at a time per object; several
// processes may share the folder: files appear whole, and one that is removed stays readable for who has it open.
//
// A file's name is its key, and the key is what the bytes depend on: where each tensor lies, its type, what packing
// makes of known blocks of that type (so no version number can be forgotten), and which file the tensors come from.
// The last is told by the file's size, the time it was written, and 4 KiB out of every tensor. Reading all of it would
// be surer and cost what the cache saves; a file changed in place has a new time, a file swapped under an old time has
// other weights in every tensor, and what neither tells apart (a few bytes changed and the time set back) is no
// accident. Names and paths do not count: a model that was moved or linked is the same model.
// Least recently used files go first when the folder would grow beyond its size. A file that is damaged, cut or not
// what its name says is removed and made again.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "bantam/engine.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "formats/packed_file.h"
#include "model/weights.h"

namespace bantam::engine {

// Writes one file of the cache beside other work, on a thread that only takes time nobody else wants.
class PackedStore {
 public:
  PackedStore() = default;
  PackedStore(const PackedStore&) = delete;
  PackedStore& operator=(const PackedStore&) = delete;
  ~PackedStore() { (void)wait(); }
  // REQUIRES: the blob stays as it is until wait() has returned; not started before.
  void start(std::string path, formats::PackedFileInfo info, std::span<const std::byte> blob);
  bool started() const { return thread_.joinable(); }
  // Waits for the file, now at normal priority. What became of it; kCancelled after stop().
  Status wait();
  void stop() { stop_ = true; }

 private:
  std::thread thread_;
  std::atomic<bool> stop_ = false;
  Status status_;
};

class PackedCache {
 public:
  explicit PackedCache(PackedCacheOptions options) : options_(std::move(options)) {}

  // 32 hexadecimal digits that name the packed form of this checkpoint.
  static Result<std::string> key_of(const formats::Checkpoint& checkpoint, const model::Binding& binding);

  // The weights from the cache, read by all threads; nothing when they are not there. A file that turns out to be
  // unusable is removed and `note` says so. Errors: cancelled by `progress`, no memory.
  Result<std::optional<model::Weights>> read(const std::string& key, const model::Binding& binding, ThreadPool& pool,
                                             const LoadProgress& progress, std::string* note);
  // Makes room and starts writing. Does nothing when the file would not fit into the cache or leave the disk too full;
  // `note` says what else is in the way.
  void write(const std::string& key, const std::string& model_name, DType type, const model::Weights& weights,
             PackedStore* store, std::string* note);

  struct Entry {
    std::string key, model, type;  // model and type are empty when the file is damaged
    int64_t bytes = 0;             // on disk
    int64_t last_used_s = 0;       // since 1970
  };
  // Least recently used first.
  std::vector<Entry> list() const;
  // Removes everything of the cache and what killed writers left; returns the bytes freed.
  Result<int64_t> clear();
  const PackedCacheOptions& options() const { return options_; }

 private:
  std::string path_of(const std::string& key) const;
  Status read_pieces(const formats::PackedFile& file, model::Weights& weights, ThreadPool& pool,
                     const LoadProgress& progress) const;
  Status make_room(int64_t bytes);

  PackedCacheOptions options_;
};

// What Engine::load calls: weights from the cache, or packed and then written to it. The cache is left out when
// options.folder is empty or the model small; trouble with it is never an error, only a note.
struct LoadedWeights {
  model::Weights weights;
  bool from_cache = false;
  std::string note;  // what a user should hear about the cache, or nothing
};
Result<LoadedWeights> load_weights(const formats::Checkpoint& checkpoint, const model::Binding& binding,
                                   ThreadPool& pool, const PackedCacheOptions& options, const LoadProgress& progress,
                                   PackedStore* store);

}  // namespace bantam::engine
