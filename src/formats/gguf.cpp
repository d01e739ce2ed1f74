// The GGUF reader: one forward pass over preamble, metadata and tensor records, each size checked against the bytes
// left before it is used; then every tensor is placed. Errors name the byte.
#include "formats/gguf.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/checked.h"
#include "base/utf8.h"
#include "formats/describe.h"
#include "formats/gguf_types.h"

namespace bantam::formats {
namespace {

constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kMaxAlignment = 65536;
// The shortest records, which bound both counts before anything is allocated for them: a key (length and one byte),
// its type and a one-byte value; a tensor's name (length and one byte), rank, one dimension, type and offset.
constexpr uint64_t kMinEntryBytes = 8 + 1 + 4 + 1;
constexpr uint64_t kMinTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;
constexpr uint64_t kMaxNameBytes = 65535;  // the format's limit for keys; ggml allows tensor names 64

class Reader {
 public:
  Reader(const SourceFile& file, std::vector<NamedTensor>* tensors)
      : file_(file), text_(file.text()), tensors_(tensors) {}

  Status read(GgufMetadata* metadata) {
    uint64_t tensor_count = 0, entry_count = 0;
    BANTAM_TRY(read_preamble(&tensor_count, &entry_count));
    BANTAM_TRY(read_entries(entry_count));
    BANTAM_TRY(read_alignment());
    BANTAM_TRY(check_tensor_count(tensor_count));
    const size_t before = tensors_->size();
    tensors_->reserve(before + tensor_count);
    for (uint64_t i = 0; i < tensor_count; ++i) BANTAM_TRY(read_tensor(i));
    if (tensor_count > 0) BANTAM_TRY(place_tensors(std::span(*tensors_).subspan(before)));
    if (metadata != nullptr) *metadata = std::move(metadata_);
    return {};
  }

 private:
  std::string place(uint64_t at) const { return fmt::format("at byte {} of {}", with_commas(at), file_.name()); }
  uint64_t remaining() const { return text_.size() - at_; }

  Status need(uint64_t bytes, std::string_view what) const {
    if (bytes <= remaining()) return {};
    return bad_input("expected {} bytes for {}, got {} before the end of the file {}", with_commas(bytes), what,
                     with_commas(remaining()), place(at_));
  }
  template <class T>
  Status take(std::string_view what, T* out) {
    BANTAM_TRY(need(sizeof(T), what));
    std::memcpy(out, text_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return {};
  }
  Status take_string(std::string_view what, std::string_view* out) {
    uint64_t length = 0;
    BANTAM_TRY(take(what, &length));
    BANTAM_TRY(need(length, what));
    *out = text_.substr(at_, length);
    at_ += length;
    return {};
  }
  // A key or tensor name: not empty, not absurd, text.
  Status take_name(std::string_view what, std::string_view* out) {
    const uint64_t begin = at_;
    BANTAM_TRY(take_string(what, out));
    if (!out->empty() && out->size() <= kMaxNameBytes && is_utf8(*out)) return {};
    return bad_input("expected {} of 1 to {} bytes of UTF-8, got {} bytes '{}' {}", what, with_commas(kMaxNameBytes),
                     with_commas(out->size()), printable(*out, 40), place(begin));
  }

  Status read_preamble(uint64_t* tensor_count, uint64_t* entry_count) {
    uint32_t version = 0;
    BANTAM_TRY(need(4, "the magic"));
    if (!text_.starts_with("GGUF")) {
      return bad_input("expected the magic 'GGUF', got '{}' {}", printable(text_.substr(0, 4)), place(0));
    }
    at_ = 4;
    BANTAM_TRY(take("the version", &version));
    if (version != 2 && version != 3) {
      const bool swapped = (version & 0xFFFF) == 0 && version != 0;
      return bad_input("expected version 2 or 3, got {}{} {}", version,
                       swapped ? " (a big-endian file, which bantam does not read)" : "", place(4));
    }
    BANTAM_TRY(take("the tensor count", tensor_count));
    BANTAM_TRY(take("the metadata count", entry_count));
    if (*entry_count > remaining() / kMinEntryBytes) {
      return bad_input("expected at most {} metadata entries in the bytes that follow, got {} {}",
                       with_commas(remaining() / kMinEntryBytes), with_commas(*entry_count), place(16));
    }
    return check_tensor_count(*tensor_count);
  }

  Status check_tensor_count(uint64_t count) const {
    if (count <= remaining() / kMinTensorBytes) return {};
    return bad_input("expected at most {} tensors in the bytes that follow, got {} {}",
                     with_commas(remaining() / kMinTensorBytes), with_commas(count), place(8));
  }

  Status read_entries(uint64_t count) {
    std::vector<GgufEntry> entries;
    entries.reserve(count);
    for (uint64_t i = 0; i < count; ++i) {
      GgufEntry entry;
      BANTAM_TRY(take_name("a metadata key", &entry.key));
      Status status = read_value(&entry);
      if (!status.ok()) return std::move(status).with_context("key " + printable(entry.key));
      entries.push_back(entry);
    }
    metadata_ = GgufMetadata(std::move(entries));
    if (const GgufEntry* twice = metadata_.find_duplicate()) {
      return bad_input("key {}: expected each key once, got it again {}", printable(twice->key),
                       place(static_cast<uint64_t>(twice->key.data() - text_.data())));
    }
    return {};
  }

  Status take_type(std::string_view what, GgufType* out) {
    const uint64_t begin = at_;
    uint32_t number = 0;
    BANTAM_TRY(take(what, &number));
    if (number >= kGgufTypeCount) {
      return bad_input("expected {} from 0 to {}, got {} {}", what, kGgufTypeCount - 1, number, place(begin));
    }
    *out = static_cast<GgufType>(number);
    return {};
  }

  Status read_value(GgufEntry* entry) {
    BANTAM_TRY(take_type("a value type", &entry->type));
    const uint64_t begin = at_;
    if (entry->type == GgufType::kString) {
      std::string_view ignored;
      BANTAM_TRY(take_string("a string", &ignored));
    } else if (entry->type == GgufType::kArray) {
      BANTAM_TRY(skip_array());
    } else {
      BANTAM_TRY(need(static_cast<uint64_t>(fixed_bytes(entry->type)), "a value"));
      at_ += static_cast<uint64_t>(fixed_bytes(entry->type));
    }
    entry->payload = text_.substr(begin, at_ - begin);
    if (entry->type == GgufType::kBool && static_cast<unsigned char>(entry->payload[0]) > 1) {
      return bad_input("expected a bool of 0 or 1, got {} {}", static_cast<unsigned char>(entry->payload[0]),
                       place(begin));
    }
    return {};
  }

  Status skip_array() {
    const uint64_t begin = at_;
    GgufType element = GgufType::kU8;
    uint64_t count = 0;
    BANTAM_TRY(take_type("an element type", &element));
    if (element == GgufType::kArray)
      return bad_input("expected an array of plain values, got an array of arrays {}", place(begin));
    BANTAM_TRY(take("an array length", &count));
    const uint64_t least = element == GgufType::kString ? 8 : static_cast<uint64_t>(fixed_bytes(element));
    if (count > remaining() / least) {
      return bad_input("expected at most {} elements of {} in the bytes that follow, got {} {}",
                       with_commas(remaining() / least), name(element), with_commas(count), place(begin + 4));
    }
    if (element != GgufType::kString) {
      at_ += count * least;  // cannot overflow: count * least <= remaining()
      return {};
    }
    for (uint64_t i = 0; i < count; ++i) {
      std::string_view ignored;
      BANTAM_TRY(take_string("a string in an array", &ignored));
    }
    return {};
  }

  Status read_alignment() {
    if (!metadata_.has("general.alignment")) return {};
    BANTAM_TRY_ASSIGN(const uint32_t alignment, metadata_.u32("general.alignment"));
    if (alignment == 0 || alignment > kMaxAlignment || (alignment & (alignment - 1)) != 0) {
      return bad_input("key general.alignment: expected a power of two from 1 to {}, got {} in {}",
                       with_commas(kMaxAlignment), alignment, file_.name());
    }
    alignment_ = alignment;
    return {};
  }

  Status read_tensor(uint64_t number) {
    NamedTensor tensor;
    tensor.source = &file_;
    BANTAM_TRY(take_name(fmt::format("the name of tensor {}", number), &tensor.name));
    Status status = read_tensor_record(&tensor);
    if (!status.ok()) return std::move(status).with_context("tensor " + printable(tensor.name));
    tensors_->push_back(tensor);
    return {};
  }

  Status read_tensor_record(NamedTensor* tensor) {
    const uint64_t begin = at_;
    uint32_t rank = 0, type = 0;
    BANTAM_TRY(take("the number of dimensions", &rank));
    if (rank < 1 || rank > kMaxRank)
      return bad_input("expected 1 to {} dimensions, got {} {}", kMaxRank, rank, place(begin));
    std::array<uint64_t, kMaxRank> ne{};
    for (uint32_t i = 0; i < rank; ++i) BANTAM_TRY(take("a dimension", &ne[i]));
    const uint64_t type_at = at_;
    BANTAM_TRY(take("the tensor type", &type));
    BANTAM_TRY(take("the data offset", &tensor->offset));
    const std::optional<DType> dtype = dtype_of_gguf(type);
    if (!dtype) {
      const std::string_view known = gguf_type_name(type);
      return bad_input("expected a type that bantam serves, got {} (number {}) {}",
                       known.empty() ? "an unknown one" : known, type, place(type_at));
    }
    Shape shape;
    shape.rank = static_cast<int>(rank);
    int64_t elems = 1;
    for (uint32_t i = 0; i < rank; ++i) {
      int64_t& dim = shape.dims[rank - 1 - i];  // GGUF lists the fastest dimension first
      if (ne[i] == 0 || !checked_cast(ne[i], &dim) || !checked_mul(elems, dim, &elems)) {
        return bad_input("expected dimensions of at least 1 and below 2^63 elements in all, got dimension {} = {} {}",
                         i, with_commas(ne[i]), place(begin + 4 + 8 * i));
      }
    }
    if (shape.last() % info(*dtype).block_elems != 0) {
      return bad_input("expected rows of a multiple of {} elements for {}, got {} {}", info(*dtype).block_elems,
                       gguf_type_name(type), with_commas(ne[0]), place(begin + 4));
    }
    int64_t bytes = 0;
    if (!checked_mul(elems / info(*dtype).block_elems, int64_t{info(*dtype).block_bytes}, &bytes)) {
      return bad_input("expected a size below 2^63 bytes, got shape {} {}", shape.to_string(), place(begin));
    }
    tensor->view = {nullptr, *dtype, shape};
    return {};
  }

  // Turns relative offsets into places in the file, and checks alignment, range and overlap.
  Status place_tensors(std::span<NamedTensor> tensors) {
    uint64_t data_begin = 0;
    if (!checked_align_up(at_, alignment_, &data_begin) || data_begin > text_.size()) {
      return bad_input("expected tensor data from byte {}, got a file of {} bytes: {}", with_commas(data_begin),
                       with_commas(text_.size()), file_.name());
    }
    const uint64_t data_bytes = text_.size() - data_begin;
    for (NamedTensor& t : tensors) {
      const auto bytes = static_cast<uint64_t>(t.view.bytes());
      if (t.offset % alignment_ != 0) {
        return bad_input("tensor {}: expected a data offset that is a multiple of {}, got {} in {}", printable(t.name),
                         alignment_, with_commas(t.offset), file_.name());
      }
      if (t.offset > data_bytes || bytes > data_bytes - t.offset) {
        return bad_input("tensor {}: expected {} bytes for {} {}, got {} before the end of the file {}",
                         printable(t.name), with_commas(bytes), info(t.view.dtype).name, t.view.shape.to_string(),
                         with_commas(data_bytes - std::min(t.offset, data_bytes)),
                         place_or_beyond(data_begin, t.offset));
      }
      t.offset += data_begin;
      t.view.data = text_.data() + t.offset;
    }
    return check_overlap(tensors);
  }

  std::string place_or_beyond(uint64_t data_begin, uint64_t offset) const {
    uint64_t at = 0;
    if (checked_add(data_begin, offset, &at)) return place(at);
    return fmt::format("at data offset {} of {}", with_commas(offset), file_.name());
  }

  Status check_overlap(std::span<const NamedTensor> tensors) const {
    std::vector<uint32_t> order(tensors.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
      return tensors[a].offset != tensors[b].offset ? tensors[a].offset < tensors[b].offset : a < b;
    });
    for (size_t i = 1; i < order.size(); ++i) {
      const NamedTensor &before = tensors[order[i - 1]], &t = tensors[order[i]];
      const uint64_t end = before.offset + static_cast<uint64_t>(before.view.bytes());
      if (t.offset >= end) continue;
      return bad_input("tensor {}: expected its data from byte {} on, where that of {} ends, got it {}",
                       printable(t.name), with_commas(end), printable(before.name), place(t.offset));
    }
    return {};
  }

  const SourceFile& file_;
  std::string_view text_;
  uint64_t at_ = 0;
  uint64_t alignment_ = kDefaultAlignment;
  GgufMetadata metadata_;
  std::vector<NamedTensor>* tensors_;
};

}  // namespace

Status read_gguf(const SourceFile& file, GgufMetadata* metadata, std::vector<NamedTensor>* tensors) {
  Status status = Reader(file, tensors).read(metadata);
  if (status.ok() || status.message().starts_with("gguf:")) return status;
  return std::move(status).with_context("gguf");
}

}  // namespace bantam::formats
