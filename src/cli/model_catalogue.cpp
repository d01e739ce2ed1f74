// See model_catalogue.h.
#include "cli/model_catalogue.h"

#include "base/mmap.h"
#include "cli/terminal.h"
#include "engine/model_files.h"

namespace bantam::cli {

Result<ModelSource> find_model(const std::string& model) {
  ModelSource source;
  if (model.empty()) {
    source.files = house_model_files();
    return source;
  }
  if (!file_exists(model) && !is_directory(model)) {
    return bad_input(
        "no model {:?}: expected a folder in Hugging Face layout or a .gguf file; leave MODEL out for the house model",
        model);
  }
  source.path = model;
  return source;
}

std::string model_name(const std::string& model) {
  return engine::model_name(model) + (model.empty() ? " (house model)" : "");
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
