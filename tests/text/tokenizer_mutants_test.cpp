// Hostile files: random mutants of tokenizer.json, vocab.json + merges.txt, tokenizer_config.json and GGUF metadata
// must load or give an error, and what loads must encode and decode anything. Meant for the asan build; 3,000 mutants,
// or 100,000 with BANTAM_ORACLES=1, or as many as BANTAM_MUTANTS says.
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/rng.h"
#include "text/stream_decoder.h"
#include "text/tokenizer_files.h"

namespace bantam::text {
namespace {

int mutants() {
  if (const char* count = std::getenv("BANTAM_MUTANTS")) return std::atoi(count);
  return std::getenv("BANTAM_ORACLES") != nullptr ? 100000 : 3000;
}

// Bytes flipped, stretches removed, doubled or moved, numbers blown up, other tokens put in.
std::string mutate(std::string text, Philox* rng) {
  constexpr std::string_view kPieces[] = {"{",
                                          "}",
                                          "[",
                                          "]",
                                          "\"",
                                          ",",
                                          ":",
                                          "null",
                                          "true",
                                          "-1",
                                          "0",
                                          "1e9",
                                          "99999999999999999999",
                                          "4294967296",
                                          "2147483647",
                                          "\\u0000",
                                          "\\ud800",
                                          "\xFF",
                                          "\xC3",
                                          "\"\"",
                                          " ",
                                          "\n",
                                          "Ġ",
                                          "a b",
                                          "\"id\":0",
                                          "\"normalized\":true",
                                          "\"lstrip\":true",
                                          "\"rstrip\":true",
                                          "e\u0301"};
  const bool gentle = rng->below(2) == 0;  // stays valid JSON mostly, so that what comes after parsing is met too
  for (uint32_t edits = 1 + rng->below(gentle ? 2 : 4); edits > 0 && !text.empty(); --edits) {
    const size_t at = rng->below(static_cast<uint32_t>(text.size()));
    const size_t length = std::min<size_t>(text.size() - at, 1 + rng->below(rng->below(8) == 0 ? 400 : 6));
    switch (gentle ? 6 + rng->below(2) : rng->below(7)) {
      case 0:
        text[at] = static_cast<char>(rng->below(256));
        break;
      case 1:
        text.erase(at, length);
        break;
      case 2:
        text.insert(at, text.substr(rng->below(static_cast<uint32_t>(text.size())), length));
        break;
      case 3:
        text.resize(at);
        break;
      case 4:
        text.replace(at, length, kPieces[rng->below(std::size(kPieces))]);
        break;
      case 5:
        text.insert(at, kPieces[rng->below(std::size(kPieces))]);
        break;
      case 6:  // a digit into another: ids collide and move
        if (const size_t digit = text.find_first_of("0123456789", at); digit != std::string::npos) {
          text[digit] = static_cast<char>('0' + rng->below(10));
        }
        break;
      default:  // a letter into another: tokens vanish, collide, no longer make up merges
        if (const size_t letter = text.find_first_of("abcdefghilmnoprstuw<>", at); letter != std::string::npos) {
          text[letter] = "aehlnorst<>|"[rng->below(12)];
        }
    }
  }
  return text;
}

void use(const Tokenizer& tokenizer, Philox* rng) {
  std::string text = "<|im_start|>the tokenizer  caf\u0065\u0301x <left> 的人中国\n123 ";
  for (int i = 0; i < 40; ++i) text += static_cast<char>(rng->below(256));
  for (int i = 0; i < 120; ++i) text += "th"[rng->below(2)];
  for (const bool added : {false, true}) {
    const auto ids = tokenizer.encode(text, added);
    std::string bytes;
    StreamDecoder stream(tokenizer);
    std::string joined;
    for (const int32_t id : ids) {
      ASSERT_TRUE(tokenizer.has_text(id));
      joined += stream.push(id);
    }
    joined += stream.finish();
    ASSERT_EQ(joined, tokenizer.decode(ids));
  }
  for (int32_t id = -2; id < tokenizer.size() + 2; ++id) tokenizer.token_bytes(id);
}

TEST(TokenizerMutants, LoadOrSayWhyNot) {
  const std::string json = golden_file("tokenizer.json"), config = golden_file("tokenizer_config.json");
  const std::string vocab = golden_file("vocab.json"), merges = golden_file("merges.txt");
  Philox rng(2024);
  int loaded_count = 0;
  for (int i = 0; i < mutants(); ++i) {
    TokenizerFiles files;
    std::string mutant;
    switch (rng.below(4)) {
      case 0:
      case 1:
        mutant = mutate(json, &rng);
        files = {.tokenizer_json = mutant, .tokenizer_config_json = config};
        break;
      case 2:
        mutant = mutate(vocab, &rng);
        files = {.vocab_json = mutant, .merges_txt = merges, .tokenizer_config_json = config};
        break;
      default:
        mutant = mutate(rng.below(2) == 0 ? merges : config, &rng);
        files = {.vocab_json = vocab, .merges_txt = merges, .tokenizer_config_json = mutant};
        if (mutant.starts_with("#")) files.merges_txt = mutant, files.tokenizer_config_json = config;
    }
    auto loaded = load_tokenizer(files);
    if (!loaded.ok()) {
      ASSERT_FALSE(loaded.status().message().empty());
      continue;
    }
    ++loaded_count;
    use(loaded.value(), &rng);
    if (testing::Test::HasFatalFailure()) FAIL() << "mutant " << i;
  }
  EXPECT_GT(loaded_count, mutants() / 20);  // mutants that all die at the door would test the door only
  std::printf("%d mutants, %d loaded\n", mutants(), loaded_count);
}

TEST(TokenizerMutants, EveryTruncationIsAnError) {
  const std::string json = golden_file("tokenizer.json"), vocab = golden_file("vocab.json");
  for (size_t size = 0; size + 1 < json.size(); size += 7) {
    ASSERT_FALSE(load_tokenizer(TokenizerFiles{.tokenizer_json = std::string_view(json).substr(0, size)}).ok()) << size;
  }
  for (size_t size = 0; size + 1 < vocab.size(); size += 3) {
    ASSERT_FALSE(
        load_tokenizer(TokenizerFiles{.vocab_json = std::string_view(vocab).substr(0, size), .merges_txt = "t h"})
            .ok());
  }
}

}  // namespace
}  // namespace bantam::text
