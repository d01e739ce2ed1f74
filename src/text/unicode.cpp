// Implements text/unicode.h: unpacks unicode_tables.cpp, derives NFC_Quick_Check (UAX #15) from the decompositions.
#include "text/unicode.h"

#include <algorithm>

#include "base/check.h"
#include "text/unicode_tables.h"

namespace bantam::text {
namespace {

// Hangul syllables compose by formula (Unicode 3.12).
constexpr char32_t kSyllableBase = 0xAC00, kLeadBase = 0x1100, kVowelBase = 0x1161, kTrailBase = 0x11A7;
constexpr char32_t kLeads = 19, kVowels = 21, kTrails = 28;  // kTrails counts "no trail" as the first
constexpr char32_t kSyllables = kLeads * kVowels * kTrails;

// Calls fill(begin, end, value) for every run.
template <class Fill>
void for_each_run(std::span<const uint32_t> runs, uint32_t code_points, Fill fill) {
  for (size_t i = 0; i < runs.size(); ++i) {
    const uint32_t begin = runs[i] & 0xFFFFFF;
    const uint32_t end = i + 1 < runs.size() ? runs[i + 1] & 0xFFFFFF : code_points;
    fill(begin, end, static_cast<uint8_t>(runs[i] >> 24));
  }
}

}  // namespace

const Unicode& Unicode::get() {
  static const Unicode instance;
  return instance;
}

Unicode::Unicode() : index_(kCodePoints), records_{} {
  fill_properties();
  for (const DecompositionRow& row : kDecompositions) {
    if ((row.code & kComposes) == 0) continue;
    composites_.push_back({uint64_t{row.first} << 32 | row.second, row.code & ~kComposes});
  }
  std::sort(composites_.begin(), composites_.end(), [](const Pair& a, const Pair& b) { return a.key < b.key; });
}

uint8_t Unicode::record_of(CharProps props) {
  const auto end = records_.begin() + record_count_;
  const auto found = std::find(records_.begin(), end, props);
  if (found == end) {
    BANTAM_CHECK(record_count_ < 256);  // 4 classes, 3 checks and 55 combining classes: about 70 occur together
    *found = props;
    ++record_count_;
  }
  return static_cast<uint8_t>(found - records_.begin());
}

void Unicode::fill_properties() {
  for_each_run(kClassRuns, kCodePoints, [this](uint32_t begin, uint32_t end, uint8_t value) {
    const uint8_t record = record_of({static_cast<CharClass>(value), NfcCheck::kYes, 0});
    std::fill(index_.begin() + begin, index_.begin() + end, record);
  });
  const auto change = [this](char32_t code, auto edit) {
    CharProps changed = props(code);
    edit(&changed);
    index_[code] = record_of(changed);
  };
  for_each_run(kCombiningClassRuns, kCodePoints, [&](uint32_t begin, uint32_t end, uint8_t value) {
    if (value == 0) return;
    for (char32_t code = begin; code < end; ++code) change(code, [=](CharProps* p) { p->combining_class = value; });
  });
  const auto may_combine = [](CharProps* p) { p->nfc_check = std::max(p->nfc_check, NfcCheck::kMaybe); };
  for (const DecompositionRow& row : kDecompositions) {
    if ((row.code & kComposes) != 0) {
      change(row.second, may_combine);
    } else {
      change(row.code, [](CharProps* p) { p->nfc_check = NfcCheck::kNo; });
    }
  }
  for (char32_t vowel = 0; vowel < kVowels; ++vowel) change(kVowelBase + vowel, may_combine);
  for (char32_t trail = 1; trail < kTrails; ++trail) change(kTrailBase + trail, may_combine);
}

Decomposition Unicode::decompose(char32_t code) const {
  if (code >= kSyllableBase && code < kSyllableBase + kSyllables) {
    const char32_t syllable = code - kSyllableBase;
    const char32_t trail = syllable % kTrails;
    if (trail != 0) return {code - trail, kTrailBase + trail};
    return {kLeadBase + syllable / (kVowels * kTrails), kVowelBase + syllable / kTrails % kVowels};
  }
  const auto row = std::lower_bound(kDecompositions.begin(), kDecompositions.end(), code,
                                    [](const DecompositionRow& r, char32_t c) { return (r.code & ~kComposes) < c; });
  if (row == kDecompositions.end() || (row->code & ~kComposes) != code) return {};
  return {row->first, row->second};
}

char32_t Unicode::compose(char32_t first, char32_t second) const {
  if (first >= kLeadBase && first < kLeadBase + kLeads && second >= kVowelBase && second < kVowelBase + kVowels) {
    return kSyllableBase + ((first - kLeadBase) * kVowels + (second - kVowelBase)) * kTrails;
  }
  if (first >= kSyllableBase && first < kSyllableBase + kSyllables && (first - kSyllableBase) % kTrails == 0 &&
      second > kTrailBase && second < kTrailBase + kTrails) {
    return first + (second - kTrailBase);
  }
  const uint64_t key = uint64_t{first} << 32 | second;
  const auto found = std::lower_bound(composites_.begin(), composites_.end(), key,
                                      [](const Pair& pair, uint64_t k) { return pair.key < k; });
  return found != composites_.end() && found->key == key ? found->composite : 0;
}

}  // namespace bantam::text
