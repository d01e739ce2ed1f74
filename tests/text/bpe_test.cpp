// BPE and seams against the definition: join the leftmost pair of the lowest rank until none is left.
#include "text/bpe.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <set>

#include "base/rng.h"
#include "text/seams.h"

namespace bantam::text {
namespace {

constexpr std::array<int32_t, 256> kByteIds = [] {
  std::array<int32_t, 256> ids{};
  for (int32_t i = 0; i < 256; ++i) ids[static_cast<size_t>(i)] = 255 - i;  // not the identity, so that mix-ups show
  return ids;
}();

struct Model {
  std::vector<std::string> bytes;  // by id
  std::vector<Merge> merges;
};

// A random merge list over the alphabet; now and then two merges make one token, or a pair comes twice.
Model random_model(Philox* rng, std::string_view alphabet, int merges) {
  Model model;
  model.bytes.resize(256);
  std::map<std::string, int32_t> ids;
  std::vector<int32_t> usable;
  for (int byte = 0; byte < 256; ++byte)
    model.bytes[static_cast<size_t>(kByteIds[static_cast<size_t>(byte)])] = std::string(1, static_cast<char>(byte));
  for (const char c : alphabet) usable.push_back(kByteIds[static_cast<unsigned char>(c)]);
  while (static_cast<int>(model.merges.size()) < merges) {
    const int32_t left = usable[rng->below(static_cast<uint32_t>(usable.size()))];
    const int32_t right = usable[rng->below(static_cast<uint32_t>(usable.size()))];
    const std::string joined = model.bytes[static_cast<size_t>(left)] + model.bytes[static_cast<size_t>(right)];
    if (joined.size() > 12) continue;
    const auto [at, fresh] = ids.emplace(joined, static_cast<int32_t>(model.bytes.size()));
    if (fresh) {
      model.bytes.push_back(joined);
      usable.push_back(at->second);
    }
    model.merges.push_back({left, right, at->second});
  }
  return model;
}

std::vector<int32_t> naive(const Model& model, std::string_view word) {
  std::map<std::pair<int32_t, int32_t>, size_t> ranks;
  for (size_t rank = 0; rank < model.merges.size(); ++rank)
    ranks[{model.merges[rank].left, model.merges[rank].right}] = rank;
  std::vector<int32_t> ids;
  for (const char c : word) ids.push_back(kByteIds[static_cast<unsigned char>(c)]);
  for (;;) {
    size_t best = SIZE_MAX, at = 0;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto found = ranks.find({ids[i], ids[i + 1]});
      if (found != ranks.end() && found->second < best) best = found->second, at = i;
    }
    if (best == SIZE_MAX) return ids;
    ids[at] = model.merges[best].merged;
    ids.erase(ids.begin() + static_cast<ptrdiff_t>(at) + 1);
  }
}

std::vector<int32_t> encode(const Bpe& bpe, std::string_view word) {
  Bpe::Scratch scratch;
  std::vector<int32_t> out;
  bpe.encode(word, &scratch, &out);
  return out;
}

TEST(Bpe, EqualsTheDefinitionOnShortAndLongWords) {
  Philox rng(5);
  for (int round = 0; round < 60; ++round) {
    const std::string_view alphabet = round % 3 == 0 ? "a" : round % 3 == 1 ? "ab" : "abcd\xE4";
    const Model model = random_model(&rng, alphabet, 2 + static_cast<int>(rng.below(60)));
    auto bpe = Bpe::create(kByteIds, model.merges);
    ASSERT_TRUE(bpe.ok()) << bpe.status().message();
    for (const size_t length : {1, 2, 3, 4, 5, 17, 64, 95, 96, 97, 98, 150, 400}) {
      std::string word;
      for (size_t i = 0; i < length; ++i) word += alphabet[rng.below(static_cast<uint32_t>(alphabet.size()))];
      ASSERT_EQ(encode(bpe.value(), word), naive(model, word)) << word;
    }
  }
}

// Long enough that generations are sorted in passes over the ranks' bytes.
TEST(Bpe, EqualsTheDefinitionOnVeryLongWords) {
  Philox rng(6);
  for (const std::string_view alphabet : {"a", "ab", "abcdefgh"}) {
    const Model model = random_model(&rng, alphabet, 700);
    auto bpe = Bpe::create(kByteIds, model.merges);
    ASSERT_TRUE(bpe.ok());
    std::string word;
    for (size_t i = 0; i < 6000; ++i) word += alphabet[rng.below(static_cast<uint32_t>(alphabet.size()))];
    EXPECT_EQ(encode(bpe.value(), word), naive(model, word));
  }
}

TEST(Bpe, RefusesWhatItsTableCannotHold) {
  const std::vector<Merge> negative{{1, -1, 2}}, large{{1, 2, kMaxTokenIds}};
  EXPECT_FALSE(Bpe::create(kByteIds, negative).ok());
  EXPECT_FALSE(Bpe::create(kByteIds, large).ok());
  EXPECT_TRUE(Bpe::create(kByteIds, {}).ok());
}

// Words of wide characters under random vocabularies that cut through them: the parts' ids are the word's ids.
TEST(Seams, PartsEncodeAsTheWhole) {
  Philox rng(8);
  const std::vector<std::string> characters = {"中", "丮", "国", "😀", "😁", "\xE4\xB8", "\xAD", "é", "a", "क"};
  int cuts = 0;
  for (int round = 0; round < 300; ++round) {
    Model model = random_model(&rng, "\xE4\xB8\xAD\xAE\xE5\x9B\xBD\xF0\x9F\x98\x80\x81\xE0\xA4\x95", 30);
    auto bpe = Bpe::create(kByteIds, model.merges);
    ASSERT_TRUE(bpe.ok());
    Seams seams;
    for (const std::string& bytes : model.bytes) seams.add_token(bytes);
    for (int word_round = 0; word_round < 40; ++word_round) {
      std::string word;
      for (uint32_t i = 2 + rng.below(12); i > 0; --i)
        word += characters[rng.below(static_cast<uint32_t>(characters.size()))];
      std::vector<int32_t> parts;
      for (size_t begin = 0; begin < word.size();) {
        const size_t end = seams.part_end(word, begin);
        ASSERT_GT(end, begin);
        cuts += end < word.size();
        const auto ids = encode(bpe.value(), std::string_view(word).substr(begin, end - begin));
        parts.insert(parts.end(), ids.begin(), ids.end());
        begin = end;
      }
      ASSERT_EQ(parts, encode(bpe.value(), word)) << word;
    }
  }
  EXPECT_GT(cuts, 1000);  // the test would be empty without
}

}  // namespace
}  // namespace bantam::text
