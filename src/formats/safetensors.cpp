// One safetensors file: the strict header reader and the checks that its data is one gapless run.
#include "formats/safetensors.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/checked.h"
#include "formats/describe.h"

namespace bantam::formats {
namespace {

constexpr uint64_t kPrefixBytes = 8;  // the header's length, u64 little endian
constexpr uint64_t kMaxHeaderBytes = uint64_t{100} << 20;
// The shortest possible entry, "":{"dtype":"U8","shape":[],"data_offsets":[0,1]} and its comma: bounds the number of
// tensors before anything is allocated for them.
constexpr uint64_t kMinEntryBytes = 50;

struct TypeRow {
  std::string_view name;
  DType dtype;
};
constexpr TypeRow kTypes[] = {
    {"F32", DType::kF32}, {"F16", DType::kF16}, {"BF16", DType::kBF16}, {"F8_E4M3", DType::kF8E4M3},
    {"I64", DType::kI64}, {"I32", DType::kI32}, {"I8", DType::kI8},     {"U8", DType::kU8},
};

struct Entry {
  std::optional<DType> dtype;
  std::optional<Shape> shape;
  std::optional<std::pair<uint64_t, uint64_t>> offsets;
};

class HeaderReader {
 public:
  HeaderReader(const SourceFile& file, std::string_view header, StringArena* arena, std::vector<NamedTensor>* tensors)
      : file_(file),
        json_(header, kPrefixBytes, file.name()),
        data_begin_(kPrefixBytes + header.size()),
        arena_(arena),
        tensors_(tensors) {}

  Status read() {
    BANTAM_TRY(json_.expect('{'));
    if (!json_.accept('}')) {
      do {
        BANTAM_TRY(read_member());
      } while (json_.accept(','));
      BANTAM_TRY(json_.expect('}'));
    }
    return json_.end();
  }

 private:
  Status read_member() {
    std::string_view name;
    BANTAM_TRY(json_.string(arena_, &name));
    if (name.empty()) return bad_input("expected a tensor name, got an empty string {}", json_.place());
    BANTAM_TRY(json_.expect(':'));
    if (name == "__metadata__") return read_metadata();
    Entry entry;
    Status status = read_entry(&entry);
    if (status.ok()) status = add(name, entry);
    return status.ok() ? Status() : std::move(status).with_context("tensor " + printable(name));
  }

  // String to string pairs; nothing in them is needed here.
  Status read_metadata() {
    BANTAM_TRY(json_.expect('{'));
    if (json_.accept('}')) return {};
    do {
      StringArena scratch;
      std::string_view ignored;
      BANTAM_TRY(json_.string(&scratch, &ignored));
      BANTAM_TRY(json_.expect(':'));
      BANTAM_TRY(json_.string(&scratch, &ignored));
    } while (json_.accept(','));
    return json_.expect('}');
  }

  Status read_entry(Entry* entry) {
    BANTAM_TRY(json_.expect('{'));
    do {
      StringArena scratch;
      std::string_view field;
      BANTAM_TRY(json_.string(&scratch, &field));
      BANTAM_TRY(json_.expect(':'));
      if (field == "dtype" && !entry->dtype) {
        BANTAM_TRY(read_dtype(entry));
      } else if (field == "shape" && !entry->shape) {
        BANTAM_TRY(read_shape(entry));
      } else if (field == "data_offsets" && !entry->offsets) {
        BANTAM_TRY(read_offsets(entry));
      } else {
        return bad_input("expected dtype, shape and data_offsets once each, got {} {}", printable(field),
                         json_.place());
      }
    } while (json_.accept(','));
    BANTAM_TRY(json_.expect('}'));
    if (entry->dtype && entry->shape && entry->offsets) return {};
    return bad_input("expected dtype, shape and data_offsets, got the end of the entry without {} {}",
                     !entry->dtype   ? "dtype"
                     : !entry->shape ? "shape"
                                     : "data_offsets",
                     json_.place());
  }

  Status read_dtype(Entry* entry) {
    StringArena scratch;
    std::string_view text;
    BANTAM_TRY(json_.string(&scratch, &text));
    entry->dtype = dtype_of_safetensors(text);
    if (entry->dtype) return {};
    return bad_input("expected dtype F32, F16, BF16, F8_E4M3, I64, I32, I8 or U8, got {} {}", printable(text),
                     json_.place());
  }

  Status read_shape(Entry* entry) {
    Shape shape;
    BANTAM_TRY(json_.expect('['));
    if (!json_.accept(']')) {
      do {
        if (shape.rank == kMaxRank)
          return bad_input("expected at most {} dimensions, got more {}", kMaxRank, json_.place());
        uint64_t dim = 0;
        BANTAM_TRY(json_.size(&dim));
        shape.dims[static_cast<size_t>(shape.rank++)] = static_cast<int64_t>(dim);
      } while (json_.accept(','));
      BANTAM_TRY(json_.expect(']'));
    }
    entry->shape = shape;
    return {};
  }

  Status read_offsets(Entry* entry) {
    uint64_t begin = 0, end = 0;
    BANTAM_TRY(json_.expect('['));
    BANTAM_TRY(json_.size(&begin));
    BANTAM_TRY(json_.expect(','));
    BANTAM_TRY(json_.size(&end));
    BANTAM_TRY(json_.expect(']'));
    entry->offsets = {begin, end};
    return {};
  }

  Status add(std::string_view name, const Entry& entry) {
    const auto [begin, end] = *entry.offsets;
    const uint64_t data_bytes = file_.bytes().size() - data_begin_;
    if (begin > end || end > data_bytes) {
      return bad_input("expected data_offsets within the {} data bytes of the file, got [{}, {}] {}",
                       with_commas(data_bytes), with_commas(begin), with_commas(end), json_.place());
    }
    int64_t bytes = info(*entry.dtype).block_bytes;
    for (int i = 0; i < entry.shape->rank; ++i) {
      if (!checked_mul(bytes, (*entry.shape)[i], &bytes)) {
        return bad_input("expected a size below 2^63 bytes, got shape {} {}", entry.shape->to_string(), json_.place());
      }
    }
    if (static_cast<uint64_t>(bytes) != end - begin) {
      return bad_input("expected {} bytes of data for {} {}, got {} {}", with_commas(static_cast<uint64_t>(bytes)),
                       safetensors_name(*entry.dtype), entry.shape->to_string(), with_commas(end - begin),
                       json_.place());
    }
    const uint64_t offset = data_begin_ + begin;
    tensors_->push_back({name, {file_.bytes().data() + offset, *entry.dtype, *entry.shape}, &file_, offset});
    return {};
  }

  const SourceFile& file_;
  JsonCursor json_;
  uint64_t data_begin_;
  StringArena* arena_;
  std::vector<NamedTensor>* tensors_;
};

// The data must be one gapless run from the header's end to the end of the file.
Status check_contiguous(const SourceFile& file, uint64_t data_begin, std::span<const NamedTensor> tensors) {
  std::vector<uint32_t> order(tensors.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    const NamedTensor &x = tensors[a], &y = tensors[b];
    return x.offset != y.offset ? x.offset < y.offset : x.view.bytes() < y.view.bytes();
  });
  uint64_t expected = data_begin;
  for (uint32_t i : order) {
    const NamedTensor& t = tensors[i];
    if (t.offset != expected) {
      return bad_input("tensor {}: expected its data at byte {}, where the data before it ends, got byte {} of {}",
                       printable(t.name), with_commas(expected), with_commas(t.offset), file.name());
    }
    expected += static_cast<uint64_t>(t.view.bytes());
  }
  if (expected == file.bytes().size()) return {};
  return bad_input("expected the file to end with its last tensor at byte {}, got {} bytes in {}",
                   with_commas(expected), with_commas(file.bytes().size()), file.name());
}

Status read_file_into(const SourceFile& file, StringArena* arena, std::vector<NamedTensor>* tensors) {
  const uint64_t size = file.bytes().size();
  if (size < kPrefixBytes + 2) {
    return bad_input("expected at least {} bytes (a length and a header), got {} in {}", kPrefixBytes + 2, size,
                     file.name());
  }
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.bytes().data(), sizeof header_bytes);
  if (header_bytes < 2 || header_bytes > kMaxHeaderBytes || header_bytes > size - kPrefixBytes) {
    return bad_input("expected a header of 2 to {} bytes, got length {} at byte 0 of {}",
                     with_commas(std::min(kMaxHeaderBytes, size - kPrefixBytes)), with_commas(header_bytes),
                     file.name());
  }
  const std::string_view header = file.text().substr(kPrefixBytes, header_bytes);
  if (header.front() != '{') {
    return bad_input("expected the header to start with '{{', got '{}' at byte {} of {}",
                     printable(header.substr(0, 1)), kPrefixBytes, file.name());
  }
  const size_t before = tensors->size();
  tensors->reserve(before + header_bytes / kMinEntryBytes + 1);
  BANTAM_TRY(HeaderReader(file, header, arena, tensors).read());
  return check_contiguous(file, kPrefixBytes + header_bytes, std::span(*tensors).subspan(before));
}

}  // namespace

Status read_safetensors(const SourceFile& file, StringArena* arena, std::vector<NamedTensor>* tensors) {
  Status status = read_file_into(file, arena, tensors);
  return status.ok() ? Status() : std::move(status).with_context("safetensors");
}

std::string_view safetensors_name(DType dtype) {
  for (const TypeRow& row : kTypes) {
    if (row.dtype == dtype) return row.name;
  }
  return {};
}

std::optional<DType> dtype_of_safetensors(std::string_view name) {
  for (const TypeRow& row : kTypes) {
    if (row.name == name) return row.dtype;
  }
  return std::nullopt;
}

}  // namespace bantam::formats
