// bantam ls: the models on this machine: in the Hugging Face cache, quantised here, and those not downloaded to the
// end.
#include <ctime>

#include "base/json.h"
#include "cli/command.h"
#include "cli/hub_settings.h"
#include "cli/model_catalogue.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "hub/partial_file.h"
#include "hub/quantized.h"

namespace bantam::cli {
namespace {

struct Options {
  OutputOptions output;
};

struct Row {
  std::string name, kind, path, commit;  // kind: gguf, safetensors, quantized, unfinished
  int64_t bytes = 0, bytes_done = 0, modified_s = 0;
};

// "@COMMIT" unless the revision main means this snapshot.
std::string revision_suffix(const hub::Cache& cache, const hub::Snapshot& snapshot) {
  const auto main = cache.snapshot(snapshot.repo, "main");
  return main && main->commit == snapshot.commit ? "" : "@" + snapshot.commit;
}

void add_snapshot(const hub::Cache& cache, const hub::Snapshot& snapshot, std::vector<Row>* rows) {
  const std::string name = snapshot.repo + revision_suffix(cache, snapshot);
  for (const hub::GgufGroup& group : hub::gguf_groups(snapshot.files)) {
    const std::string quant = group.quant.empty() ? "" : ":" + group.quant;
    rows->push_back({name + quant, "gguf", snapshot.folder + "/" + snapshot.files[group.files.front()].path,
                     snapshot.commit, group.bytes, group.bytes, snapshot.modified_s});
  }
  hub::ModelName plain;
  plain.repo = snapshot.repo;
  const auto choice = hub::choose_files(snapshot.files, plain);
  if (!choice.ok() || choice->kind != hub::ModelKind::kSafetensors ||
      !is_our_family(model_type(snapshot.folder + "/config.json")))
    return;
  rows->push_back(
      {name, "safetensors", snapshot.folder, snapshot.commit, choice->bytes, choice->bytes, snapshot.modified_s});
}

std::vector<Row> collect() {
  std::vector<Row> rows;
  const hub::Cache cache = hub_cache();
  for (const std::string& repo : cache.repos()) {
    for (const hub::Snapshot& snapshot : cache.snapshots(repo)) add_snapshot(cache, snapshot, &rows);
    for (const hub::Unfinished& one : hub::list_unfinished(cache.repo_folder(repo) + "/blobs")) {
      rows.push_back({repo + "/" + one.name, "unfinished", hub::PartialFile::data_path(one.blob), "", one.bytes,
                      one.bytes_done, 0});
    }
  }
  for (const hub::QuantizedModel& model : hub::list_quantized(quantized_folder())) {
    rows.push_back(
        {model.repo + ":" + model.quant, "quantized", model.path, "", model.bytes, model.bytes, model.modified_s});
  }
  return rows;
}

std::string utc_day(int64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  char text[32];
  if (seconds == 0 || ::gmtime_r(&time, &parts) == nullptr) return "";
  return std::strftime(text, sizeof text, "%F", &parts) == 0 ? "" : text;
}

Status run_ls(Options& options) {
  const std::vector<Row> rows = collect();
  const std::string folder = hub_cache().folder();
  if (options.output.json) {
    JsonValue models = JsonValue::array();
    for (const Row& row : rows) {
      models.items().push_back(
          JsonValue::object({{"name", JsonValue::string(row.name)},
                             {"kind", JsonValue::string(row.kind)},
                             {"bytes", JsonValue::number(row.bytes)},
                             {"bytes_here", JsonValue::number(row.bytes_done)},
                             {"commit", row.commit.empty() ? JsonValue() : JsonValue::string(row.commit)},
                             {"path", JsonValue::string(row.path)}}));
    }
    fmt::print("{}\n",
               to_json(JsonValue::object({{"folder", JsonValue::string(folder)}, {"models", std::move(models)}})));
    return {};
  }
  size_t width = 4;
  for (const Row& row : rows) width = std::max(width, row.name.size());
  for (const Row& row : rows) {
    fmt::print("{:<{}}  {:>9}  {:<11}  {}\n", row.name, width, human_bytes(row.bytes), row.kind,
               row.kind == "unfinished" ? human_bytes(row.bytes_done) + " are here" : utc_day(row.modified_s));
  }
  note(options.output, rows.empty() ? fmt::format("no models in {}; `bantam pull qwen3:4b` downloads one", folder)
                                    : fmt::format("in {}", folder));
  return {};
}

}  // namespace

void add_ls(CLI::App& app, Dispatch& dispatch) {
  auto* command = app.add_subcommand("ls", "the models on this machine");
  auto& options = declare<Options>(*command, dispatch, run_ls);
  add_output_options(*command, &options.output, true);
  command->footer("Examples:\n  bantam ls\n  bantam ls --json");
}

}  // namespace bantam::cli
