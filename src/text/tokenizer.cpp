// Implements text/tokenizer.h. Encoding in stages, as the reference's: added tokens are cut out of the text, each piece
// between them is brought to NFC, normalised added tokens are cut out of that, and what remains is split into words.
#include "text/tokenizer.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "base/utf8.h"
#include "text/nfc.h"
#include "text/tokenizer_parts.h"
#include "text/unicode.h"

namespace bantam::text {
namespace {

// Half-open stretches of a text, in order and not touching each other.
using Ranges = std::vector<std::pair<size_t, size_t>>;

void add_range(Ranges* ranges, size_t begin, size_t end) {
  if (begin >= end) return;
  if (!ranges->empty() && ranges->back().second == begin) {
    ranges->back().second = end;
  } else {
    ranges->push_back({begin, end});
  }
}

// The part of `ranges` within [begin, end), counted from begin.
Ranges cut_ranges(const Ranges& ranges, size_t begin, size_t end) {
  Ranges out;
  auto at =
      std::lower_bound(ranges.begin(), ranges.end(), begin, [](const auto& r, size_t b) { return r.second <= b; });
  for (; at != ranges.end() && at->first < end; ++at) {
    add_range(&out, std::max(at->first, begin) - begin, std::min(at->second, end) - begin);
  }
  return out;
}

// The same stretches in the normalised text. A character that normalisation made counts only when all it was made from
// does.
Ranges map_ranges(const Ranges& ranges, const std::vector<NfcEdit>& edits) {
  Ranges out;
  size_t next = 0;      // first edit that ends behind the current position
  ptrdiff_t shift = 0;  // from input to output, behind the edits before `next`
  const auto pass_edits = [&](size_t position) {
    while (next < edits.size() && edits[next].in_end <= position) {
      shift = static_cast<ptrdiff_t>(edits[next].out_end) - static_cast<ptrdiff_t>(edits[next].in_end);
      ++next;
    }
  };
  const auto shifted = [&](size_t position) { return static_cast<size_t>(static_cast<ptrdiff_t>(position) + shift); };
  for (const auto& [begin, end] : ranges) {
    pass_edits(begin);
    size_t out_begin = shifted(begin);
    if (next < edits.size() && edits[next].in_begin < begin) out_begin = edits[next].out_end;
    pass_edits(end);
    size_t out_end = shifted(end);
    if (next < edits.size() && edits[next].in_begin < end) out_end = edits[next].out_begin;
    add_range(&out, out_begin, out_end);
  }
  return out;
}

bool is_space_at(std::string_view text, size_t at, size_t* length) {
  const Utf8Char c = decode_utf8(text.data() + at, text.data() + text.size());
  *length = c.length;
  return Unicode::get().char_class(c.code) == CharClass::kSpace;
}

// Where the white space before `end` begins, not before `limit`.
size_t space_begin(std::string_view text, size_t limit, size_t end) {
  while (end > limit) {
    size_t at = end - 1;
    while (at > limit && end - at < 4 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
    size_t length;
    if (!is_space_at(text.substr(0, end), at, &length) || at + length != end) break;
    end = at;
  }
  return end;
}

size_t space_end(std::string_view text, size_t at) {
  for (size_t length; at < text.size() && is_space_at(text, at, &length);) at += length;
  return at;
}

// Encodes one call's text. Holds the normalised pieces for the word cache, which points into them.
class Encoding {
 public:
  Encoding(const TokenizerParts& parts, size_t text_bytes)
      : parts_(parts), words_(parts.whole_words, parts.bpe, parts.seams, text_bytes, &ids_) {
    ids_.reserve(text_bytes / 3 + 4);
  }

  void encode(std::string_view text, const Ranges& allowed) {
    cut(text, allowed, parts_.raw_matcher, [&](size_t begin, size_t end) {
      const bool look_again = !parts_.normal_matcher.empty() && !allowed.empty();
      encode_piece(text.substr(begin, end - begin), look_again ? cut_ranges(allowed, begin, end) : Ranges());
    });
  }
  std::vector<int32_t> take() { return std::move(ids_); }

 private:
  // Emits the ids of the matches that lie in `allowed` and calls rest(begin, end) for what is between them.
  template <class Rest>
  void cut(std::string_view text, const Ranges& allowed, const AddedMatcher& matcher, Rest rest) {
    size_t done = 0;  // everything before is emitted
    for (const auto& [range_begin, range_end] : allowed) {
      AddedMatcher::Match match;
      for (size_t from = range_begin; matcher.find(text, from, range_end, &match); from = match.end) {
        const AddedToken& token = parts_.added[static_cast<size_t>(match.token)];
        const size_t begin = token.lstrip ? space_begin(text, std::min(done, match.begin), match.begin) : match.begin;
        if (done < begin) rest(done, begin);
        ids_.push_back(token.id);
        done = token.rstrip ? space_end(text, match.end) : match.end;
      }
    }
    if (done < text.size()) rest(done, text.size());
  }

  void encode_piece(std::string_view piece, const Ranges& allowed) {
    std::vector<NfcEdit> edits;
    const std::string_view normal = to_nfc(piece, &buffer_, allowed.empty() ? nullptr : &edits);
    if (normal.data() == buffer_.data()) {
      normalised_.push_back(std::move(buffer_));
      buffer_ = {};
      return encode_normal(normalised_.back(), map_ranges(allowed, edits));
    }
    encode_normal(normal, allowed);
  }

  void encode_normal(std::string_view text, const Ranges& allowed) {
    cut(text, allowed, parts_.normal_matcher,
        [&](size_t begin, size_t end) { words_.encode(text.substr(begin, end - begin)); });
  }

  const TokenizerParts& parts_;
  std::vector<int32_t> ids_;
  WordEncoder words_;
  std::string buffer_;
  std::deque<std::string> normalised_;
};

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<const TokenizerParts> parts) : parts_(std::move(parts)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool allow_added) const {
  Encoding encoding(*parts_, text.size());
  encoding.encode(text, allow_added ? Ranges{{0, text.size()}} : Ranges());
  return encoding.take();
}

std::vector<int32_t> Tokenizer::encode(std::span<const Span> spans) const {
  std::string text;
  Ranges allowed;
  for (const Span& span : spans) {
    if (span.allow_control) add_range(&allowed, text.size(), text.size() + span.text.size());
    text += span.text;
  }
  Encoding encoding(*parts_, text.size());
  encoding.encode(text, allowed);
  return encoding.take();
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string bytes;
  for (const int32_t id : ids) {
    if (skip_special && is_special(id)) continue;
    bytes += token_bytes(id);
  }
  std::string text;
  append_lossy(&text, bytes);
  return text;
}

std::string_view Tokenizer::token_bytes(int32_t id) const {
  return parts_->tokens.bytes(id);
}
bool Tokenizer::has_text(int32_t id) const {
  return parts_->tokens.has_text(id);
}

namespace {
const AddedToken* find_by_id(std::span<const AddedToken> added, int32_t id) {
  const auto at = std::lower_bound(added.begin(), added.end(), id,
                                   [](const AddedToken& token, int32_t wanted) { return token.id < wanted; });
  return at != added.end() && at->id == id ? &*at : nullptr;
}
}  // namespace

bool Tokenizer::is_added(int32_t id) const {
  return find_by_id(parts_->added, id) != nullptr;
}

bool Tokenizer::is_special(int32_t id) const {
  const AddedToken* token = find_by_id(parts_->added, id);
  return token != nullptr && token->special;
}

std::optional<int32_t> Tokenizer::find_added(std::string_view content) const {
  for (const AddedToken& token : parts_->added) {
    if (token.content == content) return token.id;
  }
  return std::nullopt;
}

std::span<const AddedToken> Tokenizer::added_tokens() const {
  return parts_->added;
}

int32_t Tokenizer::size() const {
  return parts_->size;
}
std::string_view Tokenizer::chat_template() const {
  return parts_->chat_template;
}
std::optional<int32_t> Tokenizer::eos_id() const {
  return parts_->eos_id;
}

}  // namespace bantam::text
