// Binding and loading: names, shapes, damage, GGUF and FP8 against the same values in f32, plans against what is
// really allocated, and that a forward allocates nothing.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <new>

#include "base/rng.h"
#include "formats/gguf_writer.h"
#include "model/plan.h"
#include "support.h"
#include "tensor/bf16.h"

// Sanitizers bring their own operator new; they watch other things.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BANTAM_COUNTS_ALLOCATIONS 0
#else
#define BANTAM_COUNTS_ALLOCATIONS 1
#endif

#if BANTAM_COUNTS_ALLOCATIONS
namespace {
std::atomic<int64_t> g_allocations = 0;
void* counted(std::size_t size) {
  ++g_allocations;
  if (void* p = std::malloc(size == 0 ? 1 : size)) return p;
  throw std::bad_alloc();
}
}  // namespace
void* operator new(std::size_t size) {
  return counted(size);
}
void* operator new[](std::size_t size) {
  return counted(size);
}
void operator delete(void* p) noexcept {
  std::free(p);
}
void operator delete[](void* p) noexcept {
  std::free(p);
}
void operator delete(void* p, std::size_t) noexcept {
  std::free(p);
}
void operator delete[](void* p, std::size_t) noexcept {
  std::free(p);
}
#endif

namespace bantam::model {
namespace {

using formats::Checkpoint;

Config tiny_config(Family family, bool tied) {
  Config c;
  c.family = family;
  c.vocab_size = 40;
  c.hidden_size = 160;
  c.intermediate_size = 200;
  c.num_hidden_layers = 2;
  c.num_attention_heads = 10;
  c.num_key_value_heads = 5;
  c.head_dim = 16;
  c.max_position_embeddings = 256;
  c.tie_word_embeddings = tied;
  return c;
}

std::vector<float> random_values(uint64_t seed, int64_t n, bool vector) {
  Philox rng(seed);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& v : values) v = bf16_to_f32(f32_to_bf16((rng.uniform() - 0.5f) * 0.3f + (vector ? 1.0f : 0.0f)));
  return values;
}

std::vector<RawTensor> f32_tensors(const Config& c) {
  std::vector<RawTensor> tensors;
  for (const TensorSpec& spec : tensor_specs(c)) {
    std::vector<int64_t> shape(spec.shape.dims.begin(), spec.shape.dims.begin() + spec.shape.rank);
    tensors.push_back(
        {spec.hf_name, "F32", shape, bytes_of(random_values(tensors.size(), spec.shape.elems(), !spec.is_matrix()))});
  }
  return tensors;
}

// A folder in memory; owns its bytes.
struct Folder {
  std::string config, weights;
  Folder(const Config& c, const std::vector<RawTensor>& tensors)
      : config(to_json(config_to_json(c, "float32"))), weights(safetensors_bytes(tensors)) {}
  Result<Checkpoint> open() const {
    return Checkpoint::from_memory({{"config.json", config}, {"model.safetensors", weights}});
  }
};

std::vector<float> logits_of(const Weights& w) {
  return run(w, {}, {random_ids(4, 70, w.config.vocab_size)})[0];
}

TEST(BindTest, NamesCoverBothFormats) {
  const std::vector<TensorSpec> specs = tensor_specs(named_config("qwen3-8b").value());
  EXPECT_EQ(specs.size(), 3u + 36u * 11u);
  EXPECT_EQ(specs[0].gguf_name, "token_embd.weight");
  EXPECT_EQ(specs[1].hf_name, "model.layers.0.input_layernorm.weight");
  EXPECT_EQ(specs[7].hf_name, "model.layers.0.self_attn.o_proj.weight");
  EXPECT_EQ(specs[7].gguf_name, "blk.0.attn_output.weight");
  EXPECT_EQ(specs[7].shape, (Shape{4096, 4096}));
  EXPECT_EQ(specs.back().hf_name, "lm_head.weight");
  EXPECT_EQ(tensor_specs(named_config("qwen3-4b").value()).back().gguf_name, "output_norm.weight");
  const std::vector<TensorSpec> q2 = tensor_specs(named_config("qwen2.5-0.5b").value());
  EXPECT_EQ(q2.size(), 2u + 24u * 12u);
  EXPECT_EQ(q2[5].hf_name, "model.layers.0.self_attn.q_proj.bias");
  EXPECT_EQ(q2[5].shape, Shape{896});
}

TEST(BindTest, MissingExtraMisshapedMistyped) {
  const Config c = tiny_config(Family::kQwen3, true);
  const std::vector<RawTensor> good = f32_tensors(c);
  const auto error_of = [&](const std::function<void(std::vector<RawTensor>*)>& edit) {
    std::vector<RawTensor> tensors = good;
    edit(&tensors);
    const Folder folder(c, tensors);
    const auto checkpoint = folder.open();
    if (!checkpoint.ok()) return std::string(checkpoint.status().message());
    const auto binding = bind(*checkpoint);
    return binding.ok() ? std::string() : std::string(binding.status().message());
  };
  EXPECT_EQ(error_of([](auto*) {}), "");
  const auto at = [](std::vector<RawTensor>* t, std::string_view name) -> RawTensor& {
    return *std::find_if(t->begin(), t->end(), [&](const RawTensor& r) { return r.name == name; });
  };
  std::string e = error_of([&](auto* t) { std::erase_if(*t, [](auto& r) { return r.name == "model.norm.weight"; }); });
  EXPECT_NE(e.find("expected tensor model.norm.weight of shape [160]"), std::string::npos) << e;
  e = error_of([&](auto* t) { at(t, "model.layers.1.mlp.up_proj.weight").shape = {160, 200}; });
  EXPECT_NE(e.find("model.layers.1.mlp.up_proj.weight: expected shape [200, 160], got [160, 200]"), std::string::npos)
      << e;
  e = error_of([&](auto* t) { t->push_back({"model.layers.2.extra", "F32", {1}, "1234"}); });
  EXPECT_NE(e.find("model.layers.2.extra"), std::string::npos) << e;
  e = error_of([&](auto* t) { at(t, "model.norm.weight").dtype = "I32"; });
  EXPECT_NE(e.find("expected f32, f16 or bf16, got i32"), std::string::npos) << e;
  e = error_of([&](auto* t) {
    t->push_back({"model.layers.0.mlp.up_proj.weight_scale_inv", "F32", {2, 2}, std::string(16, 0)});
  });
  EXPECT_NE(e.find("f8_e4m3"), std::string::npos) << e;
  // Harmless company.
  EXPECT_EQ(error_of([&](auto* t) {
              t->push_back({"model.layers.0.self_attn.rotary_emb.inv_freq", "F32", {8}, std::string(32, 0)});
              t->push_back({"lm_head.weight", "F32", {40, 160}, at(t, "model.embed_tokens.weight").data});
            }),
            "");
}

TEST(BindTest, ConfigsThatPromiseMoreThanTheFileHas) {
  Config c = tiny_config(Family::kQwen3, true);
  const std::vector<RawTensor> tensors = f32_tensors(c);
  c.num_hidden_layers = 512;
  const Folder folder(c, tensors);
  const Checkpoint checkpoint = folder.open().value();
  EXPECT_EQ(bind(checkpoint).status().code(), ErrorCode::kBadInput);
}

TEST(WeightsTest, GgufEqualsHuggingFace) {
  ThreadPool pool(2);
  for (const Family family : {Family::kQwen3, Family::kQwen2}) {
    for (const bool tied : {true, false}) {
      const Config c = tiny_config(family, tied);
      const Folder folder(c, f32_tensors(c));
      const Checkpoint hf = folder.open().value();
      const Binding binding = bind(hf).value();
      std::vector<formats::TensorPlan> plan;
      for (size_t i = 0; i < binding.specs.size(); ++i) {
        plan.push_back({binding.specs[i].gguf_name, DType::kF32, binding.specs[i].shape});
      }
      formats::GgufMetadataBuilder metadata;
      ASSERT_TRUE(config_to_gguf(c, &metadata).ok());
      const std::string path = testing::TempDir() + fmt::format("bantam_weights_{}.gguf", ::getpid());
      auto writer = formats::create_gguf(path, metadata, plan).value();
      for (size_t i = 0; i < plan.size(); ++i) {
        const auto& view = binding.tensors[i]->view;
        ASSERT_TRUE(
            writer->write(plan[i].name, {static_cast<const std::byte*>(view.data), static_cast<size_t>(view.bytes())})
                .ok());
      }
      ASSERT_TRUE(writer->finish().ok());
      const Checkpoint gguf = Checkpoint::open(path).value();
      const Weights a = load_weights(hf, pool).value(), b = load_weights(gguf, pool).value();
      EXPECT_EQ(b.config, c);
      EXPECT_EQ(logits_of(a), logits_of(b));
      std::filesystem::remove(path);
    }
  }
}

// FP8 weights with one multiplier per 128 x 128 block give the bits of the same products held in f32.
TEST(WeightsTest, Fp8EqualsItsDequantisation) {
  ThreadPool pool(2);
  const Config c = tiny_config(Family::kQwen3, false);
  for (const std::string scale_type : {"F32", "BF16"}) {
    std::vector<RawTensor> wide = f32_tensors(c), narrow;
    for (RawTensor& t : wide) {
      const bool linear = t.name.find("_proj.weight") != std::string::npos;
      if (!linear) {
        narrow.push_back(t);
        continue;
      }
      const int64_t rows = t.shape[0], cols = t.shape[1], block_cols = (cols + 127) / 128;
      Philox rng(narrow.size(), 5);
      std::vector<float> scales(static_cast<size_t>((rows + 127) / 128 * block_cols)), values;
      for (float& s : scales) s = bf16_to_f32(f32_to_bf16(0.001f + 0.01f * rng.uniform()));
      std::string codes;
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t k = 0; k < cols; ++k) {
          uint8_t code = static_cast<uint8_t>(rng.next());
          if ((code & 0x7F) == 0x7F) code = 0;  // NaN
          codes.push_back(static_cast<char>(code));
          values.push_back(f8_e4m3_to_f32(code) * scales[static_cast<size_t>(r / 128 * block_cols + k / 128)]);
        }
      }
      std::vector<uint16_t> half;
      for (const float s : scales) half.push_back(f32_to_bf16(s));
      narrow.push_back({t.name, "F8_E4M3", t.shape, codes});
      narrow.push_back({t.name + "_scale_inv",
                        scale_type,
                        {(rows + 127) / 128, block_cols},
                        scale_type == "F32" ? bytes_of(scales) : bytes_of(half)});
      t.data = bytes_of(values);
    }
    const Folder a(c, narrow), b(c, wide);
    const Weights f8 = load_weights(a.open().value(), pool).value(), f32 = load_weights(b.open().value(), pool).value();
    EXPECT_EQ(f8.layers[0].q.weight.dtype, DType::kF8E4M3);
    const std::vector<float> logits = logits_of(f8);
    EXPECT_EQ(logits, logits_of(f32)) << scale_type;
    EXPECT_TRUE(std::isfinite(logits[0]));
  }
}

TEST(WeightsTest, PlanIsWhatGetsAllocated) {
  ThreadPool pool(2);
  const Config c = tiny_config(Family::kQwen2, true);
  const Folder folder(c, f32_tensors(c));
  const Checkpoint checkpoint = folder.open().value();
  const Binding binding = bind(checkpoint).value();
  const StepLimits limits{32, 4, 256};
  const Plan plan = make_plan(binding, DType::kF16, limits, pool.threads());
  const Weights weights = load_weights(checkpoint, binding, pool).value();
  const Workspace ws =
      Workspace::create(c, limits, *kernels::available_tables()[0], pool, ops::Numerics::kFast).value();
  // Storage rounds up to pages.
  EXPECT_LE(plan.weights_bytes, weights.bytes());
  EXPECT_GT(plan.weights_bytes + 4096, weights.bytes());
  EXPECT_LE(plan.workspace_bytes, ws.storage.size_bytes());
  EXPECT_GT(plan.workspace_bytes + 4096, ws.storage.size_bytes());
  EXPECT_EQ(plan.kv_bytes, 2 * 2 * 5 * 16 * 2 * 256);
  EXPECT_EQ(plan.total_bytes, plan.weights_bytes + plan.kv_bytes + plan.workspace_bytes);

  const Config big = named_config("qwen3-4b").value();
  const Plan q4 = make_plan(big, DType::kQ4_0, DType::kF16, {512, 8, 40960}, 2);
  EXPECT_EQ(q4.kv_token_bytes, 147456);
  EXPECT_EQ(q4.kv_bytes, 147456 * int64_t{40960});
  EXPECT_EQ(make_plan(big, DType::kQ4_0, DType::kQ8_0, {512, 8, 40960}, 2).kv_token_bytes, 78336);
  EXPECT_EQ(make_plan(big, DType::kQ4_0, DType::kQ4_0, {512, 8, 40960}, 2).kv_token_bytes, 41472);
  EXPECT_TRUE(check_kv_type(big, DType::kQ4_0).ok());
  const Status refused = check_kv_type(c, DType::kQ8_0);  // heads of 16 dimensions have no block of 32
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.message().find("multiple of 32"), std::string_view::npos);
  EXPECT_NEAR(static_cast<double>(q4.weights_bytes), 4.022e9 * 18 / 32, 3e7);
  EXPECT_LT(q4.workspace_bytes, 400'000'000);

  EXPECT_EQ(context_that_fits(binding, DType::kF16, limits, 2, plan.weights_bytes), 0);
  EXPECT_EQ(context_that_fits(binding, DType::kF16, limits, 2, int64_t{1} << 40), max_context(c));
  const int64_t middle = context_that_fits(binding, DType::kF16, limits, 2, plan.total_bytes);
  EXPECT_GE(middle, 256);
}

TEST(WeightsTest, EveryTensorIsVisited) {
  ThreadPool pool(1);
  const Config c = tiny_config(Family::kQwen3, false);
  const std::vector<RawTensor> tensors = f32_tensors(c);
  const Folder folder(c, tensors);
  const Weights weights = load_weights(folder.open().value(), pool).value();
  size_t i = 0;
  int64_t elems = 0;
  for_each_tensor(weights, [&](const TensorInfo& info) {
    ASSERT_LT(i, tensors.size());
    EXPECT_EQ(info.name, tensors[i].name);
    std::vector<float> row(static_cast<size_t>(info.shape.last()));
    if (info.matrix != nullptr) {
      kernels::unpack_row(*info.matrix, info.shape[0] - 1, row.data());
    } else {
      std::copy_n(info.vector, row.size(), row.begin());
    }
    EXPECT_EQ(0,
              std::memcmp(row.data(), tensors[i].data.data() + tensors[i].data.size() - row.size() * 4, row.size() * 4))
        << info.name;
    elems += info.shape.elems();
    ++i;
  });
  EXPECT_EQ(i, tensors.size());
  EXPECT_EQ(elems, c.parameter_count());
}

TEST(WeightsTest, ProgressCancelsAndReadErrorsSurface) {
  ThreadPool pool(2);
  const Config c = tiny_config(Family::kQwen3, true);
  const Folder folder(c, f32_tensors(c));
  const Checkpoint checkpoint = folder.open().value();
  int64_t last = 0, total = 0;
  ASSERT_TRUE(load_weights(checkpoint, pool, [&](int64_t done, int64_t all) {
                EXPECT_GT(done, last);
                last = done;
                total = all;
                return true;
              }).ok());
  EXPECT_EQ(last, total);
  const auto cancelled = load_weights(checkpoint, pool, [](int64_t done, int64_t all) { return done < all / 2; });
  EXPECT_EQ(cancelled.status().code(), ErrorCode::kCancelled);

  std::vector<TensorSource> sources(tensor_specs(c).size());
  for (size_t i = 0; i < sources.size(); ++i) {
    sources[i].read = [i](int64_t, std::span<std::byte> out) {
      std::memset(out.data(), 0, out.size());
      return i == 5 ? failed("cut short") : Status();
    };
  }
  const std::vector<std::vector<float>> no_scales(sources.size());
  const auto broken = pack_weights(c, sources, no_scales, pool);
  ASSERT_FALSE(broken.ok());
  EXPECT_EQ(broken.status().message(), tensor_specs(c)[5].hf_name + ": cut short");
}

#if BANTAM_COUNTS_ALLOCATIONS
TEST(ForwardTest, AllocatesNothing) {
  ThreadPool pool(2);
  const Weights weights = random_model(quant_config(), DType::kQ8_0, 1, pool);
  const Config& c = weights.config;
  const kernels::KvLayout layout = kv_layout(c, DType::kF16);
  const Storage memory = Storage::allocate(4 * layout.layers * layout.page_bytes()).value();
  const std::vector<int32_t> table = {0, 1, 2, 3}, rows = {0, 99};
  const Ids tokens = random_ids(1, 100, c.vocab_size);
  std::vector<int32_t> positions(100);
  for (int32_t i = 0; i < 100; ++i) positions[static_cast<size_t>(i)] = i;
  const std::vector<kernels::Segment> segments = {{0, 60, -1, 0, 0}, {60, 40, -1, 0, 2}};
  for (size_t i = 60; i < 100; ++i) positions[i] -= 60;
  const Rope rope = make_rope(c, 256).value();
  for (const ops::Numerics numerics : {ops::Numerics::kFast, ops::Numerics::kExact}) {
    Workspace ws = Workspace::create(c, {100, 2, 256}, *kernels::available_tables()[0], pool, numerics).value();
    const Batch batch{tokens, positions, segments, {layout, memory.data(), 4, table}, rows, &rope};
    const int64_t before = g_allocations;
    forward(weights, batch, ws, nullptr, ws.logits);
    EXPECT_EQ(g_allocations - before, 0);
  }
}
#endif

// fast rounds activations to int8 and nothing else: close to the exact product of the same weights.
TEST(ForwardTest, FastStaysCloseToExact) {
  ThreadPool pool(2);
  const Config c = quant_config();
  const Ids ids = random_ids(6, 90, c.vocab_size);
  for (const DType type : {DType::kQ8_0, DType::kQ4_0, DType::kQ4_K, DType::kQ6_K}) {
    const Weights quantised = random_model(c, type, 21, pool), wide = random_model(c, type, 21, pool, true);
    RunSpec spec;
    const std::vector<float> exact = run(quantised, spec, {ids})[0];
    EXPECT_EQ(exact, run(wide, spec, {ids})[0]) << "exact is the product of the dequantised weights";
    spec.numerics = ops::Numerics::kFast;
    const std::vector<float> fast = run(quantised, spec, {ids})[0];
    for (int64_t t = 0; t < 90; ++t) {
      // cosine >= 0.9995 follows from ||a - b|| <= 0.03 ||b||
      EXPECT_LE(relative_error(fast.data() + t * c.vocab_size, exact.data() + t * c.vocab_size, c.vocab_size), 0.03)
          << name(type) << " row " << t;
    }
    EXPECT_NE(fast, exact);
  }
}

}  // namespace
}  // namespace bantam::model
