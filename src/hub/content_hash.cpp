// See content_hash.h. OpenSSL computes.
#include "hub/content_hash.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>

#include "base/check.h"

namespace bantam::hub {
namespace {

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

struct ContentHash::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

bool is_content_hash(std::string_view text) {
  return (text.size() == 64 || text.size() == 40) && is_hex(text);
}
bool is_commit(std::string_view text) {
  return text.size() == 40 && is_hex(text);
}
std::string_view hash_kind(std::string_view hash) {
  return hash.size() == 64 ? "SHA-256" : "git blob SHA-1";
}

ContentHash::ContentHash(std::string_view expected, int64_t bytes) : state_(std::make_unique<State>()) {
  BANTAM_CHECK(is_content_hash(expected));
  const bool sha256 = expected.size() == 64;
  BANTAM_CHECK(EVP_DigestInit_ex(state_->context, sha256 ? EVP_sha256() : EVP_sha1(), nullptr) == 1);
  if (sha256) return;
  const std::string head = fmt::format("blob {}", bytes);  // its terminating zero is part of it
  add(std::as_bytes(std::span(head.c_str(), head.size() + 1)));
}
ContentHash::~ContentHash() = default;
ContentHash::ContentHash(ContentHash&&) noexcept = default;
ContentHash& ContentHash::operator=(ContentHash&&) noexcept = default;

void ContentHash::add(std::span<const std::byte> bytes) {
  BANTAM_CHECK(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1);
}

std::string ContentHash::hex() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  BANTAM_CHECK(EVP_DigestFinal_ex(state_->context, digest, &size) == 1);
  std::string out;
  for (unsigned int i = 0; i < size; ++i) out += fmt::format("{:02x}", digest[i]);
  return out;
}

}  // namespace bantam::hub
