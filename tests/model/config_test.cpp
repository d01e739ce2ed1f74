// Hyper-parameters: both spellings of config.json, GGUF metadata, round trips, and everything that must be refused.
#include "model/config.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/json.h"
#include "base/rng.h"
#include "formats/gguf_writer.h"
#include "model/rope.h"
#include "support.h"

namespace bantam::model {
namespace {

// config.json of Qwen3-4B as released (transformers 4.51 spelling).
constexpr std::string_view kQwen34b = R"({"architectures":["Qwen3ForCausalLM"],"attention_bias":false,
  "bos_token_id":151643,"eos_token_id":[151645,151643],"head_dim":128,"hidden_act":"silu","hidden_size":2560,
  "initializer_range":0.02,"intermediate_size":9728,"max_position_embeddings":40960,"max_window_layers":36,
  "model_type":"qwen3","num_attention_heads":32,"num_hidden_layers":36,"num_key_value_heads":8,
  "rms_norm_eps":1e-06,"rope_scaling":null,"rope_theta":1000000,"sliding_window":null,
  "tie_word_embeddings":true,"torch_dtype":"bfloat16","use_sliding_window":false,"vocab_size":151936})";

Result<Config> parse(std::string_view text) {
  return config_from_json(parse_json(text, "config.json").value());
}
// kQwen34b with one member replaced ("" removes it).
Result<Config> with(std::string_view key, std::string_view value) {
  JsonValue json = parse_json(kQwen34b, "config.json").value();
  if (value.empty()) {
    std::erase_if(json.members(), [&](const auto& m) { return m.first == key; });
  } else {
    json.set(key, parse_json(value, "value").value());
  }
  return config_from_json(json);
}

TEST(ConfigTest, ReadsTransformers4And5) {
  const Config four = parse(kQwen34b).value();
  EXPECT_EQ(four.hidden_size, 2560);
  EXPECT_EQ(four.head_dim, 128);
  EXPECT_EQ(four.rope_theta, 1e6);
  EXPECT_EQ(four.eos_token_id, (std::vector<int32_t>{151645, 151643}));
  EXPECT_FALSE(four.rope_scaling.has_value());
  JsonValue json = parse_json(kQwen34b, "config.json").value();
  std::erase_if(json.members(), [](const auto& m) {
    return m.first == "rope_theta" || m.first == "rope_scaling" || m.first == "torch_dtype";
  });
  json.set("dtype", JsonValue::string("bfloat16"));
  json.set("rope_parameters", parse_json(R"({"rope_theta":1000000.0,"rope_type":"default"})", "p").value());
  EXPECT_EQ(config_from_json(json).value(), four);
  Config named = named_config("qwen3-4b").value();
  named.eos_token_id = four.eos_token_id;
  EXPECT_EQ(named, four);
}

TEST(ConfigTest, DefaultsAreTheReferences) {
  EXPECT_EQ(with("head_dim", "").value().head_dim, 128) << "Qwen3: never D / Hq";
  EXPECT_EQ(with("num_key_value_heads", "null").value().num_key_value_heads, 32);
  EXPECT_EQ(with("rope_theta", "").value().rope_theta, 10000.0);
  EXPECT_FALSE(with("tie_word_embeddings", "").value().tie_word_embeddings);
  EXPECT_EQ(with("eos_token_id", "999999").value().eos_token_id.size(), 0u) << "never sampled, so dropped";
  JsonValue json = parse_json(kQwen34b, "c").value();
  json.set("architectures", parse_json(R"(["Qwen2ForCausalLM"])", "a").value());
  std::erase_if(json.members(), [](const auto& m) { return m.first == "head_dim"; });
  EXPECT_EQ(config_from_json(json).value().head_dim, 80) << "Qwen2: D / Hq";
}

TEST(ConfigTest, ReadsRopeScaling) {
  const Config c =
      with("rope_scaling", R"({"rope_type":"yarn","factor":4.0,"original_max_position_embeddings":32768})").value();
  ASSERT_TRUE(c.rope_scaling.has_value());
  EXPECT_EQ(c.rope_scaling->factor, 4.0);
  EXPECT_EQ(c.rope_scaling->original_max_position_embeddings, 32768);
  EXPECT_EQ(c.rope_scaling->beta_fast, 32);
  const Config old =
      with("rope_scaling", R"({"type":"yarn","factor":2,"attention_factor":1.5,"beta_fast":16})").value();
  EXPECT_EQ(old.rope_scaling->original_max_position_embeddings, 40960) << "falls back to max_position_embeddings";
  EXPECT_EQ(old.rope_scaling->attention_factor, 1.5);
  EXPECT_FALSE(with("rope_scaling", R"({"rope_type":"default"})").value().rope_scaling.has_value());
  for (const char* bad : {R"({"rope_type":"dynamic","factor":2})", R"({"rope_type":"yarn","factor":0.5})",
                          R"({"rope_type":"yarn","factor":4,"original_max_position_embeddings":0})", "7",
                          R"({"rope_type":"yarn","factor":"four"})", R"({"rope_type":"yarn","factor":1e30})"}) {
    EXPECT_FALSE(with("rope_scaling", bad).ok()) << bad;
  }
}

TEST(ConfigTest, RefusesOtherArchitecturesAndSaysWhy) {
  const std::pair<const char*, const char*> cases[] = {{R"(["Qwen3MoeForCausalLM"])", "mixture-of-experts"},
                                                       {R"(["Qwen2_5_VLForConditionalGeneration"])", "vision"},
                                                       {R"(["LlamaForCausalLM"])", "another architecture"},
                                                       {R"([])", "list of names"},
                                                       {R"("Qwen3ForCausalLM")", "list of names"}};
  for (const auto& [value, why] : cases) {
    const auto result = with("architectures", value);
    ASSERT_FALSE(result.ok()) << value;
    EXPECT_NE(result.status().message().find(why), std::string_view::npos) << result.status().message();
  }
}

TEST(ConfigTest, RefusesWhatWouldChangeTheMaths) {
  const std::pair<const char*, const char*> cases[] = {{"hidden_act", R"("gelu")"},
                                                       {"attention_bias", "true"},
                                                       {"partial_rotary_factor", "0.5"},
                                                       {"layer_types", R"(["full_attention","sliding_attention"])"},
                                                       {"quantization_config", R"({"quant_method":"gptq","bits":4})"}};
  for (const auto& [key, value] : cases) {
    const auto result = with(key, value);
    ASSERT_FALSE(result.ok()) << key;
    EXPECT_NE(result.status().message().find(key), std::string_view::npos) << result.status().message();
  }
  JsonValue json = parse_json(kQwen34b, "c").value();
  json.set("use_sliding_window", JsonValue::boolean(true));
  json.set("sliding_window", JsonValue::number(int64_t{4096}));
  EXPECT_TRUE(config_from_json(json).ok()) << "max_window_layers = layers: no layer slides";
  json.set("max_window_layers", JsonValue::number(int64_t{28}));
  EXPECT_FALSE(config_from_json(json).ok());
  EXPECT_TRUE(with("quantization_config", R"({"quant_method":"fp8","weight_block_size":[128,128]})").ok());
}

// Zero, negative, huge, fractional, text, null, absent: for every size. No crash, an error that names the field.
TEST(ConfigTest, HyperParameterMatrix) {
  for (const char* key : {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                          "num_key_value_heads", "head_dim", "max_position_embeddings", "vocab_size"}) {
    for (const char* value : {"0", "-1", "2147483648", "9223372036854775807", "-9223372036854775808", "1e400", "1.5",
                              "99999999999999999999", R"("64")", "[]", "{}", "true"}) {
      const auto result = with(key, value);
      ASSERT_FALSE(result.ok()) << key << " = " << value;
      EXPECT_EQ(result.status().code(), ErrorCode::kBadInput);
    }
  }
  for (const char* key :
       {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size"}) {
    const auto result = with(key, "");
    ASSERT_FALSE(result.ok());
    EXPECT_NE(result.status().message().find(key), std::string_view::npos) << result.status().message();
  }
  EXPECT_FALSE(with("num_hidden_layers", "513").ok());
  EXPECT_FALSE(with("head_dim", "24").ok());
  EXPECT_FALSE(with("num_key_value_heads", "7").ok());
  EXPECT_FALSE(with("num_key_value_heads", "64").ok());
  EXPECT_FALSE(with("rms_norm_eps", "0").ok());
  EXPECT_FALSE(with("rms_norm_eps", "-1e-6").ok());
  EXPECT_FALSE(with("rope_theta", "0").ok());
  EXPECT_FALSE(with("rope_theta", "1e308").ok());
  EXPECT_FALSE(with("eos_token_id", "-1").ok());
  EXPECT_FALSE(with("eos_token_id", R"(["a"])").ok());
  EXPECT_FALSE(parse("[]").ok());
  EXPECT_FALSE(parse("{}").ok());
}

// Bytes flipped, dropped and doubled: whatever still parses is either refused or valid in every respect.
TEST(ConfigTest, MutantsAreRefusedOrValid) {
  Philox rng(2024);
  int accepted = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text(kQwen34b);
    for (uint32_t edits = 1 + rng.below(3); edits > 0; --edits) {
      const size_t at = rng.below(static_cast<uint32_t>(text.size()));
      constexpr std::string_view kBytes = "0123456789-.eE\",:{}[]null";
      switch (rng.below(3)) {
        case 0:
          text[at] = kBytes[rng.below(static_cast<uint32_t>(kBytes.size()))];
          break;
        case 1:
          text.erase(at, 1 + rng.below(4));
          break;
        default:
          text.insert(at, text.substr(at, rng.below(8)));
          break;
      }
    }
    const auto json = parse_json(text, "config.json");
    if (!json.ok()) continue;
    const auto config = config_from_json(*json);
    if (!config.ok()) {
      EXPECT_EQ(config.status().code(), ErrorCode::kBadInput);
      continue;
    }
    ++accepted;
    EXPECT_TRUE(validate(*config).ok()) << text;
    EXPECT_TRUE(make_rope(*config, 1).ok()) << text;
  }
  EXPECT_GT(accepted, 100);
}

TEST(ConfigTest, JsonRoundTrip) {
  for (const std::string_view model_name : named_configs()) {
    Config c = named_config(model_name).value();
    EXPECT_TRUE(validate(c).ok()) << model_name;
    EXPECT_EQ(config_from_json(config_to_json(c, "bfloat16")).value(), c) << model_name;
    c.rope_scaling = RopeScaling{RopeScaling::Type::kYarn, 4.0, 32768, 16, 2, 1.25, 1.0, 0.5, false};
    EXPECT_EQ(config_from_json(config_to_json(c, "float32")).value(), c) << model_name;
  }
  EXPECT_FALSE(named_config("qwen3-5b").ok());
}

// Parameters as the model cards count them, in millions.
TEST(ConfigTest, ParameterCounts) {
  const std::pair<const char*, int64_t> cases[] = {{"qwen3-0.6b", 596},   {"qwen3-1.7b", 1720}, {"qwen3-4b", 4022},
                                                   {"qwen3-8b", 8190},    {"qwen3-14b", 14768}, {"qwen3-32b", 32762},
                                                   {"qwen2.5-0.5b", 494}, {"qwen2.5-7b", 7615}};
  for (const auto& [model_name, millions] : cases) {
    EXPECT_EQ(named_config(model_name).value().parameter_count() / 1'000'000, millions) << model_name;
  }
}

// Writes a one-tensor GGUF with this metadata and reads the config back.
Result<Config> through_gguf(const Config& c, const std::function<void(formats::GgufMetadataBuilder*)>& edit = {}) {
  formats::GgufMetadataBuilder metadata;
  BANTAM_TRY(config_to_gguf(c, &metadata));
  if (edit) edit(&metadata);
  const std::string path = testing::TempDir() + fmt::format("bantam_config_{}.gguf", ::getpid());
  const Shape shape{c.vocab_size, 1};
  BANTAM_TRY_ASSIGN(auto writer, formats::create_gguf(path, metadata, {{"token_embd.weight", DType::kF16, shape}}));
  const std::vector<std::byte> data(static_cast<size_t>(c.vocab_size * 2));
  BANTAM_TRY(writer->write("token_embd.weight", data));
  BANTAM_TRY(writer->finish());
  auto checkpoint = formats::Checkpoint::open(path);
  std::filesystem::remove(path);
  if (!checkpoint.ok()) return checkpoint.status();
  return read_config(*checkpoint);
}

TEST(ConfigTest, GgufRoundTrip) {
  Config c = named_config("qwen3-4b").value();
  c.bos_token_id.reset();  // tokenizer keys are not ours to write
  c.eos_token_id.clear();
  EXPECT_EQ(through_gguf(c).value(), c);
  c.rope_scaling = RopeScaling{RopeScaling::Type::kYarn, 4.0, 32768};
  EXPECT_EQ(through_gguf(c).value(), c);
  c.rope_scaling->attention_factor = 1.0;
  EXPECT_NEAR(*through_gguf(c).value().rope_scaling->attention_factor, 1.0, 1e-6);
  c.rope_scaling->truncate = false;
  EXPECT_EQ(through_gguf(c).status().code(), ErrorCode::kUsage);
  Config q2 = named_config("qwen2.5-0.5b").value();
  q2.bos_token_id.reset();
  q2.eos_token_id = {151645};
  const auto with_eos = [](formats::GgufMetadataBuilder* m) { m->set_u32("tokenizer.ggml.eos_token_id", 151645); };
  EXPECT_EQ(through_gguf(q2, with_eos).value(), q2);
}

TEST(ConfigTest, DamagedGgufMetadata) {
  const Config c = named_config("qwen3-0.6b").value();
  const std::function<void(formats::GgufMetadataBuilder*)> edits[] = {
      [](auto* m) { m->set_string("general.architecture", "qwen3moe"); },
      [](auto* m) { m->set_string("general.architecture", "llama"); },
      [](auto* m) { m->set_u32("qwen3.attention.head_count", 0); },
      [](auto* m) { m->set_i32("qwen3.attention.head_count", -16); },
      [](auto* m) { m->set_u32("qwen3.attention.head_count_kv", 0); },
      [](auto* m) { m->set_u64("qwen3.block_count", uint64_t{1} << 63); },
      [](auto* m) { m->set_u32("qwen3.block_count", 513); },
      [](auto* m) { m->set_string("qwen3.block_count", "28"); },
      [](auto* m) { m->remove("qwen3.embedding_length"); },
      [](auto* m) { m->set_u32("qwen3.attention.value_length", 64); },
      [](auto* m) { m->set_u32("qwen3.rope.dimension_count", 64); },
      [](auto* m) { m->set_f32("qwen3.rope.freq_base", 0); },
      [](auto* m) { m->set_string("qwen3.rope.scaling.type", "longrope"); },
      [](auto* m) { m->set_u32("tokenizer.ggml.eos_token_id", 151936); },
      [](auto* m) { m->set_u32("tokenizer.ggml.bos_token_id", 0xFFFFFFFFu); },
  };
  ASSERT_TRUE(through_gguf(c).ok());
  for (size_t i = 0; i < std::size(edits); ++i) {
    const auto result = through_gguf(c, edits[i]);
    ASSERT_FALSE(result.ok()) << "edit " << i;
    EXPECT_EQ(result.status().code(), ErrorCode::kBadInput) << result.status().message();
  }
}

TEST(ConfigTest, ReleasedConfigOf2507) {
  const char* shared = std::getenv("BANTAM_SHARED");
  const std::string path =
      std::string(shared ? shared : BANTAM_SOURCE_DIR "/../shared") + "/data/configs/qwen3-4b-2507.json";
  std::ifstream file(path);
  if (!file) GTEST_SKIP() << "no " << path;
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_EQ(parse(text.str()).value(), named_config("qwen3-4b-2507").value());
}

}  // namespace
}  // namespace bantam::model
