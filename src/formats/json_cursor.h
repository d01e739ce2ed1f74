// A strict pull reader over JSON text, for headers whose shape is known (safetensors, the shard index). It builds no
// tree: a tree costs up to thirty times the text, and a file must not make us allocate more than a few times its size.
// Every error names the byte. Strings without escapes are views into the text; others live in the caller's arena.
// One thread at a time.
#pragma once

#include <cstdint>
#include <forward_list>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bantam::formats {

using StringArena = std::forward_list<std::string>;  // never moves its elements; free while empty

class JsonCursor {
 public:
  // first_byte: where text starts in file_name, for messages. REQUIRES: both strings outlive the cursor.
  JsonCursor(std::string_view text, uint64_t first_byte, std::string_view file_name)
      : text_(text), first_byte_(first_byte), file_name_(file_name) {}

  // "at byte 1,234 of model.safetensors"
  std::string place() const { return place(at_); }
  // Skips white space, then takes c if it is next.
  bool accept(char c);
  Status expect(char c);
  Status string(StringArena* arena, std::string_view* out);
  // A non-negative integer below 2^63, digits only.
  Status size(uint64_t* out);
  // Walks over any value without keeping it; nesting up to 64 levels.
  Status skip_value();
  // Values that skip_value() has met, nested ones included.
  uint64_t values_skipped() const { return values_skipped_; }
  // Only white space may follow.
  Status end();
  // kBadInput "expected WHAT, got 'x' at byte N of FILE".
  Status unexpected(std::string_view what);

 private:
  void skip_space();
  Status skip_scalar();
  std::string place(size_t at) const;
  Status unescape(std::string_view raw, size_t at, std::string* out) const;
  std::string_view text_;
  uint64_t first_byte_;
  std::string_view file_name_;
  size_t at_ = 0;
  uint64_t values_skipped_ = 0;
};

}  // namespace bantam::formats
