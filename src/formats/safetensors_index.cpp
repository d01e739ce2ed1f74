// model.safetensors.index.json: which shard holds which tensor.
#include <algorithm>

#include "formats/describe.h"
#include "formats/hf_folder.h"
#include "formats/safetensors.h"

namespace bantam::formats {
namespace {

constexpr size_t kMaxShards = 1000;    // the largest published models have a few hundred
constexpr uint64_t kMinPairBytes = 8;  // "a":"b", : bounds the number of pairs before they are stored

struct Index {
  struct Pair {
    std::string_view tensor;
    uint32_t shard;
  };
  std::vector<Pair> pairs;
  std::vector<std::string_view> shards;  // in the order of first mention
};

// Numbers shards in the order of first mention.
class ShardNumbers {
 public:
  explicit ShardNumbers(std::vector<std::string_view>* names) : names_(names) {}
  uint32_t number_of(std::string_view shard) {
    const auto at = std::lower_bound(sorted_.begin(), sorted_.end(), shard,
                                     [this](uint32_t i, std::string_view name) { return (*names_)[i] < name; });
    if (at != sorted_.end() && (*names_)[*at] == shard) return *at;
    const auto number = static_cast<uint32_t>(names_->size());
    names_->push_back(shard);
    sorted_.insert(at, number);
    return number;
  }

 private:
  std::vector<std::string_view>* names_;
  std::vector<uint32_t> sorted_;  // numbers in the order of their names
};

// Reads the members of weight_map. REQUIRES: its '{' is next.
Status read_weight_map(JsonCursor* json, StringArena* arena, Index* index) {
  ShardNumbers numbers(&index->shards);
  BANTAM_TRY(json->expect('{'));
  if (json->accept('}')) return {};
  do {
    std::string_view tensor, shard;
    BANTAM_TRY(json->string(arena, &tensor));
    BANTAM_TRY(json->expect(':'));
    BANTAM_TRY(json->string(arena, &shard));
    if (tensor.empty()) return bad_input("expected a tensor name, got an empty string {}", json->place());
    if (!is_plain_file_name(shard)) {
      return bad_input("tensor {}: expected the name of a file in this folder, got '{}' {}", printable(tensor),
                       printable(shard), json->place());
    }
    index->pairs.push_back({tensor, numbers.number_of(shard)});
    if (index->shards.size() > kMaxShards) {
      return bad_input("expected at most {} shards, got more {}", with_commas(kMaxShards), json->place());
    }
  } while (json->accept(','));
  return json->expect('}');
}

Status read_index(const SourceFile& file, StringArena* arena, Index* index) {
  JsonCursor json(file.text(), 0, file.name());
  index->pairs.reserve(file.bytes().size() / kMinPairBytes + 1);
  bool seen = false;
  BANTAM_TRY(json.expect('{'));
  if (!json.accept('}')) {
    do {
      std::string_view key;
      StringArena scratch;
      BANTAM_TRY(json.string(&scratch, &key));
      BANTAM_TRY(json.expect(':'));
      if (key != "weight_map") {
        BANTAM_TRY(json.skip_value());
        continue;
      }
      if (seen) return bad_input("expected one weight_map, got a second {}", json.place());
      seen = true;
      BANTAM_TRY(read_weight_map(&json, arena, index));
    } while (json.accept(','));
    BANTAM_TRY(json.expect('}'));
  }
  BANTAM_TRY(json.end());
  if (!index->pairs.empty()) return {};
  return bad_input("expected a weight_map that names shards, got none in {}", file.name());
}

// Every pair of the index must be a tensor of that very shard.
Status check_pairs(const Index& index, const std::vector<const SourceFile*>& shards,
                   const std::vector<NamedTensor>& tensors) {
  const std::vector<uint32_t> order = sorted_by_name(tensors);
  for (const Index::Pair& pair : index.pairs) {
    const auto [begin, end] = std::equal_range(order.begin(), order.end(), pair.tensor, NameOrder{tensors});
    const bool found = std::any_of(begin, end, [&](uint32_t i) { return tensors[i].source == shards[pair.shard]; });
    if (!found) {
      return bad_input("tensor {}: expected it in {}, as {} says, got no such tensor there", printable(pair.tensor),
                       printable(index.shards[pair.shard]), kWeightsIndex);
    }
  }
  return {};
}

Status read_all(const FileSet& files, StringArena* arena, std::vector<std::unique_ptr<SourceFile>>* sources,
                std::vector<NamedTensor>* tensors) {
  BANTAM_TRY_ASSIGN(std::unique_ptr<SourceFile> index_file, files.open(kWeightsIndex));
  sources->push_back(std::move(index_file));
  Index index;
  BANTAM_TRY(read_index(*sources->back(), arena, &index));
  std::vector<const SourceFile*> shards;
  for (std::string_view name : index.shards) {
    if (!files.has(name)) {
      return bad_input("expected shard {}, which {} names, got no such file in {}", printable(name), kWeightsIndex,
                       files.path());
    }
    BANTAM_TRY_ASSIGN(std::unique_ptr<SourceFile> shard, files.open(name));
    BANTAM_TRY(read_safetensors(*shard, arena, tensors));
    shards.push_back(shard.get());
    sources->push_back(std::move(shard));
  }
  return check_pairs(index, shards, *tensors);
}

}  // namespace

Status read_sharded_safetensors(const FileSet& files, StringArena* arena,
                                std::vector<std::unique_ptr<SourceFile>>* sources, std::vector<NamedTensor>* tensors) {
  Status status = read_all(files, arena, sources, tensors);
  if (status.ok() || status.message().starts_with("safetensors:")) return status;
  return std::move(status).with_context("safetensors");
}

}  // namespace bantam::formats
