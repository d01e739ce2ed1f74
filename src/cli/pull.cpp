// bantam pull: a model from the Hugging Face hub into its cache, and, where only the original weights exist, quantised
// on this machine if wished.
#include "hub/pull.h"

#include <filesystem>
#include <optional>

#include "base/json.h"
#include "base/mmap.h"
#include "cli/command.h"
#include "cli/convert.h"
#include "cli/hub_settings.h"
#include "cli/line_reader.h"
#include "cli/model_catalogue.h"
#include "cli/model_export.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "cli/transfer_bars.h"
#include "hub/quantized.h"

namespace bantam::cli {
namespace {

constexpr const char* kOfferedType = "q4_k_m";

struct Options {
  std::vector<std::string> names;
  std::string revision, quantize;
  bool verify = false;
  NetworkFlags network;
  OutputOptions output;
};

// Tells what happens, and refuses what could not be used in the end.
class Watcher final : public hub::PullWatcher {
 public:
  Watcher(const OutputOptions& output, std::string quantize) : output_(output), quantize_(std::move(quantize)) {}

  Status on_plan(const hub::PulledModel& plan) override {
    if (!quantize_.empty()) {
      if (plan.choice.kind == hub::ModelKind::kGguf) {
        return usage_error("{}: it is quantised already ({}); --quantize is for safetensors", plan.repo,
                           plan.choice.quant);
      }
      const auto type = parse_type(lower_type(), false);
      if (!type.ok()) return type.status();
    }
    std::vector<TransferBars::File> files;
    for (const hub::RemoteFile& file : plan.files) files.push_back({file.path, file.bytes});
    note(output_, fmt::format("{} at {}: {} file{}, {}", plan.repo, plan.commit.substr(0, 8), files.size(),
                              files.size() == 1 ? "" : "s", human_bytes(plan.choice.bytes)));
    bars_.emplace(output_, files);
    plan_ = &plan;
    return {};
  }
  void on_bytes(size_t index, int64_t bytes_here, bool read_back) override {
    bars_->update(index, bytes_here, read_back);
  }
  void on_waiting(size_t index) override {
    bars_->clear();
    note(output_, fmt::format("{}: another program is downloading it; waiting", plan_->files[index].path));
  }
  // A config.json comes before the weights: what bantam could not run is not downloaded to the end.
  Status on_done(size_t index, const std::string& path, bool was_here) override {
    const hub::RemoteFile& file = plan_->files[index];
    bars_->done(index, was_here ? "is here" : file.hash.size() == 64 ? "SHA-256 is right" : "SHA-1 is right");
    const std::string type = file.path == "config.json" ? model_type(path) : "";
    if (type.empty() || is_our_family(type)) return {};
    return bad_input("{}: bantam runs the families Qwen3 and Qwen2.5, this is {:?}", plan_->repo, type);
  }

  void clear() {
    if (bars_) bars_->clear();
  }
  std::string lower_type() const { return hub::lower(quantize_); }

 private:
  const OutputOptions& output_;
  std::string quantize_;
  const hub::PulledModel* plan_ = nullptr;
  std::optional<TransferBars> bars_;
};

// Asks on the terminal; false without one.
Result<bool> agrees_to_quantize(const hub::PulledModel& model, const OutputOptions& output) {
  if (!stdin_is_tty() || !stderr_is_tty() || output.quiet || output.json) return false;
  std::string answer;
  BANTAM_TRY_ASSIGN(const bool answered,
                    ask(fmt::format("These are the original weights, {}. Quantised to {} they take about a third, and "
                                    "answers come about three times as fast.\nQuantise them now? [Y/n] ",
                                    human_bytes(model.choice.bytes), kOfferedType),
                        &answer));
  return answered && (answer.empty() || answer[0] == 'y' || answer[0] == 'Y');
}

Result<std::string> quantize(const hub::PulledModel& model, const std::string& type, const Options& options) {
  const std::string path = hub::quantized_path(quantized_folder(), model.repo, type);
  if (file_exists(path)) {
    note(options.output, fmt::format("{} is there already", path));
    return path;
  }
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  if (error) return failed("cannot make the folder of {}: {}", path, error.message());
  ConvertOptions job{model.path, path, hub::lower(type), false, false, options.output};
  BANTAM_TRY(convert_model(job, false));
  return path;
}

// The type that the weights of a folder are to become; "" when they stay as they are.
Result<std::string> wished_type(const hub::PulledModel& model, const hub::ModelName& name, const Options& options) {
  if (model.choice.kind == hub::ModelKind::kGguf) return std::string();
  if (!options.quantize.empty()) return options.quantize;
  if (name.quant_is_wish) return name.quant;
  if (file_exists(hub::quantized_path(quantized_folder(), model.repo, kOfferedType))) return std::string();
  BANTAM_TRY_ASSIGN(const bool agreed, agrees_to_quantize(model, options.output));
  if (agreed) return std::string(kOfferedType);
  note(options.output, fmt::format("these are the original weights; smaller and faster: bantam pull {} --quantize {}",
                                   name.text, kOfferedType));
  return std::string();
}

JsonValue to_object(const hub::PulledModel& model, const std::string& name, const std::string& quantized) {
  JsonValue files = JsonValue::array();
  for (const hub::RemoteFile& file : model.files) {
    files.items().push_back(JsonValue::object({{"name", JsonValue::string(file.path)},
                                               {"bytes", JsonValue::number(file.bytes)},
                                               {"hash", JsonValue::string(file.hash)}}));
  }
  JsonValue out = JsonValue::object({{"name", JsonValue::string(name)},
                                     {"repo", JsonValue::string(model.repo)},
                                     {"commit", JsonValue::string(model.commit)},
                                     {"path", JsonValue::string(model.path)},
                                     {"bytes", JsonValue::number(model.choice.bytes)},
                                     {"downloaded_bytes", JsonValue::number(model.downloaded_bytes)},
                                     {"files", std::move(files)}});
  out.set("quantized", quantized.empty() ? JsonValue() : JsonValue::string(quantized));
  return out;
}

Result<JsonValue> pull_one(const std::string& text, const Options& options) {
  BANTAM_TRY_ASSIGN(hub::ModelName name, hub::parse_model_name(text));
  if (!options.revision.empty()) {
    if (!hub::is_revision(options.revision))
      return usage_error("--revision: no branch, tag or commit: {:?}", options.revision);
    name.revision = options.revision;
  }
  BANTAM_TRY_ASSIGN(hub::HubOptions settings, hub_options(options.network, options.output));
  Watcher watcher(options.output, options.quantize);
  settings.on_trouble = [&watcher, tell = settings.on_trouble](const std::string& trouble) {
    watcher.clear();
    tell(trouble);
  };
  hub::HubClient client(std::move(settings));
  auto pulled = hub::pull(client, hub_cache(), name, {.verify = options.verify}, watcher);
  watcher.clear();
  if (!pulled.ok()) return std::move(pulled).status();
  BANTAM_TRY_ASSIGN(const std::string type, wished_type(*pulled, name, options));
  std::string quantized;
  if (!type.empty()) {
    BANTAM_TRY_ASSIGN(quantized, quantize(*pulled, type, options));
  }
  if (!options.output.json) fmt::print("{}\n", quantized.empty() ? pulled->path : quantized);
  std::string words = text;
  if (!quantized.empty() && !name.quant_is_wish) words += ":" + type;
  note(options.output, fmt::format("ready: bantam chat {}", words));
  return to_object(*pulled, words, quantized);
}

Status run_pull(Options& options) {
  JsonValue models = JsonValue::array();
  for (const std::string& name : options.names) {
    BANTAM_TRY_ASSIGN(JsonValue model, pull_one(name, options));
    models.items().push_back(std::move(model));
  }
  if (options.output.json) fmt::print("{}\n", to_json(JsonValue::object({{"models", std::move(models)}})));
  return {};
}

}  // namespace

void add_pull(CLI::App& app, Dispatch& dispatch) {
  auto* command = app.add_subcommand("pull", "download a model from the Hugging Face hub; goes on where it was cut");
  auto& options = declare<Options>(*command, dispatch, run_pull);
  command->add_option("NAME", options.names, "such as qwen3:4b, qwen3:4b:Q8_0, or ORG/REPO[@REVISION][:QUANT]")
      ->required();
  command->add_option("--revision", options.revision, "a branch, tag or commit; default: main");
  command
      ->add_option("--quantize", options.quantize,
                   "where only the original weights exist: make them a .gguf of this type too, such as q4_k_m")
      ->option_text("TYPE");
  command->add_flag("--verify", options.verify, "read what is here already, and download again what is damaged");
  add_network_options(*command, &options.network);
  add_output_options(*command, &options.output, true);
  std::string names;
  for (const hub::FriendlyName& row : hub::friendly_names()) names += fmt::format("  {:<26} {}\n", row.name, row.repo);
  command->footer(
      "Examples:\n"
      "  bantam pull qwen3:4b\n"
      "  bantam pull qwen3:4b-instruct-2507 --quantize q4_k_m\n"
      "  bantam pull Qwen/Qwen3-4B-GGUF:Q8_0\n"
      "Names:\n" +
      names + "HF_ENDPOINT, HF_TOKEN, HF_HOME, HF_HUB_CACHE and the usual proxy variables are heeded.");
}

}  // namespace bantam::cli
