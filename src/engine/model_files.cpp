// See model_files.h.
#include "engine/model_files.h"

#include <algorithm>
#include <filesystem>

#include "text/tokenizer_loader.h"

namespace bantam::engine {
namespace {

Result<text::Tokenizer> tokenizer_from_gguf(const formats::GgufMetadata& gguf) {
  text::GgufTokenizer parts;
  BANTAM_TRY_ASSIGN(parts.model, gguf.string("tokenizer.ggml.model"));
  if (gguf.has("tokenizer.ggml.pre")) {
    BANTAM_TRY_ASSIGN(parts.pre, gguf.string("tokenizer.ggml.pre"));
  }
  BANTAM_TRY_ASSIGN(const auto tokens, gguf.strings("tokenizer.ggml.tokens"));
  BANTAM_TRY_ASSIGN(const auto merges, gguf.strings("tokenizer.ggml.merges"));
  BANTAM_TRY_ASSIGN(const auto types, gguf.i32s("tokenizer.ggml.token_type"));
  parts.tokens = tokens;
  parts.merges = merges;
  parts.token_types = types;
  if (gguf.has("tokenizer.chat_template")) {
    BANTAM_TRY_ASSIGN(parts.chat_template, gguf.string("tokenizer.chat_template"));
  }
  if (gguf.has("tokenizer.ggml.eos_token_id")) {
    BANTAM_TRY_ASSIGN(const int64_t eos, gguf.integer("tokenizer.ggml.eos_token_id"));
    parts.eos_id = eos;
  }
  return text::load_tokenizer(parts);
}

// An id or a list of ids.
Status append_ids(const JsonValue& value, std::string_view where, std::vector<int32_t>* out) {
  const auto append_one = [&](const JsonValue& item) -> Status {
    auto id = item.as_int64();
    if (!id.ok()) return std::move(id).status().with_context(where);
    if (*id < 0 || *id > INT32_MAX) return bad_input("{}: eos_token_id {} is not a token id", where, *id);
    const auto narrow = static_cast<int32_t>(*id);
    if (std::find(out->begin(), out->end(), narrow) == out->end()) out->push_back(narrow);
    return {};
  };
  if (!value.is_array()) return value.is_null() ? Status() : append_one(value);
  for (const JsonValue& item : value.items()) BANTAM_TRY(append_one(item));
  return {};
}

Status read_number(const JsonValue& config, std::string_view key, std::optional<double>* out) {
  const JsonValue* value = config.find(key);
  if (value == nullptr || value->is_null()) return {};
  auto number = value->as_double();
  if (!number.ok()) return std::move(number).status().with_context(fmt::format("generation_config.json: {}", key));
  *out = *number;
  return {};
}

}  // namespace

std::string model_name(const std::string& path) {
  if (path.empty()) return "bantam-nano";
  std::filesystem::path file(path);
  if (file.filename().empty() || file.filename() == "." || file.filename() == "..") {
    std::error_code ignored;
    file = std::filesystem::canonical(file, ignored);
  }
  if (file.extension() == ".gguf") return file.stem().string();
  // In the Hugging Face cache a folder is called by its commit, models--ORG--REPO/snapshots/COMMIT.
  const std::string repo = file.parent_path().parent_path().filename();
  if (file.parent_path().filename() == "snapshots" && repo.starts_with("models--")) {
    return repo.substr(repo.rfind("--") + 2);
  }
  return file.filename().string();
}

Result<text::Tokenizer> load_tokenizer(const formats::Checkpoint& checkpoint) {
  if (checkpoint.gguf() != nullptr) {
    auto tokenizer = tokenizer_from_gguf(*checkpoint.gguf());
    if (!tokenizer.ok()) return std::move(tokenizer).status().with_context(checkpoint.path());
    return tokenizer;
  }
  const auto text = [&](std::string_view name) { return checkpoint.text(name).value_or(std::string_view()); };
  auto tokenizer = text::load_tokenizer(text::TokenizerFiles{
      .tokenizer_json = text("tokenizer.json"),
      .vocab_json = text("vocab.json"),
      .merges_txt = text("merges.txt"),
      .tokenizer_config_json = text("tokenizer_config.json"),
      .chat_template_jinja = text("chat_template.jinja"),
  });
  if (!tokenizer.ok()) return std::move(tokenizer).status().with_context(checkpoint.path());
  return tokenizer;
}

Result<GenerationDefaults> generation_defaults(const formats::Checkpoint& checkpoint) {
  GenerationDefaults out;
  if (const formats::GgufMetadata* gguf = checkpoint.gguf()) {
    for (std::string_view key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"}) {
      if (!gguf->has(key)) continue;
      BANTAM_TRY_ASSIGN(const int64_t id, gguf->integer(key));
      BANTAM_TRY(append_ids(JsonValue::number(id), key, &out.stop_ids));
    }
    return out;
  }
  if (const JsonValue* generation = checkpoint.generation_config()) {
    if (const JsonValue* eos = generation->find("eos_token_id")) {
      BANTAM_TRY(append_ids(*eos, "generation_config.json", &out.stop_ids));
    }
    BANTAM_TRY(read_number(*generation, "temperature", &out.temperature));
    BANTAM_TRY(read_number(*generation, "top_p", &out.top_p));
    BANTAM_TRY(read_number(*generation, "min_p", &out.min_p));
    BANTAM_TRY(read_number(*generation, "repetition_penalty", &out.repetition_penalty));
    std::optional<double> top_k;
    BANTAM_TRY(read_number(*generation, "top_k", &top_k));
    if (top_k) out.top_k = static_cast<int32_t>(std::clamp(*top_k, 0.0, 1e9));
  }
  if (const JsonValue* config = checkpoint.config()) {
    if (const JsonValue* eos = config->find("eos_token_id")) {
      BANTAM_TRY(append_ids(*eos, "config.json", &out.stop_ids));
    }
  }
  return out;
}

std::vector<int32_t> textless_ids(const text::Tokenizer& tokenizer, int64_t rows) {
  std::vector<int32_t> out;
  for (int64_t id = 0; id < rows; ++id) {
    if (!tokenizer.has_text(static_cast<int32_t>(id))) out.push_back(static_cast<int32_t>(id));
  }
  return out;
}

}  // namespace bantam::engine
