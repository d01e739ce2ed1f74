// Implements text/nfc.h. A quick check walks the text; only the stretch around a suspicious character, from the last
// starter before it to the next character that can neither move nor combine, is decomposed, ordered and recomposed.
#include "text/nfc.h"

#include <array>
#include <cstring>
#include <span>

#include "base/utf8.h"
#include "text/unicode.h"

namespace bantam::text {
namespace {

struct Mark {
  char32_t code;
  uint8_t combining_class;
};

// Appends the full canonical decomposition. Only a `first` ever decomposes further, at most three times (the tests
// check both over the whole table), so no recursion is needed: the seconds come out in reverse.
void append_decomposed(const Unicode& unicode, char32_t code, std::vector<Mark>* out) {
  char32_t seconds[8];
  int count = 0;
  for (Decomposition step; count < 8 && (step = unicode.decompose(code)).first != 0; code = step.first) {
    if (step.second != 0) seconds[count++] = step.second;
  }
  out->push_back({code, unicode.props(code).combining_class});
  while (count > 0) {
    const char32_t second = seconds[--count];
    out->push_back({second, unicode.props(second).combining_class});
  }
}

// Stably sorts a run of marks by class: by insertion when short, else by counting, so that no run is quadratic.
void sort_run(std::span<Mark> run) {
  constexpr size_t kShort = 16;
  if (run.size() <= kShort) {
    for (size_t i = 1; i < run.size(); ++i) {
      const Mark mark = run[i];
      size_t at = i;
      for (; at > 0 && run[at - 1].combining_class > mark.combining_class; --at) run[at] = run[at - 1];
      run[at] = mark;
    }
    return;
  }
  std::array<size_t, 257> begin{};  // by class: where its marks go
  for (const Mark& mark : run) ++begin[mark.combining_class + 1u];
  for (size_t i = 1; i < begin.size(); ++i) begin[i] += begin[i - 1];
  const std::vector<Mark> unsorted(run.begin(), run.end());
  for (const Mark& mark : unsorted) run[begin[mark.combining_class]++] = mark;
}

// Canonical ordering: marks between starters in order of class.
void order_marks(std::span<Mark> marks) {
  for (size_t at = 0; at < marks.size();) {
    size_t end = at;
    while (end < marks.size() && marks[end].combining_class != 0) ++end;
    sort_run(marks.subspan(at, end - at));
    at = end + 1;
  }
}

// Canonical composition in place: each character joins the last starter unless something between them blocks it.
void compose(const Unicode& unicode, std::vector<Mark>* marks) {
  size_t kept = 0;
  size_t starter = SIZE_MAX;
  for (size_t i = 0; i < marks->size(); ++i) {
    const Mark mark = (*marks)[i];
    if (starter != SIZE_MAX) {
      const bool adjacent = kept == starter + 1;
      const bool blocked = !adjacent && (*marks)[kept - 1].combining_class >= mark.combining_class;
      const char32_t composite = blocked ? 0 : unicode.compose((*marks)[starter].code, mark.code);
      if (composite != 0) {
        (*marks)[starter].code = composite;
        continue;
      }
    }
    if (mark.combining_class == 0) starter = kept;
    (*marks)[kept++] = mark;
  }
  marks->resize(kept);
}

// Puts the NFC form of a stretch of well-formed text into *out; `scratch` only saves allocations.
void normalise_stretch(const Unicode& unicode, std::string_view stretch, std::vector<Mark>* scratch, std::string* out) {
  std::vector<Mark>& marks = *scratch;
  marks.clear();
  out->clear();
  const char* const end = stretch.data() + stretch.size();
  for (const char* at = stretch.data(); at < end;) {
    const Utf8Char c = decode_utf8(at, end);
    append_decomposed(unicode, c.code, &marks);
    at += c.length;
  }
  order_marks(marks);
  compose(unicode, &marks);
  for (const Mark& mark : marks) append_utf8(out, mark.code);
}

// A character before which a stretch may end: it stays as it is, whatever comes before.
bool is_boundary(const CharProps& props) {
  return props.combining_class == 0 && props.nfc_check == NfcCheck::kYes;
}

// Skips characters below U+0300, which neither move nor combine backwards: bytes below 0xCC. Returns where the first
// other byte is.
const char* skip_low(const char* at, const char* end) {
  constexpr uint64_t kHighBits = 0x8080808080808080;
  for (uint64_t word; end - at >= 8; at += 8) {
    std::memcpy(&word, at, sizeof word);
    if ((word & kHighBits) != 0) break;
  }
  while (at < end && static_cast<unsigned char>(*at) < 0xCC) ++at;
  return at;
}

// Where the last character of the skipped bytes [begin, end) starts; `end` when it is an invalid byte, as that combines
// with nothing.
const char* last_low_character(const char* begin, const char* end) {
  const auto last = static_cast<unsigned char>(end[-1]);
  if (last < 0x80) return end - 1;
  const bool has_lead = end - begin >= 2 && last < 0xC0 && static_cast<unsigned char>(end[-2]) >= 0xC2;
  return has_lead ? end - 2 : end;
}

// The next stretch that may not be in NFC, from `at` on; returns false when there is none. REQUIRES: `at` is the start
// of the text or of a character that is_boundary.
bool find_stretch(const Unicode& unicode, const char* at, const char* end, std::string_view* stretch) {
  const char* boundary = at;  // the last character at which a stretch may begin
  uint8_t last_class = 0;
  while (at < end) {
    if (const char* const skipped = skip_low(at, end); skipped != at) {
      boundary = last_low_character(at, skipped);
      last_class = 0;
      at = skipped;
      continue;
    }
    const Utf8Char c = decode_utf8(at, end);
    const CharProps& props = unicode.props(c.code);
    if (is_boundary(props)) {
      boundary = c.code == kInvalidByte ? at + 1 : at;
      last_class = 0;
      at += c.length;
      continue;
    }
    const bool misplaced = props.combining_class != 0 && props.combining_class < last_class;
    if (props.nfc_check == NfcCheck::kYes && !misplaced) {
      last_class = props.combining_class;
      at += c.length;
      continue;
    }
    for (at += c.length; at < end;) {
      const Utf8Char next = decode_utf8(at, end);
      if (is_boundary(unicode.props(next.code))) break;
      at += next.length;
    }
    *stretch = {boundary, static_cast<size_t>(at - boundary)};
    return true;
  }
  return false;
}

}  // namespace

std::string_view to_nfc(std::string_view text, std::string* buffer, std::vector<NfcEdit>* edits) {
  const Unicode& unicode = Unicode::get();
  const char* copied = text.data();
  const char* const end = copied + text.size();
  std::string_view stretch;
  bool changed = false;
  std::string normal;
  std::vector<Mark> scratch;
  for (const char* at = copied; find_stretch(unicode, at, end, &stretch); at = stretch.data() + stretch.size()) {
    normalise_stretch(unicode, stretch, &scratch, &normal);
    if (normal == stretch) continue;
    if (!changed) buffer->clear();
    changed = true;
    buffer->append(copied, stretch.data());
    copied = stretch.data() + stretch.size();
    if (edits != nullptr) {
      edits->push_back({static_cast<size_t>(stretch.data() - text.data()), static_cast<size_t>(copied - text.data()),
                        buffer->size(), buffer->size() + normal.size()});
    }
    buffer->append(normal);
  }
  if (!changed) return text;
  buffer->append(copied, end);
  return *buffer;
}

}  // namespace bantam::text
