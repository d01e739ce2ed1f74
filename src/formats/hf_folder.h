// Where things lie in a Hugging Face model folder: the names of its text files, and which weight files it has. Says
// nothing about their contents. Pure functions over names; called by Checkpoint.
#pragma once

#include <array>
#include <string_view>

namespace bantam::formats {

inline constexpr std::string_view kSingleWeights = "model.safetensors";
inline constexpr std::string_view kWeightsIndex = "model.safetensors.index.json";

// Text files a Checkpoint offers when the folder has them.
inline constexpr std::array<std::string_view, 16> kTextFiles = {
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "chat_template.json",
    "adapter_config.json",
    "README.md",
    "LICENSE",
    "LICENSE.txt",
    "LICENSE.md",
    "NOTICE",
};

// True for a name that can only mean a file directly inside the folder: no separators, no "..", no control characters.
bool is_plain_file_name(std::string_view name);

}  // namespace bantam::formats
