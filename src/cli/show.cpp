// bantam show: what a model is: config, tensors, tokenizer, template, licence.
#include <map>

#include "cli/command.h"
#include "cli/model_catalogue.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "engine/model_files.h"
#include "model/bind.h"

namespace bantam::cli {
namespace {

struct Options {
  std::string model;
  bool tensors = false;
  OutputOptions output;
};

struct TypeTotal {
  int64_t tensors = 0, bytes = 0;
};

// The licence a model declares: GGUF's key, or the front matter of README.md, or that a LICENSE file is there.
std::string licence_of(const formats::Checkpoint& checkpoint) {
  if (checkpoint.gguf() != nullptr) {
    const auto licence = checkpoint.gguf()->string("general.license");
    return licence.ok() ? std::string(*licence) : "not stated";
  }
  if (const auto readme = checkpoint.text("README.md")) {
    const size_t at = readme->find("\nlicense:");
    if (at != std::string_view::npos) {
      std::string_view line = readme->substr(at + 9);
      line = line.substr(0, line.find('\n'));
      const size_t first = line.find_first_not_of(' ');
      if (first != std::string_view::npos) return std::string(line.substr(first));
    }
  }
  return checkpoint.text("LICENSE") || checkpoint.text("LICENSE.txt") ? "see its LICENSE file" : "not stated";
}

std::string template_of(const text::Tokenizer& tokenizer) {
  const auto match = text::match_template(tokenizer.chat_template());
  if (!match.ok()) return "none of the family's five";
  return std::string(text::template_name(match->kind)) + (match->exact ? "" : " (nearest; modified)");
}

void print_text(const formats::Checkpoint& checkpoint, const model::Config* config, const std::string& name,
                const Options& options) {
  fmt::print("{}\n  container   {}, {}\n", name, formats::name(checkpoint.kind()),
             human_bytes(static_cast<int64_t>(checkpoint.file_bytes())));
  if (config != nullptr) {
    fmt::print("  family      {}, {} parameters\n", model::family_name(config->family),
               with_commas(config->parameter_count()));
    fmt::print("  layers      {}, hidden {}, ffn {}\n", config->num_hidden_layers, config->hidden_size,
               config->intermediate_size);
    fmt::print("  heads       {} query, {} key/value, dimension {}\n", config->num_attention_heads,
               config->num_key_value_heads, config->head_dim);
    fmt::print("  vocabulary  {} rows, head {}\n", with_commas(config->vocab_size),
               config->tie_word_embeddings ? "tied to the embedding" : "of its own");
    fmt::print("  context     {} positions, rope theta {}{}\n", with_commas(config->max_position_embeddings),
               config->rope_theta, config->rope_scaling ? ", scaled" : "");
  }
  std::map<std::string_view, TypeTotal> types;
  for (const formats::NamedTensor& tensor : checkpoint.tensors()) {
    TypeTotal& total = types[bantam::name(tensor.view.dtype)];
    ++total.tensors;
    total.bytes += tensor.view.bytes();
  }
  for (const auto& [type, total] : types) {
    fmt::print("  {:<11} {} tensors, {}\n", type, total.tensors, human_bytes(total.bytes));
  }
  const auto tokenizer = engine::load_tokenizer(checkpoint);
  if (tokenizer.ok()) {
    fmt::print("  tokenizer   {} ids, {} added tokens\n  template    {}\n", with_commas(tokenizer->size()),
               tokenizer->added_tokens().size(), template_of(*tokenizer));
  } else {
    fmt::print("  tokenizer   none\n");
  }
  fmt::print("  licence     {}\n", licence_of(checkpoint));
  if (!options.tensors) return;
  for (const formats::NamedTensor& tensor : checkpoint.tensors()) {
    fmt::print("{:<56} {:>8} {}\n", tensor.name, bantam::name(tensor.view.dtype), tensor.view.shape.to_string());
  }
}

JsonValue text_value(std::string_view text) {
  return JsonValue::string(std::string(text));
}

JsonValue to_object(const formats::Checkpoint& checkpoint, const model::Config* config, const std::string& name) {
  JsonValue out = JsonValue::object();
  out.set("name", text_value(name));
  out.set("container", text_value(formats::name(checkpoint.kind())));
  out.set("file_bytes", JsonValue::number(static_cast<int64_t>(checkpoint.file_bytes())));
  if (config != nullptr) {
    out.set("parameters", JsonValue::number(config->parameter_count()));
    out.set("config", model::config_to_json(*config, "bfloat16"));
  }
  JsonValue tensors = JsonValue::array();
  for (const formats::NamedTensor& tensor : checkpoint.tensors()) {
    JsonValue shape = JsonValue::array();
    for (int i = 0; i < tensor.view.shape.rank; ++i) shape.items().push_back(JsonValue::number(tensor.view.shape[i]));
    tensors.items().push_back(JsonValue::object({{"name", text_value(tensor.name)},
                                                 {"type", text_value(bantam::name(tensor.view.dtype))},
                                                 {"shape", std::move(shape)},
                                                 {"bytes", JsonValue::number(tensor.view.bytes())}}));
  }
  out.set("tensors", std::move(tensors));
  const auto tokenizer = engine::load_tokenizer(checkpoint);
  if (tokenizer.ok()) {
    const auto match = text::match_template(tokenizer->chat_template());
    out.set("tokenizer",
            JsonValue::object(
                {{"ids", JsonValue::number(tokenizer->size())},
                 {"added_tokens", JsonValue::number(static_cast<int64_t>(tokenizer->added_tokens().size()))}}));
    out.set("template", match.ok() ? JsonValue::object({{"name", text_value(text::template_name(match->kind))},
                                                        {"exact", JsonValue::boolean(match->exact)}})
                                   : JsonValue());
  } else {
    out.set("tokenizer", JsonValue());
    out.set("template", JsonValue());
  }
  out.set("licence", JsonValue::string(licence_of(checkpoint)));
  return out;
}

Status show(Options& options) {
  BANTAM_TRY_ASSIGN(const formats::Checkpoint checkpoint, open_checkpoint(options.model, formats::Weights::kIfPresent));
  std::optional<model::Config> config;
  if (checkpoint.config() != nullptr || checkpoint.gguf() != nullptr) {
    BANTAM_TRY_ASSIGN(config, model::read_config(checkpoint));
  }
  const model::Config* known = config ? &*config : nullptr;
  const std::string name = model_name(options.model);
  if (options.output.json) {
    fmt::print("{}\n", to_json(to_object(checkpoint, known, name)));
  } else {
    print_text(checkpoint, known, name, options);
  }
  return {};
}

}  // namespace

void add_show(CLI::App& app, Dispatch& dispatch) {
  auto* command = app.add_subcommand("show", "what a model is: config, tensors, tokenizer, template, licence");
  auto& options = declare<Options>(*command, dispatch, show);
  command->add_option("MODEL", options.model, "a folder, a .gguf file or a name; none: the house model");
  command->add_flag("--tensors", options.tensors, "list every tensor");
  add_output_options(*command, &options.output, true);
  command->footer("Examples:\n  bantam show\n  bantam show ./Qwen3-4B-Q4_K_M.gguf --tensors");
}

}  // namespace bantam::cli
