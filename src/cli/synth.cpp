// bantam synth: full-size random weights of a named config, streamed to disk. For speed measurements: speed does not
// depend on the values.
#include <algorithm>
#include <cmath>
#include <optional>

#include "base/cpu_features.h"
#include "base/mmap.h"
#include "base/thread_pool.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/model_export.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "model/config.h"
#include "quant/format.h"
#include "quant/random_blocks.h"

namespace bantam::cli {
namespace {

struct Options {
  std::string config, out, type = "q4_0";
  uint64_t seed = 1;
  int64_t layers = 0;
  bool pure = false, force = false;
  OutputOptions output;
};

constexpr int64_t kChunkBytes = int64_t{32} << 20;

// Norm weights are 1, so that activations keep their size; biases are 0; matrices have deviation 1/sqrt(K).
Status write_vector(const model::TensorSpec& spec, DType type, std::string_view name, formats::TensorWriter& writer) {
  const bool bias =
      spec.role == model::Role::kQBias || spec.role == model::Role::kKBias || spec.role == model::Role::kVBias;
  const float value = bias ? 0.0f : 1.0f;
  std::vector<std::byte> bytes(static_cast<size_t>(row_bytes(type, spec.shape.last())));
  const std::vector<float> values(static_cast<size_t>(spec.shape.last()), value);
  quant::find_format(type)->encode(values.data(), reinterpret_cast<uint8_t*>(bytes.data()), spec.shape.last());
  return writer.write(name, bytes);
}

Status write_matrix(const model::TensorSpec& spec, DType type, uint64_t seed, std::string_view name,
                    formats::TensorWriter& writer, ThreadPool& pool, std::vector<std::byte>& buffer) {
  const int64_t total = spec.shape.elems() / info(type).block_elems;
  const int64_t block_bytes = info(type).block_bytes;
  const int64_t step = kChunkBytes / block_bytes;
  const auto deviation = static_cast<float>(1.0 / std::sqrt(static_cast<double>(spec.shape.last())));
  for (int64_t first = 0; first < total; first += step) {
    if (interrupted()) return interrupted_status();
    const int64_t n = std::min(step, total - first);
    constexpr int64_t kPieces = 64;
    pool.parallel(kPieces, [&](int64_t piece, int) {
      const int64_t begin = n * piece / kPieces, end = n * (piece + 1) / kPieces;
      quant::random_blocks(type, seed, static_cast<uint64_t>(first + begin),
                           reinterpret_cast<uint8_t*>(buffer.data()) + begin * block_bytes, end - begin, deviation);
    });
    BANTAM_TRY(writer.write(name, std::span<const std::byte>(buffer).first(static_cast<size_t>(n * block_bytes))));
  }
  return {};
}

Status synth(Options& options) {
  BANTAM_TRY_ASSIGN(model::Config config, model::named_config(options.config));
  if (options.layers > 0) config.num_hidden_layers = std::min(options.layers, config.num_hidden_layers);
  BANTAM_TRY_ASSIGN(const TypeChoice choice, parse_type(options.type, options.pure));
  const bool gguf = is_gguf_path(options.out);
  if (!gguf && info(choice.base).is_quant) {
    return usage_error("--type {}: a folder of safetensors holds f32, f16 or bf16; name OUT something.gguf",
                       options.type);
  }
  if ((gguf ? file_exists(options.out) : file_exists(options.out + "/config.json")) && !options.force) {
    return usage_error("{} is there already; --force replaces it", options.out);
  }
  const std::vector<model::TensorSpec> specs = model::tensor_specs(config);
  std::vector<DType> types;
  int64_t total = 0;
  for (const model::TensorSpec& spec : specs) {
    types.push_back(tensor_type(choice, spec, config, gguf));
    total += spec.shape.rows() * row_bytes(types.back(), spec.shape.last());
  }
  BANTAM_TRY(check_disk(options.out, total));
  formats::GgufMetadataBuilder metadata;
  std::optional<OutputFolder> folder;
  if (gguf) {
    BANTAM_TRY(model::config_to_gguf(config, &metadata));
    metadata.set_string("general.name", options.config + " synthetic");
    // Other engines take the number of ids from here when there is no vocabulary.
    metadata.set_u32(fmt::format("{}.vocab_size", model::family_name(config.family)),
                     static_cast<uint32_t>(config.vocab_size));
    metadata.set_string("tokenizer.ggml.model", "no_vocab");
  } else {
    BANTAM_TRY_ASSIGN(OutputFolder made, OutputFolder::create(options.out));
    folder.emplace(std::move(made));
  }
  BANTAM_TRY_ASSIGN(const auto writer, create_output(gguf ? options.out : folder->path(), specs, types, metadata));
  ThreadPool pool(cpu_features().cores);
  std::vector<std::byte> buffer(static_cast<size_t>(kChunkBytes));
  ProgressBar bar(options.output, "writing", "bytes");
  int64_t done = 0;
  for (size_t i = 0; i < specs.size(); ++i) {
    const std::string& name = gguf ? specs[i].gguf_name : specs[i].hf_name;
    const uint64_t seed = options.seed * 1000003 + i;
    BANTAM_TRY(specs[i].is_matrix() ? write_matrix(specs[i], types[i], seed, name, *writer, pool, buffer)
                                    : write_vector(specs[i], types[i], name, *writer));
    done += specs[i].shape.rows() * row_bytes(types[i], specs[i].shape.last());
    bar.update(done, total);
  }
  BANTAM_TRY(writer->finish());
  if (folder) {
    const char* torch = choice.base == DType::kF32 ? "float32" : choice.base == DType::kF16 ? "float16" : "bfloat16";
    const std::string text = to_pretty_json(model::config_to_json(config, torch)) + "\n";
    BANTAM_TRY(formats::write_whole_file(folder->path() + "/config.json", text));
    BANTAM_TRY(folder->commit());
  }
  bar.clear();
  note(options.output,
       fmt::format("{}: {} tensors, {} of random weights", options.out, specs.size(), human_bytes(total)));
  return {};
}

}  // namespace

void add_synth(CLI::App& app, Dispatch& dispatch) {
  std::string configs;
  for (std::string_view name : model::named_configs()) configs += (configs.empty() ? "" : " ") + std::string(name);
  auto* command = app.add_subcommand("synth", "full-size random weights of a named config, for speed measurements");
  auto& options = declare<Options>(*command, dispatch, synth);
  command->add_option("CONFIG", options.config, "one of " + configs)->required();
  command->add_option("OUT", options.out, "NAME.gguf, or a folder for safetensors (f32, f16, bf16)")->required();
  command->add_option("--type", options.type, "type of the matrices: " + type_names())->capture_default_str();
  command->add_flag("--pure", options.pure, "one type for all matrices (block types otherwise give the head q6_k)");
  command->add_option("--layers", options.layers, "only so many layers")->check(integer_in(1, 1000));
  command->add_option("--seed", options.seed, "of the random weights")->capture_default_str();
  command->add_flag("--force", options.force, "replace OUT");
  add_output_options(*command, &options.output, false);
  command->footer(
      "Examples:\n"
      "  bantam synth qwen3-4b qwen3-4b-q4_0.gguf --type q4_0\n"
      "  bantam synth qwen3-0.6b ./synthetic-0.6b --type bf16 --layers 2");
}

}  // namespace bantam::cli
