// See turn_memory.h.
#include "server/turn_memory.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"

namespace bantam::server {
namespace {

std::string id_key(const std::string& model, std::string_view id) {
  return fmt::format("{}\n#{}", model, id);
}

// A fingerprint will do: two texts that share one are told apart where their bytes are compared. Newlines at the end
// are the template's affair.
std::string text_key(const std::string& model, std::string_view content) {
  content = content.substr(0, content.find_last_not_of('\n') + 1);  // npos + 1 is 0
  return fmt::format("{}\n={:016x}", model, Fingerprint::of(std::as_bytes(std::span(content))));
}

}  // namespace

void TurnMemory::forget(Owner& owner, std::list<Entry>::iterator entry) {
  for (const std::string& key : entry->keys) owner.by_key.erase(key);
  owner.bytes -= entry->bytes;
  owner.entries.erase(entry);
}

// Gives a key to an entry; the one that had it stays while it has others.
void TurnMemory::claim(Owner& owner, std::string key, std::list<Entry>::iterator entry) {
  const auto [found, is_new] = owner.by_key.try_emplace(key, entry);
  if (!is_new) {
    const auto old = std::exchange(found->second, entry);
    if (old == entry) return;
    std::erase(old->keys, key);
    if (old->keys.empty()) forget(owner, old);
  }
  entry->keys.push_back(std::move(key));
}

void TurnMemory::add(const std::string& owner_name, const std::string& model, engine::WrittenTurn turn,
                     std::span<const std::string> ids, std::string_view content) {
  constexpr int64_t kKeyBytes = 128;  // about what a key takes in the maps beside its text
  int64_t bytes = static_cast<int64_t>(turn.ids.size() * sizeof(int32_t)) + 2 * kKeyBytes;
  for (const std::string& id : ids) bytes += kKeyBytes + 2 * static_cast<int64_t>(id.size() + model.size());
  if (content.empty() || bytes > limit_bytes_) return;
  const std::lock_guard lock(mutex_);
  Owner& owner = owners_[owner_name];
  while (owner.bytes + bytes > limit_bytes_) forget(owner, owner.entries.begin());
  const auto entry = owner.entries.insert(owner.entries.end(), Entry());
  entry->turn = std::make_shared<const engine::WrittenTurn>(std::move(turn));
  entry->bytes = bytes;
  owner.bytes += bytes;
  claim(owner, text_key(model, content), entry);
  for (const std::string& id : ids) claim(owner, id_key(model, id), entry);
}

TurnMemory::TurnPtr TurnMemory::find(const std::string& owner_name, const std::string& model,
                                     std::span<const std::string> ids, std::string_view content) {
  const std::lock_guard lock(mutex_);
  const auto owner = owners_.find(owner_name);
  if (owner == owners_.end()) return nullptr;
  auto& by_key = owner->second.by_key;
  auto found = by_key.end();
  for (const std::string& id : ids) {
    if (found = by_key.find(id_key(model, id)); found != by_key.end()) break;
  }
  if (found == by_key.end()) found = by_key.find(text_key(model, content));
  if (found == by_key.end()) return nullptr;
  auto& entries = owner->second.entries;
  entries.splice(entries.end(), entries, found->second);
  return found->second->turn;
}

int64_t TurnMemory::bytes(const std::string& owner_name) const {
  const std::lock_guard lock(mutex_);
  const auto owner = owners_.find(owner_name);
  return owner != owners_.end() ? owner->second.bytes : 0;
}

}  // namespace bantam::server
