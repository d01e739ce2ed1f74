// Keys and values of a conversation in a file, so that another process goes on without reading the prompt again: the
// tokens and the whole pages that hold them. What does not fill a page (at most 63 tokens) is left out and computed
// again. Called by the runner for sessions and by BatchGenerator for remembered beginnings.
//
//   "bantam kv 1\n", zeros up to byte 16
//   u64 bytes of the description, u64 number of tokens, u64 bytes of a page, u64 fingerprint of these and the next two
//   the description: JSON {"model","weights","rotation","numerics","kv"}, then zeros up to a multiple of 8
//   the tokens, i32, an even number of them
//   per page: u64 fingerprint, seeded with the head's and the page's number; its bytes: all layers, heads within
// Integers are little-endian. The bytes do not depend on the instruction set, the threads or how the tokens were
// computed (docs/numerics.md), so any machine's file serves any other that runs the same weights in the same mode; the
// 1 is to be raised when what `forward` computes changes in any bit. The file tells what was talked about as the
// conversation itself does: it is as private.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "engine/kv_pool.h"
#include "formats/source_file.h"
#include "model/rope.h"
#include "model/weights.h"

namespace bantam::engine {

// What keys and values depend on, beside the tokens.
struct KvIdentity {
  std::string model;     // a name for people; not compared
  std::string weights;   // fingerprint of all of them, packed, and of the configuration
  std::string rotation;  // of the rotary frequencies: --ctx may stretch them
  std::string numerics;  // fast, exact
  std::string kv;        // the pages' type
};
// Reads all weights: a tenth of a second for 2 GB.
KvIdentity kv_identity(const std::string& model, const model::Weights& weights, const model::Rope& rope,
                       ops::Numerics numerics, const kernels::KvLayout& layout, ThreadPool& pool);

// Writes the whole pages of a timeline; page i of `pages` holds tokens [64 i, 64 i + 64). Returns how many tokens the
// file holds. Nothing is left under `path` when it fails.
Result<int64_t> write_kv_snapshot(const std::string& path, const KvIdentity& identity, std::span<const int32_t> tokens,
                                  const KvPool& pool, std::span<const int32_t> pages);

class KvSnapshot {
 public:
  // Opens and checks all but the pages. `own`: what the engine that wants it computes. Errors: kBadInput, for a damaged
  // or cut file, one of another model, mode, type or stretching, and tokens that are no rows of the model.
  static Result<KvSnapshot> open(const std::string& path, const KvIdentity& own, const kernels::KvLayout& layout,
                                 int64_t vocab_rows);

  std::span<const int32_t> tokens() const { return tokens_; }
  int64_t pages() const { return static_cast<int64_t>(tokens_.size()) / kernels::kPageTok; }
  // Reads page i into page `to` of the pool; kBadInput when it is damaged, and the page holds anything then.
  Status read_page(int64_t i, KvPool* pool, int32_t to) const;

 private:
  KvSnapshot() = default;
  Status read_head(const KvIdentity& own, const kernels::KvLayout& layout, int64_t vocab_rows);

  std::unique_ptr<formats::SourceFile> file_;
  std::vector<int32_t> tokens_;
  uint64_t page_bytes_ = 0, fingerprint_ = 0, pages_at_ = 0;
};

}  // namespace bantam::engine
