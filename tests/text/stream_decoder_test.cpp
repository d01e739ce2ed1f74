// Streaming: whatever the bytes and wherever tokens cut them, no push gives broken UTF-8 and the joined stream equals
// decode() of all.
#include "text/stream_decoder.h"

#include <gtest/gtest.h>

#include <array>

#include "base/rng.h"
#include "base/utf8.h"
#include "text/tokenizer_files.h"

namespace bantam::text {
namespace {

class Stream : public testing::Test {
 protected:
  Stream() {
    for (int32_t id = 0; id < tokenizer_.size(); ++id) {
      const std::string_view bytes = tokenizer_.token_bytes(id);
      if (bytes.size() == 1) byte_ids_[static_cast<unsigned char>(bytes[0])] = id;
    }
  }
  // Streams one token per byte and checks every promise.
  void check(std::string_view bytes) {
    StreamDecoder stream(tokenizer_);
    std::vector<int32_t> ids;
    std::string joined;
    for (const char c : bytes) {
      ids.push_back(byte_ids_[static_cast<unsigned char>(c)]);
      const std::string piece = stream.push(ids.back());
      std::string again;
      append_lossy(&again, piece);
      ASSERT_EQ(again, piece) << "broken UTF-8 was sent";
      joined += piece;
    }
    joined += stream.finish();
    ASSERT_FALSE(stream.has_pending());
    ASSERT_EQ(joined, tokenizer_.decode(ids));
  }
  Tokenizer tokenizer_ = golden_tokenizer();
  std::array<int32_t, 256> byte_ids_{};
};

TEST_F(Stream, EveryScalarValueByteByByte) {
  std::string text;
  for (char32_t code = 0; code < 0x110000; ++code) {
    if (code >= 0xD800 && code <= 0xDFFF) continue;
    append_utf8(&text, code);
    if (text.size() < 4096 && code != 0x10FFFF) continue;
    StreamDecoder stream(tokenizer_);
    std::string joined;
    size_t sent_at = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      joined += stream.push(byte_ids_[static_cast<unsigned char>(text[i])]);
      // A character goes out as soon as its last byte is there.
      const bool complete = i + 1 == text.size() || (static_cast<unsigned char>(text[i + 1]) & 0xC0) != 0x80;
      if (complete) sent_at = i + 1;
      ASSERT_EQ(joined.size(), sent_at);
    }
    ASSERT_EQ(joined, text);
    text.clear();
  }
}

TEST_F(Stream, EveryPairAndTripleOfLeadAndContinuation) {
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      check(std::string{static_cast<char>(first), static_cast<char>(second)});
    }
  }
  constexpr std::string_view kTurns = "a\x7F\x80\x8F\x90\x9F\xA0\xBF\xC1\xC2\xDF\xE0\xE4\xED\xEF\xF0\xF1\xF4\xF5\xFF";
  for (const char a : kTurns) {
    for (const char b : kTurns) {
      for (const char c : kTurns) {
        for (const char d : kTurns) check(std::string{a, b, c, d});
      }
    }
  }
}

TEST_F(Stream, RandomTokensOfEveryKind) {
  Philox rng(4);
  for (int round = 0; round < 5000; ++round) {
    StreamDecoder stream(tokenizer_, true);
    std::vector<int32_t> ids;
    std::string joined;
    for (uint32_t i = rng.below(30); i > 0; --i) {
      ids.push_back(static_cast<int32_t>(rng.below(static_cast<uint32_t>(tokenizer_.size() + 10))) - 5);
      joined += stream.push(ids.back());
    }
    ASSERT_EQ(joined + stream.finish(), tokenizer_.decode(ids, true));
  }
}

TEST_F(Stream, HeldBackBytesComeOutAtTheEnd) {
  StreamDecoder stream(tokenizer_);
  EXPECT_EQ(stream.push(byte_ids_[0xF0]), "");
  EXPECT_EQ(stream.push(byte_ids_[0x9F]), "");
  EXPECT_TRUE(stream.has_pending());
  EXPECT_EQ(stream.finish(), "\uFFFD");
  EXPECT_EQ(stream.push(byte_ids_['x']), "x");  // a new stream
}

}  // namespace
}  // namespace bantam::text
