// Jinja source reduced to what matters for its meaning, so that templates can be compared. Not an interpreter.
// Called by match_template only. Pure functions; thread-safe; linear in the source's length, no recursion.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bantam::text {

// The source in one canonical spelling: output text after white-space control (trim_blocks and lstrip_blocks on, as
// transformers sets them), tags as their tokens joined by single blanks, string literals decoded and single-quoted,
// comments and the output-neutral {% generation %} tags gone. Two sources with equal canonical text render equally.
// nullopt when a tag or a string is not closed.
std::optional<std::string> canonical_jinja(std::string_view source);

// FNV-1a, 64 bits.
uint64_t fingerprint(std::string_view canonical);

}  // namespace bantam::text
