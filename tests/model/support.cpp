#include "support.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "base/check.h"
#include "base/rng.h"
#include "model/plan.h"
#include "quant/format.h"

namespace bantam::model {

std::vector<std::string> golden_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(golden_dir())) {
    if (entry.is_directory()) names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

namespace {

struct Step {
  std::vector<int32_t> tokens, positions, rows;
  std::vector<kernels::Segment> segments;
  std::vector<std::pair<size_t, int64_t>> origin;  // sequence and position of each token
};

// The next step of a group of sequences, `done` tokens of each already fed.
Step next_step(const std::vector<Ids>& sequences, size_t begin, size_t end, const std::vector<int64_t>& done,
               const std::vector<int32_t>& page_begin, int64_t chunk) {
  Step step;
  for (size_t s = begin; s < end; ++s) {
    const int64_t left = static_cast<int64_t>(sequences[s].size()) - done[s];
    const int64_t n = std::min(left, chunk);
    if (n <= 0) continue;
    step.segments.push_back({static_cast<int32_t>(step.tokens.size()), static_cast<int32_t>(n), -1,
                             static_cast<int32_t>(done[s]), page_begin[s]});
    for (int64_t i = 0; i < n; ++i) {
      step.rows.push_back(static_cast<int32_t>(step.tokens.size()));
      step.tokens.push_back(sequences[s][static_cast<size_t>(done[s] + i)]);
      step.positions.push_back(static_cast<int32_t>(done[s] + i));
      step.origin.emplace_back(s, done[s] + i);
    }
  }
  return step;
}

}  // namespace

std::vector<std::vector<float>> run(const Weights& weights, const RunSpec& spec, const std::vector<Ids>& sequences,
                                    Probe* probe) {
  const Config& c = weights.config;
  const int64_t count = static_cast<int64_t>(sequences.size());
  int64_t longest = 1, pages = 0;
  std::vector<int64_t> sequence_pages;
  for (const Ids& ids : sequences) {
    longest = std::max(longest, static_cast<int64_t>(ids.size()));
    sequence_pages.push_back((static_cast<int64_t>(ids.size()) + kernels::kPageTok - 1) / kernels::kPageTok);
    pages += sequence_pages.back();
  }
  // Page ids: last page first, sequences interleaved.
  std::vector<int32_t> table, page_begin;
  for (const int64_t n : sequence_pages) {
    page_begin.push_back(static_cast<int32_t>(table.size()));
    table.resize(table.size() + static_cast<size_t>(n));
  }
  int32_t next_page = static_cast<int32_t>(pages) - 1;
  for (int64_t p = 0; next_page >= 0; ++p) {
    for (size_t s = 0; s < sequences.size(); ++s) {
      if (p < sequence_pages[s]) table[static_cast<size_t>(page_begin[s] + p)] = next_page--;
    }
  }
  const kernels::KvLayout layout = kv_layout(c, spec.kv);
  Storage memory = Storage::allocate(std::max<int64_t>(1, pages) * layout.layers * layout.page_bytes()).value();
  const kernels::KvView kv{layout, memory.data(), pages, table};

  ThreadPool pool(spec.threads);
  const kernels::Table& kernels_table = spec.table ? *spec.table : *kernels::available_tables()[0];
  const int64_t max_tok = std::min(spec.batch, count) * std::min(spec.chunk, longest);
  Workspace ws = Workspace::create(c, {max_tok, max_tok, longest}, kernels_table, pool, spec.numerics).value();
  const Rope rope = make_rope(c, std::min(longest, native_context(c))).value();

  std::vector<std::vector<float>> out(sequences.size());
  for (size_t s = 0; s < sequences.size(); ++s) out[s].resize(sequences[s].size() * static_cast<size_t>(c.vocab_size));
  std::vector<int64_t> done(sequences.size(), 0);
  for (size_t begin = 0; begin < sequences.size(); begin += static_cast<size_t>(spec.batch)) {
    const size_t end = std::min(sequences.size(), begin + static_cast<size_t>(spec.batch));
    while (true) {
      const Step step = next_step(sequences, begin, end, done, page_begin, spec.chunk);
      if (step.tokens.empty()) break;
      const int64_t rows = static_cast<int64_t>(step.rows.size());
      forward(weights, {step.tokens, step.positions, step.segments, kv, step.rows, &rope}, ws, probe,
              ws.logits.first_rows(rows));
      if (probe != nullptr) probe->finish(weights, ws);
      for (int64_t r = 0; r < rows; ++r) {
        const auto [s, position] = step.origin[static_cast<size_t>(r)];
        std::memcpy(out[s].data() + position * c.vocab_size, ws.logits.row(r), static_cast<size_t>(c.vocab_size) * 4);
        ++done[s];
      }
    }
  }
  return out;
}

double relative_error(const float* a, const float* b, int64_t n) {
  double difference = 0, size = 0;
  for (int64_t i = 0; i < n; ++i) {
    difference += (static_cast<double>(a[i]) - b[i]) * (static_cast<double>(a[i]) - b[i]);
    size += static_cast<double>(b[i]) * b[i];
  }
  return std::isfinite(difference) ? std::sqrt(difference / size) : INFINITY;
}

Ids random_ids(uint64_t seed, int64_t length, int64_t vocab) {
  Philox rng(seed, 77);
  Ids ids;
  for (int64_t i = 0; i < length; ++i) ids.push_back(static_cast<int32_t>(rng.below(static_cast<uint32_t>(vocab))));
  return ids;
}

Config quant_config() {
  Config c;
  c.vocab_size = 150;
  c.hidden_size = 256;
  c.intermediate_size = 256;
  c.num_hidden_layers = 2;
  c.num_attention_heads = 8;
  c.num_key_value_heads = 2;
  c.head_dim = 32;
  c.max_position_embeddings = 1024;
  c.tie_word_embeddings = true;
  return c;
}

Weights random_model(const Config& config, DType type, uint64_t seed, ThreadPool& pool, bool dequantised) {
  std::vector<TensorSource> sources;
  const std::vector<TensorSpec> specs = tensor_specs(config);
  for (size_t i = 0; i < specs.size(); ++i) {
    Philox rng(seed, i);
    const TensorSpec& spec = specs[i];
    std::vector<float> values(static_cast<size_t>(spec.shape.elems()));
    // Sums of four uniforms are bell-shaped and need no libm: the same weights, so the same hashes, everywhere.
    for (float& v : values) v = (rng.uniform() + rng.uniform() + rng.uniform() + rng.uniform() - 2.0f) * 1.7320508f;
    float scale = 1.0f;
    if (spec.is_matrix() && spec.role != Role::kEmbed) {
      int64_t root = 1;
      while ((root + 1) * (root + 1) <= spec.shape[1]) ++root;
      scale = 1.0f / static_cast<float>(root);
    }
    const bool norm =
        !spec.is_matrix() && spec.role != Role::kQBias && spec.role != Role::kKBias && spec.role != Role::kVBias;
    for (float& v : values) v = norm ? 1.0f + 0.25f * v : v * scale;
    DType stored = spec.is_matrix() ? type : DType::kF32;
    std::string raw(static_cast<size_t>(row_bytes(stored, spec.shape.elems())), '\0');
    const quant::Format* format = quant::find_format(stored);
    format->encode(values.data(), reinterpret_cast<uint8_t*>(raw.data()), spec.shape.elems());
    if (dequantised && stored != DType::kF32) {
      format->decode(reinterpret_cast<const uint8_t*>(raw.data()), values.data(), spec.shape.elems());
      raw = bytes_of(values);
      stored = DType::kF32;
    }
    sources.push_back({stored, [raw = std::move(raw)](int64_t offset, std::span<std::byte> out) {
                         std::memcpy(out.data(), raw.data() + offset, out.size());
                         return Status();
                       }});
  }
  const std::vector<std::vector<float>> no_scales(specs.size());
  return pack_weights(config, sources, no_scales, pool).value();
}

std::string safetensors_bytes(const std::vector<RawTensor>& tensors) {
  std::string header = "{", data;
  for (const RawTensor& t : tensors) {
    std::string shape;
    for (const int64_t d : t.shape) shape += (shape.empty() ? "" : ",") + std::to_string(d);
    header += (header.size() > 1 ? "," : "") +
              fmt::format("\"{}\":{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}", t.name, t.dtype, shape,
                          data.size(), data.size() + t.data.size());
    data += t.data;
  }
  header += "}";
  while (header.size() % 8 != 0) header += ' ';
  const uint64_t size = header.size();
  return std::string(reinterpret_cast<const char*>(&size), 8) + header + data;
}

}  // namespace bantam::model
