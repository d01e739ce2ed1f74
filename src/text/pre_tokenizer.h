// The split of the Qwen2 family: which stretches of text are BPE words. A hand-written scanner of the pattern
//   (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
// that looks at each character a bounded number of times and never recurses. Used by the tokenizer; stateless.
#pragma once

#include <cstddef>
#include <string_view>

namespace bantam::text {

// The pattern's text as it stands in tokenizer.json.
inline constexpr std::string_view kSplitPattern =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
    "\\s+(?!\\S)|\\s+";

// Where the word that starts at `begin` ends. Every text is covered by words without gaps. Bytes that are not UTF-8
// count as symbols. REQUIRES: begin < text.size(), and it is where the previous word ended.
size_t word_end(std::string_view text, size_t begin);

}  // namespace bantam::text
