// See kv_snapshot.h.
#include "engine/kv_snapshot.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <filesystem>

#include "base/check.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mmap.h"

namespace bantam::engine {
namespace {

static_assert(std::endian::native == std::endian::little, "the file's integers are the machine's");

constexpr char kMagic[16] = "bantam kv 1\n";
constexpr uint64_t kMaxDescription = 4096, kMaxTokens = uint64_t{1} << 31, kMaxPageBytes = uint64_t{1} << 36;
constexpr int64_t kPieceBytes = int64_t{4} << 20;

struct Head {
  uint64_t description_bytes = 0, tokens = 0, page_bytes = 0, fingerprint = 0;
};
constexpr uint64_t kHeadBytes = sizeof kMagic + sizeof(Head);

uint64_t padded(uint64_t bytes) {
  return (bytes + 7) / 8 * 8;
}

uint64_t head_fingerprint(const Head& head, std::string_view description, std::span<const int32_t> tokens) {
  Fingerprint f;
  for (const uint64_t value : {head.description_bytes, head.tokens, head.page_bytes}) f.add(value);
  f.add(description);
  f.add(std::as_bytes(tokens));
  return f.value();
}

uint64_t page_fingerprint(uint64_t head, int64_t page, std::span<const std::byte> bytes) {
  Fingerprint f;
  f.add(head);
  f.add(static_cast<uint64_t>(page));
  f.add(bytes);
  return f.value();
}

std::string describe(const KvIdentity& identity) {
  return to_json(JsonValue::object({{"model", JsonValue::string(identity.model)},
                                    {"weights", JsonValue::string(identity.weights)},
                                    {"rotation", JsonValue::string(identity.rotation)},
                                    {"numerics", JsonValue::string(identity.numerics)},
                                    {"kv", JsonValue::string(identity.kv)}}));
}

// Whether what a file says of itself is what this engine computes; the error says what differs.
Status check_identity(std::string_view description, const KvIdentity& own) {
  BANTAM_TRY_ASSIGN(const JsonValue json, parse_json(description, "description"));
  const auto text = [&](std::string_view name) {
    const JsonValue* value = json.find(name);
    return value != nullptr && value->is_string() ? value->as_string() : std::string();
  };
  if (text("weights") != own.weights) {
    return bad_input("expected keys and values of this model ({}), got those of another ({})", own.model,
                     text("model"));
  }
  if (text("numerics") != own.numerics) {
    return bad_input("expected keys and values in {}, got {} (--numerics)", own.numerics, text("numerics"));
  }
  if (text("kv") != own.kv) return bad_input("expected keys and values as {}, got {} (--kv)", own.kv, text("kv"));
  if (text("rotation") != own.rotation) {
    return bad_input("the keys were computed for another stretching of the context (--ctx)");
  }
  return {};
}

// Visits the runs of one page in the file's order: layers, heads within.
template <class Visit>
void for_each_run(const KvPool& pool, int32_t page, const Visit& visit) {
  const kernels::KvView all = pool.view({});
  for (int64_t layer = 0; layer < pool.layout().layers; ++layer) {
    for (int64_t head = 0; head < pool.layout().kv_heads; ++head) visit(all.run(layer, head, page));
  }
}

uint64_t page_bytes_of(const kernels::KvLayout& layout) {
  return static_cast<uint64_t>(layout.layers * layout.page_bytes());
}

}  // namespace

KvIdentity kv_identity(const std::string& model, const model::Weights& weights, const model::Rope& rope,
                       ops::Numerics numerics, const kernels::KvLayout& layout, ThreadPool& pool) {
  std::vector<uint64_t> pieces(static_cast<size_t>((weights.packed_bytes + kPieceBytes - 1) / kPieceBytes));
  pool.parallel(static_cast<int64_t>(pieces.size()), [&](int64_t i, int) {
    const int64_t bytes = std::min(kPieceBytes, weights.packed_bytes - i * kPieceBytes);
    const std::byte* at = weights.storage.data() + i * kPieceBytes;
    pieces[static_cast<size_t>(i)] = Fingerprint::of({at, static_cast<size_t>(bytes)}, static_cast<uint64_t>(i));
  });
  const std::string config = to_json(model::config_to_json(weights.config, "float32"));
  Fingerprint a, b, rotation;
  b.add(uint64_t{1});
  for (Fingerprint* f : {&a, &b}) {
    f->add(config);
    f->add(std::as_bytes(std::span(pieces)));
  }
  rotation.add(std::as_bytes(std::span(rope.inv_freq)));
  rotation.add(std::as_bytes(std::span(&rope.attention_factor, 1)));
  return {.model = model,
          .weights = fmt::format("{:016x}{:016x}", a.value(), b.value()),
          .rotation = fmt::format("{:016x}", rotation.value()),
          .numerics = numerics == ops::Numerics::kExact ? "exact" : "fast",
          .kv = std::string(name(layout.dtype))};
}

Result<int64_t> write_kv_snapshot(const std::string& path, const KvIdentity& identity, std::span<const int32_t> tokens,
                                  const KvPool& pool, std::span<const int32_t> pages) {
  const size_t whole = std::min(tokens.size() / static_cast<size_t>(kernels::kPageTok), pages.size());
  const auto kept = tokens.first(whole * static_cast<size_t>(kernels::kPageTok));
  const std::string description = describe(identity);
  Head head{description.size(), kept.size(), page_bytes_of(pool.layout()), 0};
  if (head.description_bytes > kMaxDescription) return failed("{}: the model's name is too long", path);
  head.fingerprint = head_fingerprint(head, description, kept);
  BANTAM_TRY_ASSIGN(AtomicFile file, AtomicFile::create(path));
  BANTAM_TRY(file.write(std::as_bytes(std::span(kMagic))));
  BANTAM_TRY(file.write(std::as_bytes(std::span(&head, 1))));
  BANTAM_TRY(file.write(description));
  BANTAM_TRY(file.pad_to(kHeadBytes + padded(description.size())));
  BANTAM_TRY(file.write(std::as_bytes(kept)));
  std::vector<std::byte> bytes;
  const auto head_bytes = static_cast<size_t>(pool.layout().head_bytes());
  for (size_t i = 0; i < whole; ++i) {
    bytes.clear();
    for_each_run(pool, pages[i], [&](const std::byte* run) { bytes.insert(bytes.end(), run, run + head_bytes); });
    const uint64_t print = page_fingerprint(head.fingerprint, static_cast<int64_t>(i), bytes);
    BANTAM_TRY(file.write(std::as_bytes(std::span(&print, 1))));
    BANTAM_TRY(file.write(bytes));
  }
  BANTAM_TRY(file.commit());
  return static_cast<int64_t>(kept.size());
}

Result<KvSnapshot> KvSnapshot::open(const std::string& path, const KvIdentity& own, const kernels::KvLayout& layout,
                                    int64_t vocab_rows) {
  KvSnapshot out;
  BANTAM_TRY_ASSIGN(out.file_, formats::SourceFile::open(path, std::filesystem::path(path).filename().string()));
  BANTAM_TRY(out.read_head(own, layout, vocab_rows).with_context(path));
  return out;
}

Status KvSnapshot::read_head(const KvIdentity& own, const kernels::KvLayout& layout, int64_t vocab_rows) {
  const uint64_t size = file_->bytes().size();
  std::byte raw[kHeadBytes];
  if (size < sizeof raw) return bad_input("expected at least {} bytes, got {}", sizeof raw, size);
  BANTAM_TRY(file_->read(0, raw));
  if (std::memcmp(raw, kMagic, sizeof kMagic) != 0) return bad_input("expected a file of keys and values");
  Head head;
  std::memcpy(&head, raw + sizeof kMagic, sizeof head);
  const auto page_tok = static_cast<uint64_t>(kernels::kPageTok);
  if (head.description_bytes > kMaxDescription || head.tokens > kMaxTokens || head.tokens % page_tok != 0 ||
      head.page_bytes > kMaxPageBytes) {
    return bad_input("the head is damaged");
  }
  const uint64_t tokens_at = kHeadBytes + padded(head.description_bytes);
  pages_at_ = tokens_at + head.tokens * sizeof(int32_t);
  // Nothing overflows: there are less than 2^26 pages of at most 2^36 bytes.
  const uint64_t pages = head.tokens / page_tok;
  if (pages_at_ + pages * (8 + head.page_bytes) != size) {
    return bad_input("expected {} pages of {} bytes, got a file of {} bytes", pages, head.page_bytes, size);
  }
  std::string description(static_cast<size_t>(head.description_bytes), '\0');
  tokens_.resize(static_cast<size_t>(head.tokens));
  BANTAM_TRY(file_->read(kHeadBytes, std::as_writable_bytes(std::span(description))));
  BANTAM_TRY(file_->read(tokens_at, std::as_writable_bytes(std::span(tokens_))));
  if (head_fingerprint(head, description, tokens_) != head.fingerprint) {
    return bad_input("the description or the tokens are damaged");
  }
  BANTAM_TRY(check_identity(description, own));
  if (head.page_bytes != page_bytes_of(layout)) {
    return bad_input("expected pages of {} bytes, got {}", page_bytes_of(layout), head.page_bytes);
  }
  for (const int32_t id : tokens_) {
    if (id < 0 || id >= vocab_rows) return bad_input("token id {}: expected 0 to {}", id, vocab_rows - 1);
  }
  page_bytes_ = head.page_bytes;
  fingerprint_ = head.fingerprint;
  return {};
}

Status KvSnapshot::read_page(int64_t i, KvPool* pool, int32_t to) const {
  BANTAM_CHECK(i >= 0 && i < pages() && page_bytes_of(pool->layout()) == page_bytes_);
  const uint64_t at = pages_at_ + static_cast<uint64_t>(i) * (8 + page_bytes_);
  uint64_t print = 0;
  std::vector<std::byte> bytes(static_cast<size_t>(page_bytes_));
  BANTAM_TRY(file_->read(at, std::as_writable_bytes(std::span(&print, 1))));
  BANTAM_TRY(file_->read(at + 8, bytes));
  if (page_fingerprint(fingerprint_, i, bytes) != print) {
    return bad_input("{}: page {} of {} is damaged", file_->name(), i + 1, pages());
  }
  const std::byte* from = bytes.data();
  const auto head_bytes = static_cast<size_t>(pool->layout().head_bytes());
  for_each_run(*pool, to, [&](std::byte* run) {
    std::memcpy(run, from, head_bytes);
    from += head_bytes;
  });
  return {};
}

}  // namespace bantam::engine
