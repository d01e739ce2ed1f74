// The byte-level spelling of GPT-2 vocabularies: every byte is written as one printable character (a space as U+0120),
// so that files hold tokens as text. Used by the loaders. Stateless.
#pragma once

#include <string>
#include <string_view>

namespace bantam::text {

// Appends the bytes that `spelled` stands for and returns true; or, when it has a character that stands for no byte,
// appends `spelled` as it is and returns false (what the reference's decoder does).
bool append_byte_level(std::string* out, std::string_view spelled);

}  // namespace bantam::text
