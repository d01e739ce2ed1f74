// Opening: which reader a path or a file set goes to, text files and configs, and the name index over all tensors.
#include "formats/checkpoint.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/mmap.h"
#include "formats/describe.h"
#include "formats/file_set.h"
#include "formats/gguf.h"
#include "formats/hf_folder.h"
#include "formats/json_cursor.h"
#include "formats/safetensors.h"

namespace bantam::formats {
namespace {

// Real configs have a few kB and some dozens of values. A value costs about 120 bytes of tree, its text perhaps two.
constexpr uint64_t kMaxConfigBytes = uint64_t{1} << 20;
constexpr uint64_t kMaxConfigValues = 20'000;

class DiskFolder final : public FileSet {
 public:
  explicit DiskFolder(std::string path) : path_(std::move(path)) {}
  bool has(std::string_view name) const override { return file_exists(full(name)); }
  Result<std::unique_ptr<SourceFile>> open(std::string_view name) const override {
    return SourceFile::open(full(name), std::string(name));
  }
  const std::string& path() const override { return path_; }

 private:
  std::string full(std::string_view name) const {
    return path_.empty()         ? std::string(name)
           : path_.back() == '/' ? path_ + std::string(name)
                                 : fmt::format("{}/{}", path_, name);
  }
  std::string path_;
};

class MemoryFolder final : public FileSet {
 public:
  explicit MemoryFolder(const MemoryFiles& files) : files_(files) {}
  bool has(std::string_view name) const override { return find(name) != nullptr; }
  Result<std::unique_ptr<SourceFile>> open(std::string_view name) const override {
    const auto* file = find(name);
    if (file == nullptr) return bad_input("expected a file {}, got none of that name in memory", printable(name));
    return SourceFile::borrow(file->first, file->second);
  }
  const std::string& path() const override { return path_; }

 private:
  const MemoryFiles::value_type* find(std::string_view name) const {
    const auto at = std::find_if(files_.begin(), files_.end(), [&](const auto& f) { return f.first == name; });
    return at == files_.end() ? nullptr : &*at;
  }
  const MemoryFiles& files_;
  std::string path_ = "(embedded)";
};

}  // namespace

struct Checkpoint::State {
  Kind kind = Kind::kHuggingFace;
  std::string path;
  std::vector<std::unique_ptr<SourceFile>> sources;
  StringArena arena;
  std::vector<NamedTensor> tensors;
  std::vector<uint32_t> by_name;
  std::vector<TextFile> texts;
  std::optional<JsonValue> config, generation_config;
  GgufMetadata gguf;

  Status read_folder(const FileSet& files, Weights weights);
  Status read_texts(const FileSet& files);
  Status read_json(std::string_view file_name, std::optional<JsonValue>* out) const;
  Status read_folder_weights(const FileSet& files, Weights weights);
  Status read_single(const FileSet& files, std::string_view name);
  Status index_tensors();
};

Status Checkpoint::State::read_texts(const FileSet& files) {
  for (std::string_view file_name : kTextFiles) {
    if (!files.has(file_name)) continue;
    BANTAM_TRY_ASSIGN(std::unique_ptr<SourceFile> file, files.open(file_name));
    texts.push_back({file_name, file->text()});
    sources.push_back(std::move(file));
  }
  BANTAM_TRY(read_json("config.json", &config));
  return read_json("generation_config.json", &generation_config);
}

Status Checkpoint::State::read_json(std::string_view file_name, std::optional<JsonValue>* out) const {
  const auto at = std::find_if(texts.begin(), texts.end(), [&](const TextFile& t) { return t.name == file_name; });
  if (at == texts.end()) return {};
  if (at->text.size() > kMaxConfigBytes) {
    return bad_input("{}: expected at most {} bytes, got {}", file_name, with_commas(kMaxConfigBytes),
                     with_commas(at->text.size()));
  }
  JsonCursor cursor(at->text, 0, file_name);  // says where the text breaks, which the tree builder cannot
  BANTAM_TRY(cursor.skip_value());
  BANTAM_TRY(cursor.end());
  if (cursor.values_skipped() > kMaxConfigValues) {
    return bad_input("{}: expected at most {} values, got {}", file_name, with_commas(kMaxConfigValues),
                     with_commas(cursor.values_skipped()));
  }
  BANTAM_TRY_ASSIGN(*out, parse_json(at->text, file_name));
  if ((*out)->is_object()) return {};
  return bad_input("{}: expected an object, got {}", file_name, (*out)->kind_name());
}

Status Checkpoint::State::read_folder_weights(const FileSet& files, Weights weights) {
  if (weights == Weights::kSkip) return {};
  if (files.has(kSingleWeights)) {
    BANTAM_TRY_ASSIGN(std::unique_ptr<SourceFile> file, files.open(kSingleWeights));
    sources.push_back(std::move(file));
    return read_safetensors(*sources.back(), &arena, &tensors);
  }
  if (files.has(kWeightsIndex)) return read_sharded_safetensors(files, &arena, &sources, &tensors);
  if (weights == Weights::kIfPresent) return {};
  const bool pickled = files.has("pytorch_model.bin") || files.has("pytorch_model.bin.index.json");
  return bad_input("{}: expected {} or {}, got {}", path, kSingleWeights, kWeightsIndex,
                   pickled ? "pytorch_model.bin, a pickle file, which bantam never loads" : "neither");
}

Status Checkpoint::State::read_folder(const FileSet& files, Weights weights) {
  kind = Kind::kHuggingFace;
  BANTAM_TRY(read_texts(files));
  if (texts.empty() && weights == Weights::kSkip) {
    return bad_input("{}: expected a model folder with config.json or tokenizer files, got none of them", path);
  }
  BANTAM_TRY(read_folder_weights(files, weights));
  return index_tensors();
}

Status Checkpoint::State::read_single(const FileSet& files, std::string_view file_name) {
  BANTAM_TRY_ASSIGN(std::unique_ptr<SourceFile> file, files.open(file_name));
  if (file->text().starts_with("GGUF") || file_name.ends_with(".gguf")) {
    kind = Kind::kGguf;
    BANTAM_TRY(read_gguf_parts(files, file_name, &sources, &gguf, &tensors));
  } else if (file_name.ends_with(".safetensors")) {
    kind = Kind::kSafetensors;
    sources.push_back(std::move(file));
    BANTAM_TRY(read_safetensors(*sources.back(), &arena, &tensors));
  } else {
    return bad_input("{}: expected a folder, a .gguf or a .safetensors file, got a file starting with '{}'", path,
                     printable(file->text().substr(0, 8)));
  }
  return index_tensors();
}

Status Checkpoint::State::index_tensors() {
  by_name = sorted_by_name(tensors);
  for (size_t i = 1; i < by_name.size(); ++i) {
    const NamedTensor &a = tensors[by_name[i - 1]], &b = tensors[by_name[i]];
    if (a.name != b.name) continue;
    return bad_input("{}: tensor {}: expected each name once, got it in {} and again in {}", formats::name(kind),
                     printable(a.name), a.where(), b.where());
  }
  return {};
}

std::string_view name(Kind kind) {
  constexpr std::string_view kNames[] = {"hugging face folder", "gguf", "safetensors"};
  return kNames[static_cast<size_t>(kind)];
}

Result<Checkpoint> Checkpoint::open(const std::string& path, Weights weights) {
  auto state = std::make_unique<State>();
  state->path = path;
  if (is_directory(path)) {
    BANTAM_TRY(state->read_folder(DiskFolder(path), weights));
    return Checkpoint(std::move(state));
  }
  // Also keeps pipes and devices out: opening one could wait for ever.
  if (!file_exists(path)) {
    return bad_input("{}: expected a folder, a .gguf or a .safetensors file, got no such file", path);
  }
  const size_t slash = path.rfind('/');
  const bool bare = slash == std::string::npos;
  const DiskFolder folder(bare ? "" : path.substr(0, slash + 1));
  BANTAM_TRY(state->read_single(folder, std::string_view(path).substr(bare ? 0 : slash + 1)));
  return Checkpoint(std::move(state));
}

Result<Checkpoint> Checkpoint::from_memory(const MemoryFiles& files, Weights weights) {
  auto state = std::make_unique<State>();
  const MemoryFolder folder(files);
  state->path = folder.path();
  const bool single =
      files.size() == 1 && (files[0].first.ends_with(".gguf") || files[0].first.ends_with(".safetensors"));
  BANTAM_TRY(single ? state->read_single(folder, files[0].first) : state->read_folder(folder, weights));
  return Checkpoint(std::move(state));
}

Checkpoint::Checkpoint(std::unique_ptr<State> state) : state_(std::move(state)) {}
Checkpoint::Checkpoint(Checkpoint&& other) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&& other) noexcept = default;
Checkpoint::~Checkpoint() = default;

Kind Checkpoint::kind() const {
  return state_->kind;
}
const std::string& Checkpoint::path() const {
  return state_->path;
}
std::span<const NamedTensor> Checkpoint::tensors() const {
  return state_->tensors;
}

const NamedTensor* Checkpoint::find(std::string_view tensor_name) const {
  const std::vector<uint32_t>& order = state_->by_name;
  const auto at = std::lower_bound(order.begin(), order.end(), tensor_name, NameOrder{state_->tensors});
  if (at == order.end() || state_->tensors[*at].name != tensor_name) return nullptr;
  return &state_->tensors[*at];
}

const JsonValue* Checkpoint::config() const {
  return state_->config ? &*state_->config : nullptr;
}
const JsonValue* Checkpoint::generation_config() const {
  return state_->generation_config ? &*state_->generation_config : nullptr;
}
std::span<const TextFile> Checkpoint::texts() const {
  return state_->texts;
}

std::optional<std::string_view> Checkpoint::text(std::string_view file_name) const {
  for (const TextFile& file : state_->texts) {
    if (file.name == file_name) return file.text;
  }
  return std::nullopt;
}

const GgufMetadata* Checkpoint::gguf() const {
  return state_->kind == Kind::kGguf ? &state_->gguf : nullptr;
}

uint64_t Checkpoint::file_bytes() const {
  uint64_t total = 0;
  for (const auto& source : state_->sources) total += source->bytes().size();
  return total;
}

Status Checkpoint::verify_sizes() const {
  for (const auto& source : state_->sources) BANTAM_TRY(source->verify_size());
  return {};
}

Status Checkpoint::read(const NamedTensor& tensor, int64_t offset, std::span<std::byte> out) const {
  const auto bytes = static_cast<uint64_t>(tensor.view.bytes());
  BANTAM_CHECK(tensor.source != nullptr && offset >= 0 && static_cast<uint64_t>(offset) <= bytes &&
               out.size() <= bytes - static_cast<uint64_t>(offset));
  return tensor.source->read(tensor.offset + static_cast<uint64_t>(offset), out);
}

void Checkpoint::release(const NamedTensor& tensor) const {
  BANTAM_CHECK(tensor.source != nullptr);
  tensor.source->release(tensor.offset, static_cast<uint64_t>(tensor.view.bytes()));
}

bool looks_like_gguf(const std::string& path) {
  if (!file_exists(path)) return false;
  const auto file = MappedFile::open(path);
  if (!file.ok() || file->bytes().size() < 4) return false;
  const auto* bytes = reinterpret_cast<const char*>(file->bytes().data());
  return std::string_view(bytes, 4) == "GGUF";
}

}  // namespace bantam::formats
