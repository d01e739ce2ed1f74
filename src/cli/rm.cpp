// bantam rm: removes models from this machine: first says what and how much, then does it.
#include "base/json.h"
#include "cli/command.h"
#include "cli/hub_settings.h"
#include "cli/line_reader.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "hub/quantized.h"
#include "hub/removal.h"

namespace bantam::cli {
namespace {

struct Options {
  std::vector<std::string> names;
  bool yes = false;
  OutputOptions output;
};

// What a name means here: the files in the cache, and those quantised on this machine. A type that was asked for and is
// only quantised here leaves the cache alone.
Result<hub::Removal> plan(const std::string& text) {
  BANTAM_TRY_ASSIGN(const hub::ModelName name, hub::parse_model_name(text));
  const auto quantized = hub::find_quantized(quantized_folder(), name);
  auto cached = hub::plan_removal(hub_cache(), name);
  if (!cached.ok() && (quantized.empty() || cached.status().code() != ErrorCode::kBadInput)) return cached;
  hub::Removal out = cached.ok() ? std::move(*cached) : hub::Removal();
  for (const hub::QuantizedModel& model : quantized) {
    out.what.push_back(model.path);
    out.paths.push_back(model.path);
    out.bytes += model.bytes;
  }
  return out;
}

Result<bool> agrees(const hub::Removal& removal) {
  std::string question, answer;
  for (const std::string& what : removal.what) question += fmt::format("  {}\n", what);
  question += fmt::format("Remove this, {}? [y/N] ", human_bytes(removal.bytes));
  BANTAM_TRY_ASSIGN(const bool answered, ask(question, &answer));
  return answered && (answer == "y" || answer == "Y" || answer == "yes");
}

Status run_rm(Options& options) {
  hub::Removal all;
  for (const std::string& name : options.names) {
    BANTAM_TRY_ASSIGN(hub::Removal one, plan(name));
    all.what.insert(all.what.end(), one.what.begin(), one.what.end());
    all.paths.insert(all.paths.end(), one.paths.begin(), one.paths.end());
    all.bytes += one.bytes;
  }
  const bool asks = !options.yes && !options.output.json && stdin_is_tty() && stderr_is_tty();
  if (asks) {
    BANTAM_TRY_ASSIGN(const bool agreed, agrees(all));
    if (!agreed) return failed("nothing was removed");
  }
  BANTAM_TRY(hub::remove(all));
  if (options.output.json) {
    JsonValue removed = JsonValue::array();
    for (const std::string& what : all.what) removed.items().push_back(JsonValue::string(what));
    fmt::print(
        "{}\n",
        to_json(JsonValue::object({{"removed", std::move(removed)}, {"freed_bytes", JsonValue::number(all.bytes)}})));
    return {};
  }
  if (!asks) {
    for (const std::string& what : all.what) note(options.output, "removed " + what);
  }
  note(options.output, human_bytes(all.bytes) + " freed");
  return {};
}

}  // namespace

void add_rm(CLI::App& app, Dispatch& dispatch) {
  auto* command = app.add_subcommand("rm", "remove models from this machine; asks first");
  auto& options = declare<Options>(*command, dispatch, run_rm);
  command
      ->add_option("NAME", options.names,
                   "as `bantam ls` shows it; ORG/REPO without a type of weights means everything of it")
      ->required();
  command->add_flag("--yes,-y", options.yes, "do not ask (nothing is asked off a terminal)");
  add_output_options(*command, &options.output, true);
  command->footer("Examples:\n  bantam rm qwen3:4b\n  bantam rm Qwen/Qwen3-4B-GGUF:Q8_0 --yes");
}

}  // namespace bantam::cli
