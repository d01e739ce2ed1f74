// Tensor type numbers of GGUF files, ggml's and our own: their names, and which of them bantam reads. Pure table;
// thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "tensor/dtype.h"

namespace bantam::formats {

// Our own types have numbers from here on ("bq" in ASCII, far above ggml's and below 2^31: programs that do not know
// them refuse the tensor by its number). docs/formats/bq4.md.
inline constexpr uint32_t kGgufBantamTypes = 0x62710000;

// The type behind a GGUF tensor type number, or nothing when we do not serve it.
std::optional<DType> dtype_of_gguf(uint32_t type);
// ggml's own spelling ("Q4_K", "IQ2_XXS"), or empty for a number that neither ggml nor we define.
std::string_view gguf_type_name(uint32_t type);
// The number GGUF gives our type; nothing for F8_E4M3 and U8, which it does not have.
std::optional<uint32_t> gguf_type_of(DType dtype);

}  // namespace bantam::formats
