// Hashes and addresses: what decides whether bytes are right and where a token may go.
#include "hub/content_hash.h"

#include <gtest/gtest.h>

#include "hub/http.h"
#include "hub/retry.h"

namespace bantam::hub {
namespace {

std::string hash_of(std::string_view text, size_t digits, size_t step) {
  ContentHash hash(std::string(digits, '0'), static_cast<int64_t>(text.size()));
  for (size_t at = 0; at < text.size(); at += step) hash.add(std::as_bytes(std::span(text.substr(at, step))));
  return hash.hex();
}

// FIPS 180-2's example, and what `git hash-object` says.
TEST(ContentHash, KnownValues) {
  for (const size_t step : {1, 2, 100}) {
    EXPECT_EQ(hash_of("abc", 64, step), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(hash_of("hello\n", 40, step), "ce013625030ba8dba906f756967f9e9ca394464a");
  }
  EXPECT_EQ(hash_of("", 40, 1), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
}

TEST(ContentHash, OnlyHashesAreHashes) {
  EXPECT_TRUE(is_content_hash(std::string(64, 'a')));
  EXPECT_TRUE(is_content_hash(std::string(40, '0')));
  for (const std::string& text :
       {std::string(63, 'a'), std::string(64, 'A'), std::string(40, 'g'), std::string(),
        std::string("../../../../../../../../../../../../etc/"), std::string(38, 'a') + "/."}) {
    EXPECT_FALSE(is_content_hash(text)) << text;
  }
}

TEST(Url, OriginsAreCompareable) {
  EXPECT_EQ(*url_origin("https://HuggingFace.co/a?b"), "https://huggingface.co:443");
  EXPECT_EQ(*url_origin("https://user:secret@huggingface.co:443"), "https://huggingface.co:443");
  EXPECT_EQ(*url_origin("http://127.0.0.1:81/x"), "http://127.0.0.1:81");
  // What looks like the hub to one reader and like another host to the next must not be the hub.
  for (const char* url :
       {"https://huggingface.co.evil.example/", "https://evil.example/huggingface.co",
        "https://huggingface.co@evil.example/", "https://huggingface.co:444/", "http://huggingface.co/"}) {
    const auto origin = url_origin(url);
    EXPECT_TRUE(!origin.ok() || *origin != "https://huggingface.co:443") << url;
  }
  for (const char* url : {"", "ftp://a/", "file:///etc/passwd", "javascript:1", "http://"}) {
    EXPECT_FALSE(url_origin(url).ok()) << url;
  }
}

TEST(Url, RedirectsResolve) {
  EXPECT_EQ(*resolve_url("https://a.example/x/y?z", "/q"), "https://a.example/q");
  EXPECT_EQ(*resolve_url("https://a.example/x/y", "q"), "https://a.example/x/q");
  EXPECT_EQ(*resolve_url("https://a.example/x", "https://b.example/z?k=1"), "https://b.example/z?k=1");
}

TEST(Url, MessagesHoldNoSecrets) {
  EXPECT_EQ(printable_url("https://user:secret@cdn.example/x?signature=abc#d"), "https://cdn.example/x");
  EXPECT_EQ(printable_url("https://cdn.example/a@b"), "https://cdn.example/a@b");
  EXPECT_EQ(escape_url("refs/pr/1", false), "refs%2Fpr%2F1");
  EXPECT_EQ(escape_url("a b/c?.gguf", true), "a%20b/c%3F.gguf");
}

TEST(Retry, DoublesHeedsTheServerAndEnds) {
  Retry retry(3, 0.5);
  EXPECT_EQ(retry.next(0), 0.5);
  EXPECT_EQ(retry.next(0), 1.0);
  EXPECT_EQ(retry.next(7), 7.0);
  EXPECT_FALSE(retry.next(0).has_value());
  retry.progress();
  EXPECT_EQ(retry.next(0), 0.5);
  EXPECT_FALSE(retry.next(100'000).has_value());
}

}  // namespace
}  // namespace bantam::hub
