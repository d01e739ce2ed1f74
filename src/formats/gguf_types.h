// ggml's tensor type numbers: their names, and which of them bantam reads. Pure table; thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "tensor/dtype.h"

namespace bantam::formats {

// The type behind a GGUF tensor type number, or nothing when we do not serve it.
std::optional<DType> dtype_of_gguf(uint32_t type);
// ggml's own spelling ("Q4_K", "IQ2_XXS"), or empty for a number ggml does not define.
std::string_view gguf_type_name(uint32_t type);
// The number GGUF gives our type; nothing for F8_E4M3 and U8, which it does not have.
std::optional<uint32_t> gguf_type_of(DType dtype);

}  // namespace bantam::formats
