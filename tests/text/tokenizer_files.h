// The golden tokenizer files of tests/text/cases/tokenizer, for the tests of this folder.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "base/mmap.h"
#include "text/tokenizer_loader.h"

namespace bantam::text {

inline std::string golden_file(const std::string& name) {
  auto text = read_file(std::string(BANTAM_SOURCE_DIR) + "/tests/text/cases/tokenizer/" + name);
  EXPECT_TRUE(text.ok()) << text.status().message();
  return text.ok() ? std::move(text).value() : std::string();
}

inline Tokenizer golden_tokenizer() {
  auto loaded = load_tokenizer(TokenizerFiles{.tokenizer_json = golden_file("tokenizer.json"),
                                              .tokenizer_config_json = golden_file("tokenizer_config.json")});
  if (!loaded.ok()) {
    ADD_FAILURE() << loaded.status().message();
    std::abort();
  }
  return std::move(loaded).value();
}

// The folder of shared data, or empty when this checkout has none.
inline std::string shared_data() {
  const char* named = std::getenv("BANTAM_SHARED");
  const std::string folder = named != nullptr ? named : std::string(BANTAM_SOURCE_DIR) + "/../shared";
  return is_directory(folder + "/data") ? folder + "/data" : std::string();
}

}  // namespace bantam::text
