// Implements text/tokenizer_parts.h.
#include "text/tokenizer_parts.h"

#include <algorithm>
#include <array>
#include <memory>

#include "base/utf8.h"
#include "text/byte_level.h"
#include "text/nfc.h"

namespace bantam::text {
namespace {

constexpr size_t kMaxTextBytes = size_t{1} << 31;

// For messages: a token's spelling, shortened, so that a hostile file cannot flood the terminal.
std::string shown(std::string_view spelling) {
  std::string out;
  append_lossy(&out, spelling.substr(0, 40));
  return spelling.size() > 40 ? out + "..." : out;
}

// Sorts by id; errors for ids or contents that occur twice and contents of impossible length.
Status check_added(std::vector<AddedToken>* added) {
  std::sort(added->begin(), added->end(), [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  std::vector<std::string_view> contents;
  for (size_t i = 0; i < added->size(); ++i) {
    const AddedToken& token = (*added)[i];
    if (token.content.empty() || token.content.size() > kMaxAddedBytes) {
      return bad_input("added token {}: expected 1 to {} bytes of content, got {}", token.id, kMaxAddedBytes,
                       token.content.size());
    }
    if (i > 0 && (*added)[i - 1].id == token.id) return bad_input("added token {}: this id occurs twice", token.id);
    contents.push_back(token.content);
  }
  std::sort(contents.begin(), contents.end());
  const auto twice = std::adjacent_find(contents.begin(), contents.end());
  if (twice != contents.end()) return bad_input("added token {}: this content occurs twice", shown(*twice));
  return {};
}

// The table of all ids: BPE tokens, indexed, and added tokens, which take precedence in what an id's text is.
Result<TokenTable> make_table(const TokenizerData& data) {
  size_t ids = data.tokens.size();
  if (!data.added.empty()) ids = std::max(ids, static_cast<size_t>(data.added.back().id) + 1);
  size_t text_bytes = 0;
  for (const std::string_view spelling : data.tokens) text_bytes += spelling.size();
  for (const AddedToken& token : data.added) text_bytes += token.content.size();
  if (text_bytes > kMaxTextBytes) {
    return bad_input("expected tokens of at most {} bytes in all, got {}", kMaxTextBytes, text_bytes);
  }
  TokenTable table(ids, text_bytes);
  auto added = data.added.begin();
  std::string normal;
  for (size_t id = 0; id < ids; ++id) {
    const std::string_view spelling = id < data.tokens.size() ? data.tokens[id] : std::string_view();
    const bool is_added = added != data.added.end() && static_cast<size_t>(added->id) == id;
    if (is_added && !spelling.empty() && spelling != added->content) {
      return bad_input("added token {}: expected the vocabulary's {}, got {}", id, shown(spelling),
                       shown(added->content));
    }
    bool is_bytes = false;
    if (is_added) {
      const std::string_view text = added->normalized ? to_nfc(added->content, &normal) : added->content;
      is_bytes = append_byte_level(table.text(), text) && text == spelling;
      ++added;
    } else if (!spelling.empty()) {
      is_bytes = append_byte_level(table.text(), spelling);
    }
    table.close_id(is_added || !spelling.empty());
    if (is_bytes && !table.index(static_cast<int32_t>(id))) {
      return bad_input("token {}: {} occurs twice in the vocabulary", id, shown(spelling));
    }
  }
  return table;
}

Result<Bpe> make_bpe(const TokenizerData& data, const TokenTable& table) {
  std::array<int32_t, 256> byte_ids;
  for (size_t byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    byte_ids[byte] = table.find(std::string_view(&c, 1));
    if (byte_ids[byte] < 0)
      return bad_input("vocabulary: expected a token for every byte, got none for 0x{:02X}", byte);
  }
  std::vector<Merge> merges;
  merges.reserve(data.merges.size());
  std::string bytes;
  for (const auto& [left, right] : data.merges) {
    bytes.clear();
    const bool left_good = append_byte_level(&bytes, left);
    const size_t left_bytes = bytes.size();
    const bool right_good = append_byte_level(&bytes, right);
    const std::string_view whole = bytes;
    const Merge merge{table.find(whole.substr(0, left_bytes)), table.find(whole.substr(left_bytes)), table.find(whole)};
    if (!left_good || !right_good || merge.left < 0 || merge.right < 0 || merge.merged < 0) {
      return bad_input("merge {}: expected two tokens that make a third of the vocabulary, got {} and {}",
                       merges.size(), shown(left), shown(right));
    }
    merges.push_back(merge);
  }
  return Bpe::create(byte_ids, merges);
}

}  // namespace

Status check_id(int64_t id, size_t tokens_in_file, std::string_view where) {
  const int64_t limit = std::min<int64_t>(kMaxTokenIds, 2 * static_cast<int64_t>(tokens_in_file) + 1024);
  if (id >= 0 && id < limit) return {};
  return bad_input("{}: expected an id from 0 to {}, got {}", where, limit - 1, id);
}

Result<Tokenizer> make_tokenizer(TokenizerData data) {
  for (const AddedToken& token : data.added) {
    BANTAM_TRY(check_id(token.id, data.tokens.size() + data.added.size(), "added token"));
  }
  BANTAM_TRY(check_added(&data.added));
  BANTAM_TRY_ASSIGN(TokenTable table, make_table(data));
  BANTAM_TRY_ASSIGN(Bpe bpe, make_bpe(data, table));
  Seams seams;
  for (int32_t id = 0; id < table.size(); ++id) seams.add_token(table.bytes(id));
  auto parts = std::make_unique<TokenizerParts>(std::move(table), std::move(bpe), std::move(seams));
  parts->added = std::move(data.added);
  parts->chat_template = std::move(data.chat_template);
  std::string normal;
  for (size_t i = 0; i < parts->added.size(); ++i) {
    const AddedToken& token = parts->added[i];
    if (token.normalized) {
      parts->normal_matcher.add(to_nfc(token.content, &normal), static_cast<int32_t>(i));
    } else {
      parts->raw_matcher.add(token.content, static_cast<int32_t>(i));
    }
    if (token.content == data.eos_token) parts->eos_id = token.id;
  }
  parts->size = parts->tokens.size();
  while (parts->size > 0 && !parts->tokens.has_text(parts->size - 1)) --parts->size;
  return Tokenizer(std::move(parts));
}

}  // namespace bantam::text
