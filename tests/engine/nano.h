// The house model's files for the engine's tests.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "engine/model_files.h"
#include "formats/checkpoint.h"

namespace bantam::engine {

inline std::string nano_folder() {
  return std::string(BANTAM_SOURCE_DIR) + "/models/nano";
}

inline text::Tokenizer nano_tokenizer() {
  auto checkpoint = formats::Checkpoint::open_without_weights(nano_folder());
  EXPECT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  auto tokenizer = load_tokenizer(*checkpoint);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return std::move(*tokenizer);
}

}  // namespace bantam::engine
