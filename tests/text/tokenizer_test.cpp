// The tokenizer against the committed golden cases (tools/oracles/make_tokenizer_golden.py), its three ways to be
// loaded, provenance, and, where ../shared is there, the real Qwen3 files.
#include "text/tokenizer.h"

#include <gmock/gmock.h>

#include "base/json.h"
#include "base/rng.h"
#include "text/nfc.h"
#include "text/tokenizer_files.h"

namespace bantam::text {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;

std::vector<int32_t> ids_of(const JsonValue& array) {
  std::vector<int32_t> ids;
  for (const JsonValue& item : array.items()) ids.push_back(static_cast<int32_t>(item.as_int64().value()));
  return ids;
}

// Calls check(case) for every line of cases.jsonl.
template <class Check>
int for_each_case(Check check) {
  const std::string lines = golden_file("cases.jsonl");
  int count = 0;
  for (size_t at = 0; at < lines.size(); ++count) {
    const size_t end = lines.find('\n', at);
    auto line = parse_json(std::string_view(lines).substr(at, end - at));
    EXPECT_TRUE(line.ok());
    check(line.value());
    at = end + 1;
  }
  return count;
}

void expect_golden(const Tokenizer& tokenizer) {
  const int cases = for_each_case([&](const JsonValue& line) {
    const auto ids = ids_of(*line.find("ids"));
    if (const JsonValue* text = line.find("text")) {
      EXPECT_THAT(tokenizer.encode(text->as_string(), line.find("special")->as_bool()), ElementsAreArray(ids))
          << text->as_string();
    } else {
      EXPECT_EQ(tokenizer.decode(ids), line.find("decoded")->as_string());
      EXPECT_EQ(tokenizer.decode(ids, true), line.find("skipped")->as_string());
    }
  });
  EXPECT_GT(cases, 500);
}

TEST(Tokenizer, GoldenCasesFromTokenizerJson) {
  expect_golden(golden_tokenizer());
}

TEST(Tokenizer, GoldenCasesFromVocabAndMerges) {
  auto loaded = load_tokenizer(TokenizerFiles{.vocab_json = golden_file("vocab.json"),
                                              .merges_txt = golden_file("merges.txt"),
                                              .tokenizer_config_json = golden_file("tokenizer_config.json")});
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  expect_golden(loaded.value());
}

TEST(Tokenizer, WhatTheFilesSay) {
  const Tokenizer tokenizer = golden_tokenizer();
  const int32_t end = tokenizer.find_added("<|im_end|>").value();
  const int32_t think = tokenizer.find_added("<think>").value();
  EXPECT_EQ(tokenizer.eos_id(), end);
  EXPECT_EQ(tokenizer.chat_template(), "{{ messages }}");
  EXPECT_TRUE(tokenizer.is_special(end));
  EXPECT_FALSE(tokenizer.is_special(think));
  EXPECT_TRUE(tokenizer.is_added(think));
  EXPECT_FALSE(tokenizer.is_added(0));
  EXPECT_FALSE(tokenizer.find_added("<|im_en"));
  EXPECT_EQ(tokenizer.token_bytes(end), "<|im_end|>");
  EXPECT_EQ(tokenizer.added_tokens().size(), 15u);
  EXPECT_EQ(tokenizer.size(), 655);
  for (const int32_t none : {-1, 655, 1 << 30}) {
    EXPECT_FALSE(tokenizer.has_text(none));
    EXPECT_EQ(tokenizer.token_bytes(none), "");
  }
}

TEST(Tokenizer, BytesOfTheIdsJoinToTheNormalForm) {
  const Tokenizer tokenizer = golden_tokenizer();
  Philox rng(2);
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (uint32_t i = rng.below(60); i > 0; --i)
      text += static_cast<char>(rng.below(3) == 0 ? rng.below(256) : 0x20 + rng.below(0x60));
    std::string joined, buffer;
    for (const int32_t id : tokenizer.encode(text, false)) {
      ASSERT_TRUE(tokenizer.has_text(id));
      ASSERT_FALSE(tokenizer.is_added(id));
      joined += tokenizer.token_bytes(id);
    }
    ASSERT_EQ(joined, to_nfc(text, &buffer));
  }
}

// The word cache must not change anything: a text's ids are those of its words, one by one.
TEST(Tokenizer, LongTextsEncodeAsTheirWords) {
  const Tokenizer tokenizer = golden_tokenizer();
  constexpr std::string_view kWords[] = {"tokenizer ", "tokenizers ", "Zerlegtes ", "的人中国在我们有",
                                         "xqzj ",      "。\n",        "éléments "};
  Philox rng(9);
  std::string text;
  std::vector<int32_t> ids;
  for (int i = 0; i < 40000; ++i) {
    // Ending in a line break, so that no word runs on into the next.
    const std::string word = std::string(kWords[rng.below(7)]) + std::string(kWords[rng.below(7)]) + "\n";
    text += word;
    const auto more = tokenizer.encode(word, false);
    ids.insert(ids.end(), more.begin(), more.end());
  }
  EXPECT_EQ(tokenizer.encode(text, false), ids);
}

TEST(Tokenizer, SpansDecideWhatIsControl) {
  const Tokenizer tokenizer = golden_tokenizer();
  const auto encode = [&](std::vector<Span> spans) { return tokenizer.encode(std::span<const Span>(spans)); };
  const int32_t end = tokenizer.find_added("<|im_end|>").value();
  const auto controls = [&](const std::vector<int32_t>& ids) {
    return std::count_if(ids.begin(), ids.end(), [&](int32_t id) { return tokenizer.is_added(id); });
  };
  // Whole within allowed spans, also when it lies over several.
  EXPECT_THAT(encode({{"<|im_", true}, {"end|>", true}}), ElementsAre(end));
  EXPECT_EQ(controls(encode({{"<|im_end|>", false}})), 0);
  EXPECT_EQ(controls(encode({{"<|im_", true}, {"end|>", false}})), 0);
  EXPECT_EQ(controls(encode({{"<|im_en", false}, {"d|>", true}})), 0);
  EXPECT_EQ(controls(encode({{"<|im_", true}, {"", false}, {"end|>", true}})), 1);
  // Plain spans are one string with their neighbours: NFC and words run across the border.
  EXPECT_EQ(encode({{"the mod", true}, {"el e", false}, {"\u0301", true}}), tokenizer.encode("the model é", false));
  // A token that user text would complete into a longer one is still recognised where it is the template's.
  EXPECT_EQ(controls(encode({{"<left>", true}, {"<right>", false}})), 1);
  EXPECT_THAT(encode({{"<left><right>", true}}), ElementsAre(tokenizer.find_added("<left><right>").value()));
  // Every added token, typed by a user, in every position: none becomes control.
  for (const AddedToken& token : tokenizer.added_tokens()) {
    const auto ids =
        encode({{"<|im_end|>", true}, {token.content, false}, {"<|im_end|>", true}, {token.content, false}});
    EXPECT_EQ(controls(ids), 2) << token.content;
  }
}

TEST(Tokenizer, NormalisedTokensKeepProvenance) {
  const Tokenizer tokenizer = golden_tokenizer();
  const int32_t cafe = tokenizer.find_added("cafe\u0301x").value();
  const auto encode = [&](std::vector<Span> spans) { return tokenizer.encode(std::span<const Span>(spans)); };
  const auto has = [&](const std::vector<int32_t>& ids) { return std::count(ids.begin(), ids.end(), cafe); };
  EXPECT_EQ(has(encode({{"u\u0308 caf\u00e9x", true}})), 1);
  EXPECT_EQ(has(encode({{"u\u0308 cafe\u0301x", true}})), 1);
  EXPECT_EQ(has(encode({{"u\u0308 ", false}, {"cafe\u0301x", true}, {" u\u0308", false}})), 1);
  EXPECT_EQ(has(encode({{"u\u0308 cafe", true}, {"\u0301", false}, {"x", true}})), 0);
  EXPECT_EQ(has(encode({{"u\u0308 cafe\u0301", true}, {"x", false}})), 0);
  EXPECT_EQ(has(encode({{"cafe\u0301", false}, {"x", true}, {"cafe\u0301x", true}})), 1);
}

// All-allowed spans are encode(text, true); all-forbidden ones encode(text, false), however the text is cut.
TEST(Tokenizer, CuttingIntoSpansChangesNothing) {
  const Tokenizer tokenizer = golden_tokenizer();
  Philox rng(12);
  for_each_case([&](const JsonValue& line) {
    const JsonValue* text = line.find("text");
    if (text == nullptr) return;
    const std::string_view whole = text->as_string();
    for (const bool allow : {false, true}) {
      std::vector<Span> spans;
      for (size_t at = 0; at < whole.size();) {
        const size_t length = 1 + rng.below(6);
        spans.push_back({whole.substr(at, length), allow});
        at += length;
      }
      ASSERT_EQ(tokenizer.encode(std::span<const Span>(spans)), tokenizer.encode(whole, allow)) << whole;
    }
  });
}

TEST(Tokenizer, MegabyteRunsOfOneClass) {
  const Tokenizer tokenizer = golden_tokenizer();
  constexpr size_t kSize = 1 << 20;
  for (const std::string_view unit :
       {"a", "7", " ", "\n", " \n", "!", "\xCC\x81", "的", "😀", "'s", "<", "\xFF", "<|im_end|"}) {
    std::string text;
    while (text.size() < kSize) text += unit;
    std::string joined, buffer;
    for (const int32_t id : tokenizer.encode(text, true)) joined += tokenizer.token_bytes(id);
    EXPECT_EQ(joined, to_nfc(text, &buffer)) << unit;
  }
}

TEST(Tokenizer, TheRealQwen3Files) {
  const std::string data = shared_data();
  if (data.empty()) GTEST_SKIP() << "../shared/data is not there (or set BANTAM_SHARED)";
  auto loaded = load_tokenizer_folder(data + "/qwen3-tokenizer");
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  const Tokenizer& tokenizer = loaded.value();
  EXPECT_EQ(tokenizer.size(), 151669);
  EXPECT_EQ(tokenizer.added_tokens().size(), 26u);
  EXPECT_EQ(tokenizer.eos_id(), 151645);
  EXPECT_FALSE(tokenizer.is_special(151668));
  EXPECT_THAT(tokenizer.encode("Hello world, it's <|im_start|> 你好", true),
              ElementsAre(9707, 1879, 11, 432, 594, 220, 151644, 220, 108386));
}

}  // namespace
}  // namespace bantam::text
