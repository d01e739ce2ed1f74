// bantam convert, quantize: a model from one container and type to another. Convert takes any type and both ways;
// quantize writes block types and tells the error it made. Neither needs the model's tokenizer, both carry it along.
#include "cli/convert.h"

#include <filesystem>

#include "base/mmap.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/model_catalogue.h"
#include "cli/model_export.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "cli/tokenizer_export.h"
#include "engine/model_files.h"

namespace bantam::cli {
namespace {

struct TensorError {
  std::string name;
  DType type;
  quant::ErrorMeter meter;
};

// Metadata of the GGUF to write: the source's own when it is one, else what the folder's files say.
Status gguf_metadata(const formats::Checkpoint& checkpoint, const model::Config& config, const std::string& name,
                     formats::GgufMetadataBuilder* out) {
  if (checkpoint.gguf() != nullptr) {
    out->copy_all(*checkpoint.gguf());
    out->remove("general.file_type");
    return {};
  }
  BANTAM_TRY(model::config_to_gguf(config, out));
  out->set_string("general.name", name);
  BANTAM_TRY(tokenizer_to_gguf(checkpoint, config.vocab_size, out));
  BANTAM_TRY_ASSIGN(const engine::GenerationDefaults defaults, engine::generation_defaults(checkpoint));
  if (!defaults.stop_ids.empty()) {
    out->set_u32("tokenizer.ggml.eos_token_id", static_cast<uint32_t>(defaults.stop_ids[0]));
  }
  return {};
}

std::string_view torch_name(DType type) {
  return type == DType::kF32 ? "float32" : type == DType::kF16 ? "float16" : "bfloat16";
}

// The files around the weights of a folder.
Status write_folder_files(const formats::Checkpoint& checkpoint, const model::Config& config, DType type,
                          const std::string& folder) {
  if (checkpoint.gguf() != nullptr) {
    BANTAM_TRY(tokenizer_to_folder(*checkpoint.gguf(), folder));
    BANTAM_TRY_ASSIGN(const engine::GenerationDefaults defaults, engine::generation_defaults(checkpoint));
    JsonValue generation = JsonValue::object(), eos = JsonValue::array();
    for (int32_t id : defaults.stop_ids) eos.items().push_back(JsonValue::number(id));
    generation.set("eos_token_id", std::move(eos));
    BANTAM_TRY(formats::write_whole_file(folder + "/generation_config.json", to_pretty_json(generation) + "\n"));
  }
  for (const formats::TextFile& file : checkpoint.texts()) {
    if (file.name == "config.json") continue;
    BANTAM_TRY(formats::write_whole_file(folder + "/" + std::string(file.name), file.text));
  }
  return formats::write_whole_file(folder + "/config.json",
                                   to_pretty_json(model::config_to_json(config, torch_name(type))) + "\n");
}

Status check_output(const ConvertOptions& options, bool gguf) {
  std::error_code ignored;
  if (std::filesystem::exists(options.out, ignored) && std::filesystem::equivalent(options.in, options.out, ignored)) {
    return usage_error("OUT is IN: {}", options.out);
  }
  const bool taken = gguf ? file_exists(options.out) : file_exists(options.out + "/config.json");
  if (taken && !options.force) return usage_error("{} is there already; --force replaces it", options.out);
  if (gguf && is_directory(options.out)) return usage_error("{} is a folder, expected a file name", options.out);
  if (!gguf && file_exists(options.out)) {
    return usage_error("{} is a file; a folder is written there, or name it .gguf", options.out);
  }
  return {};
}

void print_errors(const std::vector<TensorError>& errors, const OutputOptions& output) {
  if (output.json) {
    JsonValue list = JsonValue::array();
    for (const TensorError& e : errors) {
      list.items().push_back(JsonValue::object({{"name", JsonValue::string(e.name)},
                                                {"type", JsonValue::string(std::string(name(e.type)))},
                                                {"rmse", JsonValue::number(json_number(e.meter.rmse()))},
                                                {"max_abs", JsonValue::number(json_number(e.meter.max_abs()))},
                                                {"relative", JsonValue::number(json_number(e.meter.relative()))}}));
    }
    fmt::print("{}\n", to_json(JsonValue::object({{"tensors", std::move(list)}})));
    return;
  }
  if (errors.empty()) return note(output, "no tensor was quantised anew");
  fmt::print("{:<44} {:>6} {:>11} {:>11} {:>10}\n", "tensor", "type", "rmse", "max abs", "relative");
  quant::ErrorMeter all;
  for (const TensorError& e : errors) {
    fmt::print("{:<44} {:>6} {:>11.4g} {:>11.4g} {:>9.3f}%\n", e.name, name(e.type), e.meter.rmse(), e.meter.max_abs(),
               100 * e.meter.relative());
    all.merge(e.meter);
  }
  fmt::print("{:<44} {:>6} {:>11.4g} {:>11.4g} {:>9.3f}%\n", "all quantised tensors", "", all.rmse(), all.max_abs(),
             100 * all.relative());
}

// type "": every tensor keeps its own.
Result<std::vector<DType>> choose_types(const model::Binding& binding, const ConvertOptions& options, bool gguf) {
  std::vector<DType> types;
  std::optional<TypeChoice> choice;
  if (!options.type.empty()) {
    BANTAM_TRY_ASSIGN(choice, parse_type(options.type, options.pure));
    if (!gguf && info(choice->base).is_quant) {
      return usage_error("--type {}: a folder of safetensors holds f32, f16 or bf16; name OUT something.gguf",
                         options.type);
    }
  }
  for (size_t i = 0; i < binding.specs.size(); ++i) {
    DType type = choice ? tensor_type(*choice, binding.specs[i], binding.config, gguf) : binding.tensors[i]->view.dtype;
    const bool fits_folder = type == DType::kF32 || type == DType::kF16 || type == DType::kBF16;
    if (!gguf && !fits_folder) type = DType::kBF16;
    if (type == DType::kF8E4M3) type = DType::kBF16;
    if (gguf && !binding.specs[i].is_matrix()) type = DType::kF32;
    types.push_back(type);
  }
  return types;
}

// Streams every tensor to the writer; the errors of those that were quantised, when wished for.
Status export_all(const formats::Checkpoint& checkpoint, const model::Binding& binding, const std::vector<DType>& types,
                  bool gguf, formats::TensorWriter& writer, ProgressBar& bar, std::vector<TensorError>* errors) {
  const int64_t total = binding.source_bytes();
  int64_t done = 0;
  for (size_t i = 0; i < binding.specs.size(); ++i) {
    if (interrupted()) return interrupted_status();
    const std::string& out_name = gguf ? binding.specs[i].gguf_name : binding.specs[i].hf_name;
    const bool measured = errors != nullptr && info(types[i]).is_quant && types[i] != binding.tensors[i]->view.dtype;
    quant::ErrorMeter meter;
    BANTAM_TRY(export_tensor(checkpoint, binding, i, types[i], out_name, writer, measured ? &meter : nullptr));
    if (measured) errors->push_back({out_name, types[i], meter});
    done += binding.tensors[i]->view.bytes();
    checkpoint.release(*binding.tensors[i]);
    bar.update(done, total);
  }
  return checkpoint.verify_sizes();
}

}  // namespace

Status convert_model(const ConvertOptions& options, bool with_errors) {
  const bool gguf = is_gguf_path(options.out);
  BANTAM_TRY_ASSIGN(const formats::Checkpoint checkpoint, open_checkpoint(options.in, formats::Weights::kRequired));
  BANTAM_TRY_ASSIGN(const model::Binding binding, model::bind(checkpoint));
  BANTAM_TRY_ASSIGN(const std::vector<DType> types, choose_types(binding, options, gguf));
  BANTAM_TRY(check_output(options, gguf));
  int64_t out_bytes = 0;
  for (size_t i = 0; i < types.size(); ++i) {
    out_bytes += binding.specs[i].shape.rows() * row_bytes(types[i], binding.specs[i].shape.last());
  }
  BANTAM_TRY(check_disk(options.out, out_bytes));
  formats::GgufMetadataBuilder metadata;
  std::optional<OutputFolder> folder;
  if (gguf) {
    BANTAM_TRY(gguf_metadata(checkpoint, binding.config, model_name(options.in), &metadata));
  } else {
    BANTAM_TRY_ASSIGN(OutputFolder made, OutputFolder::create(options.out));
    folder.emplace(std::move(made));
  }
  BANTAM_TRY_ASSIGN(const auto writer,
                    create_output(gguf ? options.out : folder->path(), binding.specs, types, metadata));
  std::vector<TensorError> errors;
  ProgressBar bar(options.output, with_errors ? "quantising" : "converting", "bytes");
  BANTAM_TRY(export_all(checkpoint, binding, types, gguf, *writer, bar, with_errors ? &errors : nullptr));
  BANTAM_TRY(writer->finish());
  if (folder) {
    BANTAM_TRY(write_folder_files(checkpoint, binding.config, types[0], folder->path()));
    BANTAM_TRY(folder->commit());
  }
  bar.clear();
  if (with_errors) print_errors(errors, options.output);
  note(options.output, fmt::format("{} -> {}: {} tensors, {} -> {} of weights", model_name(options.in), options.out,
                                   types.size(), human_bytes(binding.source_bytes()), human_bytes(out_bytes)));
  return {};
}

namespace {

void add_arguments(CLI::App& command, ConvertOptions& options, bool type_required) {
  command.add_option("IN", options.in, "a model: a folder, a .gguf file, a name, or \"\" for the house model")
      ->required();
  command.add_option("OUT", options.out, "NAME.gguf, or a folder for safetensors")->required();
  auto* type = command.add_option("--type", options.type, "type of the matrices: " + type_names());
  if (type_required) type->required();
  command.add_flag("--pure", options.pure, "one type for all matrices (block types otherwise give the head q6_k)");
  command.add_flag("--force", options.force, "replace OUT");
}

}  // namespace

void add_convert(CLI::App& app, Dispatch& dispatch) {
  auto* command = app.add_subcommand("convert", "folder or GGUF to folder or GGUF");
  auto& options =
      declare<ConvertOptions>(*command, dispatch, [](ConvertOptions& o) { return convert_model(o, false); });
  add_arguments(*command, options, false);
  add_output_options(*command, &options.output, false);
  command->footer(
      "Examples:\n"
      "  bantam convert ./Qwen3-4B qwen3-4b.gguf --type bf16\n"
      "  bantam convert qwen3-4b.gguf ./Qwen3-4B-folder --type bf16");
}

void add_quantize(CLI::App& app, Dispatch& dispatch) {
  auto* command = app.add_subcommand("quantize", "make a model smaller; tells the error of every tensor");
  auto& options = declare<ConvertOptions>(*command, dispatch, [](ConvertOptions& o) { return convert_model(o, true); });
  add_arguments(*command, options, true);
  add_output_options(*command, &options.output, true);
  command->footer(
      "Examples:\n"
      "  bantam quantize ./Qwen3-4B qwen3-4b-q8_0.gguf --type q8_0\n"
      "  bantam quantize ./Qwen3-4B qwen3-4b-q4_k_m.gguf --type q4_k_m --json > errors.json");
}

}  // namespace bantam::cli
