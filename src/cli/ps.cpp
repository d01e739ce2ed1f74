// bantam ps: the bantam servers that run on this machine, and the models they hold.
#include <algorithm>
#include <ctime>

#include "base/json.h"
#include "cli/command.h"
#include "cli/hub_settings.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "cli/transfer_bars.h"
#include "hub/run_record.h"

namespace bantam::cli {
namespace {

struct Options {
  OutputOptions output;
};

JsonValue to_object(const hub::RunRecord& run) {
  JsonValue models = JsonValue::array();
  for (const hub::RunningModel& model : run.models) {
    models.items().push_back(
        JsonValue::object({{"name", JsonValue::string(model.name)}, {"bytes", JsonValue::number(model.bytes)}}));
  }
  return JsonValue::object({{"pid", JsonValue::number(int64_t{run.pid})},
                            {"url", JsonValue::string(run.url)},
                            {"started", JsonValue::number(run.started_s)},
                            {"models", std::move(models)}});
}

Status run_ps(Options& options) {
  const std::vector<hub::RunRecord> runs = hub::list_runs(runs_folder());
  if (options.output.json) {
    JsonValue servers = JsonValue::array();
    for (const hub::RunRecord& run : runs) servers.items().push_back(to_object(run));
    fmt::print("{}\n", to_json(JsonValue::object({{"servers", std::move(servers)}})));
    return {};
  }
  for (const hub::RunRecord& run : runs) {
    const double up_s = std::difftime(std::time(nullptr), static_cast<std::time_t>(run.started_s));
    fmt::print("{:<7}  {}  for {}\n", run.pid, run.url, human_duration(std::max(0.0, up_s)));
    for (const hub::RunningModel& model : run.models)
      fmt::print("         {}  {}\n", model.name, human_bytes(model.bytes));
  }
  if (runs.empty()) note(options.output, "no bantam server is running");
  return {};
}

}  // namespace

void add_ps(CLI::App& app, Dispatch& dispatch) {
  auto* command = app.add_subcommand("ps", "the servers that run on this machine, and the models they hold");
  auto& options = declare<Options>(*command, dispatch, run_ps);
  add_output_options(*command, &options.output, true);
  command->footer("Examples:\n  bantam ps\n  bantam ps --json");
}

}  // namespace bantam::cli
