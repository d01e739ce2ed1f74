// See model_catalogue.h.
#include "cli/model_catalogue.h"

#include "base/json.h"
#include "base/mmap.h"
#include "cli/hub_settings.h"
#include "cli/terminal.h"
#include "engine/model_files.h"
#include "hub/quantized.h"

namespace bantam::cli {

namespace {

// A model by its name: quantised here, or as it is in the cache.
Result<std::string> find_named(const hub::ModelName& name) {
  const std::vector<hub::QuantizedModel> quantized = hub::find_quantized(quantized_folder(), name);
  if (name.quant_is_wish && !quantized.empty()) return quantized.front().path;
  auto cached = hub_cache().find(name);
  if (cached.ok()) return cached->path;
  if (!quantized.empty()) return quantized.front().path;
  return std::move(cached).status();
}

}  // namespace

Result<ModelSource> find_model(const std::string& model) {
  ModelSource source;
  if (model.empty()) {
    source.files = house_model_files();
    return source;
  }
  if (file_exists(model) || is_directory(model)) {
    source.path = model;
    return source;
  }
  const auto name = hub::parse_model_name(model);
  if (!name.ok()) {
    return bad_input(
        "no file or folder {:?}, and {}; expected a folder in Hugging Face layout, a .gguf file or a name; leave MODEL "
        "out for the house model",
        model, name.status().message());
  }
  BANTAM_TRY_ASSIGN(source.path, find_named(*name));
  return source;
}

std::string model_name(const std::string& model) {
  if (model.empty()) return engine::model_name(model) + " (house model)";
  const auto source = find_model(model);
  return engine::model_name(source.ok() ? source->path : model);
}

std::string model_type(const std::string& config_path) {
  const auto text = read_file(config_path, 1 << 20);
  const auto config = text.ok() ? parse_json(*text, "config.json") : Result<JsonValue>(text.status());
  const JsonValue* type = config.ok() ? config->find("model_type") : nullptr;
  return type != nullptr && type->is_string() ? type->as_string() : "";
}

bool is_our_family(std::string_view model_type) {
  return model_type == "qwen3" || model_type == "qwen2";
}

Result<formats::Checkpoint> open_checkpoint(const std::string& model, formats::Weights weights) {
  BANTAM_TRY_ASSIGN(const ModelSource source, find_model(model));
  if (source.path.empty()) return formats::Checkpoint::from_memory(source.files, weights);
  return formats::Checkpoint::open(source.path, weights);
}

int64_t model_file_bytes(const std::string& model) {
  const auto checkpoint = open_checkpoint(model, formats::Weights::kIfPresent);
  return checkpoint.ok() ? static_cast<int64_t>(checkpoint->file_bytes()) : 0;
}

Result<text::Tokenizer> open_tokenizer(const std::string& model) {
  BANTAM_TRY_ASSIGN(const formats::Checkpoint checkpoint, open_checkpoint(model, formats::Weights::kSkip));
  return engine::load_tokenizer(checkpoint);
}

Result<text::TemplateKind> choose_template(const text::Tokenizer& tokenizer, const std::string& name,
                                           const OutputOptions& output) {
  if (!name.empty()) {
    if (const auto kind = text::parse_template_name(name)) return *kind;
    return usage_error("--template: expected one of {}, got {:?}", text::template_names(), name);
  }
  BANTAM_TRY_ASSIGN(const text::TemplateMatch match, text::match_template(tokenizer.chat_template()));
  if (!match.warning.empty()) warn(output, match.warning);
  return match.kind;
}

}  // namespace bantam::cli
