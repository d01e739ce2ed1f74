// TurnMemory: the answers of this server as token ids, so that a conversation that comes back is read as it was written
// (engine/written_turn.h). A turn is found by every id that its client got with it (of tool calls, of items), else by
// its text. Every API key has a memory of its own, of bounded size; the longest unused turns go first. Nothing is
// trusted: whoever uses a turn compares its bytes with what was sent. Thread-safe.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/written_turn.h"

namespace bantam::server {

class TurnMemory {
 public:
  using TurnPtr = std::shared_ptr<const engine::WrittenTurn>;

  // bytes: most that one owner's turns may take.
  explicit TurnMemory(int64_t bytes = int64_t{16} << 20) : limit_bytes_(bytes) {}

  // Keeps a turn under `ids` and under its text. owner, model: whose, and the tokens of which model's vocabulary.
  void add(const std::string& owner, const std::string& model, engine::WrittenTurn turn,
           std::span<const std::string> ids, std::string_view content);
  // The turn of the first of `ids` that is known, else the last one of that text; null: none.
  TurnPtr find(const std::string& owner, const std::string& model, std::span<const std::string> ids,
               std::string_view content);
  // What an owner's turns take.
  int64_t bytes(const std::string& owner) const;

 private:
  struct Entry {
    TurnPtr turn;
    std::vector<std::string> keys;
    int64_t bytes = 0;
  };
  struct Owner {
    std::list<Entry> entries;  // the longest unused first
    std::unordered_map<std::string, std::list<Entry>::iterator> by_key;
    int64_t bytes = 0;
  };
  static void forget(Owner& owner, std::list<Entry>::iterator entry);
  static void claim(Owner& owner, std::string key, std::list<Entry>::iterator entry);

  const int64_t limit_bytes_;
  mutable std::mutex mutex_;
  std::map<std::string, Owner> owners_;
};

}  // namespace bantam::server
