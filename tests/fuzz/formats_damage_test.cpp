// Damaged model files: every truncation point, boundary values in every integer, and random and structure-aware mutants
// of small GGUF, safetensors, index and config files. Each must give an error that says what was expected, or a
// checkpoint that can be read to its last byte, and never allocate more than four times the file's size (plus a little:
// kSlackBytes). Meant for ASan/UBSan builds; mutants live in exact-size heap blocks, so a read past the end is seen.
//
// BANTAM_MUTANTS sets the number per kind of file; default 5,000, or 100,000 with BANTAM_ORACLES=1.
#include <malloc.h>

#include <atomic>
#include <new>

#include "base/rng.h"
#include "formats/formats_testing.h"
#include "formats/gguf_types.h"

namespace {

// Bytes the program holds now, and the most since the last reset; every operator new below counts.
std::atomic<size_t> g_held{0}, g_peak{0};

void* counted(size_t size) {
  void* block = std::malloc(size > 0 ? size : 1);
  if (block == nullptr) return nullptr;
  const size_t held = g_held += ::malloc_usable_size(block);
  if (held > g_peak) g_peak = held;
  return block;
}
void release(void* block) {
  if (block == nullptr) return;
  g_held -= ::malloc_usable_size(block);
  std::free(block);
}

}  // namespace

void* operator new(size_t size) {
  void* block = counted(size);
  if (block == nullptr) std::abort();
  return block;
}
void* operator new[](size_t size) {
  return operator new(size);
}
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return counted(size);
}
void* operator new[](size_t size, const std::nothrow_t&) noexcept {
  return counted(size);
}
void operator delete(void* block) noexcept {
  release(block);
}
void operator delete[](void* block) noexcept {
  release(block);
}
void operator delete(void* block, size_t) noexcept {
  release(block);
}
void operator delete[](void* block, size_t) noexcept {
  release(block);
}
void operator delete(void* block, const std::nothrow_t&) noexcept {
  release(block);
}
void operator delete[](void* block, const std::nothrow_t&) noexcept {
  release(block);
}

namespace bantam::formats {
namespace {

constexpr size_t kSlackBytes = 64 << 10;
constexpr uint64_t kBoundaries[] = {0,
                                    1,
                                    2,
                                    0x7F,
                                    0x80,
                                    0xFF,
                                    0x7FFFFFFF,
                                    0x80000000,
                                    0x80000001,
                                    0xFFFFFFFF,
                                    0x100000000,
                                    0x100000001,
                                    uint64_t{1} << 60,
                                    uint64_t{1} << 62,
                                    INT64_MAX,
                                    uint64_t{1} << 63,
                                    (uint64_t{1} << 63) + 1,
                                    UINT64_MAX - 31,
                                    UINT64_MAX - 1,
                                    UINT64_MAX};

int64_t mutant_count() {
  if (const char* text = std::getenv("BANTAM_MUTANTS")) return std::atoll(text);
  return std::getenv("BANTAM_ORACLES") != nullptr ? 100'000 : 5'000;
}

// A copy at the end of a heap block of exactly its size.
class Exact {
 public:
  explicit Exact(std::string_view bytes)
      : block_(std::malloc(bytes.size() > 0 ? bytes.size() : 1)), size_(bytes.size()) {
    if (!bytes.empty()) std::memcpy(block_, bytes.data(), bytes.size());
  }
  Exact(const Exact&) = delete;
  Exact& operator=(const Exact&) = delete;
  ~Exact() { std::free(block_); }
  std::string_view view() const { return {static_cast<const char*>(block_), size_}; }

 private:
  void* block_;
  size_t size_;
};

// Opens damaged bytes as `file_name` beside `others`, and checks what must hold. Returns the fingerprint, or "".
std::string survives(const std::string& file_name, std::string_view bytes, const MemoryFiles& others = {}) {
  const Exact exact(bytes);
  MemoryFiles files = others;
  files.emplace_back(file_name, exact.view());
  size_t total = 0;
  for (const auto& [ignored, content] : files) total += content.size();
  const size_t before = g_held;
  g_peak = before;
  auto c = Checkpoint::from_memory(files, Weights::kIfPresent);
  EXPECT_LE(g_peak - before, 4 * total + kSlackBytes) << file_name << ", " << total << " bytes";
  if (c.ok()) return fingerprint(*c);
  const std::string message(c.status().message());
  EXPECT_EQ(c.status().code(), ErrorCode::kBadInput) << message;
  EXPECT_TRUE(message.find("expected") != std::string::npos || message.find("not valid JSON") != std::string::npos ||
              message.find("JSON nested deeper") != std::string::npos)
      << message;
  EXPECT_LT(message.size(), 1000u) << message;
  EXPECT_EQ(message.find('\x1b'), std::string::npos) << message;
  return {};
}

// A small GGUF that has every value type and several tensors, and where its integers lie.
GgufBytes small_gguf() {
  GgufBytes file(4, 8);
  file.string_entry("general.architecture", "qwen3").entry("general.alignment", GgufType::kU32, uint32_t{32});
  file.entry("u8", GgufType::kU8, uint8_t{7}).entry("f64", GgufType::kF64, uint64_t{0x3FF8000000000000});
  file.entry("bool", GgufType::kBool, uint8_t{1});
  file.text("strings").integer(9u).integer(8u).integer<uint64_t>(2).text("ab").text("");
  file.text("i32s").integer(9u).integer(5u).integer<uint64_t>(3).integer(1u).integer(2u).integer(3u);
  file.text("f32s").integer(9u).integer(6u).integer<uint64_t>(1).integer(0x3F800000u);
  file.tensor("token_embd.weight", {8, 4}, 0, 0).tensor("blk.0.attn_q.weight", {32, 2}, 8, 128);
  file.tensor("blk.0.attn_norm.weight", {8}, 1, 224);
  file.tensor("blk.0.ffn_up.weight", {256, 1}, kGgufBantamTypes + 4, 256).data(256 + 136);
  return file;
}

std::string small_header() {
  return R"({"__metadata__":{"format":"pt"},"a.weight":{"dtype":"F32","shape":[2,4],"data_offsets":[0,32]},)"
         R"("b":{"dtype":"BF16","shape":[3],"data_offsets":[32,38]},"\u00e9":{"dtype":"F8_E4M3","shape":[1,2,1],)"
         R"("data_offsets":[38,40]},"scalar":{"dtype":"I64","shape":[],"data_offsets":[40,48]}})";
}
std::string small_safetensors() {
  return safetensors_file(small_header(), std::string(48, 'd'));
}

void every_truncation(const std::string& file_name, const std::string& whole) {
  const std::string expected = survives(file_name, whole);
  ASSERT_FALSE(expected.empty());
  for (size_t n = 0; n < whole.size(); ++n) {
    const std::string got = survives(file_name, std::string_view(whole).substr(0, n));
    EXPECT_TRUE(got.empty() || got == expected) << file_name << " cut at byte " << n;
  }
}

TEST(Truncated, Gguf) {
  every_truncation("m.gguf", small_gguf().bytes);
  every_truncation("m.gguf", slurp(golden("tiny.gguf")));
}
TEST(Truncated, Safetensors) {
  every_truncation("m.safetensors", small_safetensors());
  every_truncation("m.safetensors", slurp(golden("tiny.safetensors")));
}

// A folder with `victim` replaced: the golden folder's other files.
MemoryFiles folder_without(const std::string& victim, const std::vector<std::pair<std::string, std::string>>& folder) {
  MemoryFiles others;
  for (const auto& [file_name, content] : folder) {
    if (file_name != victim) others.emplace_back(file_name, content);
  }
  return others;
}
std::vector<std::pair<std::string, std::string>> golden_folder() {
  std::vector<std::pair<std::string, std::string>> files;
  for (const auto& entry : std::filesystem::directory_iterator(golden("folder"))) {
    files.emplace_back(entry.path().filename(), slurp(entry.path()));
  }
  return files;
}
constexpr const char* kJsonFiles[] = {"model.safetensors.index.json", "config.json", "generation_config.json"};

TEST(Truncated, IndexAndConfigs) {
  const auto folder = golden_folder();
  for (const char* victim : kJsonFiles) {
    const std::string whole = slurp(golden(std::string("folder/") + victim));
    const MemoryFiles others = folder_without(victim, folder);
    ASSERT_FALSE(survives(victim, whole, others).empty());
    for (size_t n = 0; n < whole.size(); ++n) {
      EXPECT_EQ(survives(victim, std::string_view(whole).substr(0, n), others), "") << victim << " cut at byte " << n;
    }
  }
}

std::string with_integer(std::string bytes, const GgufBytes::Field& field, uint64_t value) {
  std::memcpy(bytes.data() + field.at, &value, field.width);
  return bytes;
}

TEST(Boundaries, EveryGgufIntegerAndEveryPairOfHugeOnes) {
  const GgufBytes file = small_gguf();
  for (const GgufBytes::Field& a : file.fields) {
    for (uint64_t value : kBoundaries) survives("m.gguf", with_integer(file.bytes, a, value));
  }
  // Two at once: sums and products that wrap although each part was checked.
  for (const GgufBytes::Field& a : file.fields) {
    for (const GgufBytes::Field& b : file.fields) {
      if (a.width != 8 || b.width != 8 || b.at <= a.at) continue;
      for (uint64_t x : {uint64_t{1} << 62, uint64_t{INT64_MAX}, UINT64_MAX - 31}) {
        for (uint64_t y : {uint64_t{1} << 62, UINT64_MAX, UINT64_MAX - 31}) {
          survives("m.gguf", with_integer(with_integer(file.bytes, a, x), b, y));
        }
      }
    }
  }
}

// [begin, end) of each run of digits.
std::vector<std::pair<size_t, size_t>> digit_runs(std::string_view text) {
  std::vector<std::pair<size_t, size_t>> runs;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] < '0' || text[i] > '9') continue;
    const size_t begin = i;
    while (i < text.size() && text[i] >= '0' && text[i] <= '9') ++i;
    runs.emplace_back(begin, i);
  }
  return runs;
}

TEST(Boundaries, EverySafetensorsInteger) {
  const std::string header = small_header(), data(48, 'd');
  for (uint64_t value : kBoundaries) {
    std::string bytes = safetensors_file(header, data);
    std::memcpy(bytes.data(), &value, sizeof value);
    survives("m.safetensors", bytes);
    for (const auto& [begin, end] : digit_runs(header)) {
      for (const char* text : {"", "-", "0", "1e3", "99999999999999999999999"}) {
        std::string changed = header;
        changed.replace(begin, end - begin, text + std::to_string(value));
        survives("m.safetensors", safetensors_file(changed, data));
      }
    }
  }
}

// Random edits that know nothing of the format: flips, overwritten, deleted, repeated and inserted runs, cuts.
void random_edit(Philox& rng, std::string* bytes) {
  if (bytes->empty()) bytes->push_back('\0');
  const auto at = [&] { return size_t{rng.below(static_cast<uint32_t>(bytes->size()))}; };
  const size_t i = at(), n = 1 + rng.below(16);
  switch (rng.below(6)) {
    case 0:
      (*bytes)[i] = static_cast<char>((*bytes)[i] ^ 1 << rng.below(8));
      break;
    case 1:
      (*bytes)[i] = static_cast<char>(rng.below(256));
      break;
    case 2:
      bytes->erase(i, n);
      break;
    case 3:
      bytes->insert(at(), bytes->substr(i, n));
      break;
    case 4:
      bytes->insert(i, n, static_cast<char>(rng.below(256)));
      break;
    case 5:
      bytes->resize(i);
      break;
  }
}

// Sets one or two integers of the header to boundary or small values, sometimes with a random edit on top.
std::string gguf_mutant(Philox& rng, const GgufBytes& file) {
  std::string bytes = file.bytes;
  if (rng.below(3) > 0) {
    for (uint32_t n = 1 + rng.below(2); n > 0; --n) {
      const auto& field = file.fields[rng.below(static_cast<uint32_t>(file.fields.size()))];
      const uint64_t value = rng.below(2) ? kBoundaries[rng.below(std::size(kBoundaries))] : rng.below(64);
      bytes = with_integer(std::move(bytes), field, value);
    }
  }
  for (uint32_t n = rng.below(4); n > 0; --n) random_edit(rng, &bytes);
  return bytes;
}

constexpr const char* kTokens[] = {"{",
                                   "}",
                                   "[",
                                   "]",
                                   ",",
                                   ":",
                                   "\"",
                                   "\\",
                                   "\\u0000",
                                   "\\ud83d\\ude00",
                                   "null",
                                   "-1",
                                   "1.5",
                                   "1e9",
                                   "\"dtype\":",
                                   "\"shape\":",
                                   "\"data_offsets\":",
                                   "\"U8\"",
                                   "\"F32\"",
                                   "\"__metadata__\":",
                                   "{}",
                                   "[0,0]",
                                   "\"weight_map\":",
                                   "\"..\"",
                                   "\xff",
                                   " ",
                                   "\n"};

// Edits JSON text: numbers, tokens, runs.
void json_edit(Philox& rng, std::string* text) {
  const auto runs = digit_runs(*text);
  const auto at = size_t{rng.below(static_cast<uint32_t>(text->size() + 1))};
  switch (rng.below(4)) {
    case 0:
      if (!runs.empty()) {
        const auto [begin, end] = runs[rng.below(static_cast<uint32_t>(runs.size()))];
        const uint64_t value = rng.below(2) ? kBoundaries[rng.below(std::size(kBoundaries))] : rng.below(64);
        text->replace(begin, end - begin, std::to_string(value));
      }
      break;
    case 1:
      text->insert(at, kTokens[rng.below(std::size(kTokens))]);
      break;
    case 2:
      text->replace(at, 1 + rng.below(8), kTokens[rng.below(std::size(kTokens))]);
      break;
    default:
      random_edit(rng, text);
  }
}

TEST(Mutants, Gguf) {
  const GgufBytes small = small_gguf();
  GgufBytes golden_file(0, 0);
  golden_file.bytes = slurp(golden("tiny.gguf"));  // only its first integers are known; the rest meets random edits
  int64_t opened = 0;
  for (int64_t i = 0; i < mutant_count(); ++i) {
    Philox rng(1, static_cast<uint64_t>(i));
    opened += survives("m.gguf", gguf_mutant(rng, i % 4 == 0 ? golden_file : small)).empty() ? 0 : 1;
  }
  RecordProperty("opened", std::to_string(opened));
  EXPECT_GT(opened, 0);  // mutants in data, metadata values and names are still files
}

TEST(Mutants, Safetensors) {
  const std::string whole = slurp(golden("tiny.safetensors"));
  int64_t opened = 0;
  for (int64_t i = 0; i < mutant_count(); ++i) {
    Philox rng(2, static_cast<uint64_t>(i));
    std::string bytes = whole;
    if (i % 4 == 0) {
      for (uint32_t n = 1 + rng.below(3); n > 0; --n) random_edit(rng, &bytes);
    } else {  // the length prefix follows the edit, so that the header itself is what is parsed
      std::string header = small_header();
      for (uint32_t n = 1 + rng.below(3); n > 0; --n) json_edit(rng, &header);
      bytes = safetensors_file(header, std::string(48 + (rng.below(8) == 0 ? rng.below(64) : 0), 'd'));
    }
    opened += survives("m.safetensors", bytes).empty() ? 0 : 1;
  }
  EXPECT_GT(opened, 0);
}

TEST(Mutants, ShardIndexAndConfigs) {
  const auto folder = golden_folder();
  for (const char* victim : kJsonFiles) {
    const std::string whole = slurp(golden(std::string("folder/") + victim));
    const MemoryFiles others = folder_without(victim, folder);
    for (int64_t i = 0; i < mutant_count() / 10; ++i) {
      Philox rng(3, static_cast<uint64_t>(i));
      std::string bytes = whole;
      for (uint32_t n = 1 + rng.below(3); n > 0; --n) json_edit(rng, &bytes);
      survives(victim, bytes, others);
    }
  }
}

TEST(Watermark, CountsWhatIsAllocated) {
  const size_t before = g_held;
  g_peak = before;
  { const std::vector<char> block(1 << 20); }
  EXPECT_GE(g_peak - before, size_t{1} << 20);
  EXPECT_EQ(g_held, before);
}

// Files made of the shortest records the formats allow: what costs the most memory per byte.
TEST(Watermark, DensestFilesStayBelowFourTimesTheirSize) {
  constexpr uint64_t kRecords = 100'000;
  const auto short_name = [](uint64_t i) { return fmt::format("{:x}", i); };
  GgufBytes entries(0, kRecords), tensors(kRecords, 1);
  for (uint64_t i = 0; i < kRecords; ++i) entries.entry<uint8_t>(short_name(i), GgufType::kBool, 1);
  tensors.entry("general.alignment", GgufType::kU32, 1u);
  for (uint64_t i = 0; i < kRecords; ++i) tensors.tensor(short_name(i), {1}, 24, i);
  tensors.data(kRecords, 1);
  EXPECT_FALSE(survives("m.gguf", entries.bytes).empty());
  EXPECT_FALSE(survives("m.gguf", tensors.bytes).empty());

  std::string header = "{", escaped = "{", index = R"({"weight_map":{)";
  for (uint64_t i = 0; i < kRecords; ++i) {
    const std::string entry =
        fmt::format(R"({}":{{"dtype":"U8","shape":[],"data_offsets":[{},{}]}},)", short_name(i), i, i + 1);
    header += "\"" + entry;
    escaped += "\"\\n" + entry;
    index += fmt::format(R"("{}":"a",)", short_name(i));
  }
  header.back() = escaped.back() = index.back() = '}';
  EXPECT_FALSE(survives("m.safetensors", safetensors_file(header, std::string(kRecords, 'x'))).empty());
  EXPECT_FALSE(survives("m.safetensors", safetensors_file(escaped, std::string(kRecords, 'x'))).empty());
  survives("m.safetensors", safetensors_file("{\"__metadata__\":" + std::string(1 << 20, '{'), ""));
  const std::string empty_shard = safetensors_file("{}", "");
  EXPECT_TRUE(survives("model.safetensors.index.json", index + "}", {{"a", empty_shard}}).empty());
  std::string many_shards = R"({"weight_map":{)";
  for (uint64_t i = 0; i < 1000; ++i) many_shards += fmt::format(R"("{0}":"{0}",)", short_name(i));
  many_shards.back() = '}';
  EXPECT_TRUE(survives("model.safetensors.index.json", many_shards + "}").empty());
  // A tree of JSON values costs far more than its text; so a config may not have many of them.
  std::string config = "{\"a\":[";
  for (int i = 0; i < 400'000; ++i) config += "1,";
  config.back() = ']';
  EXPECT_TRUE(survives("config.json", config + "}").empty());
}

}  // namespace
}  // namespace bantam::formats
