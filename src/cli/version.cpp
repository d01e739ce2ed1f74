// bantam version: what this binary is and what this machine lets it use.
#include "base/cpu_features.h"
#include "base/json.h"
#include "cli/build_info.h"
#include "cli/command.h"
#include "cli/options.h"
#include "kernels/table.h"

namespace bantam::cli {
namespace {

struct Options {
  OutputOptions output;
};

Status version(Options& options) {
  JsonValue tables = JsonValue::array();
  std::string list;
  for (const kernels::Table* table : kernels::available_tables()) {
    tables.items().push_back(JsonValue::string(std::string(table->name)));
    list += (list.empty() ? "" : " ") + std::string(table->name);
  }
  if (!options.output.json) {
    fmt::print("bantam {} ({})\n{}, {}\ninstruction sets here, best first: {}\n", kVersion, kCommit, kCompiler,
               kBuildType, list);
    return {};
  }
  JsonValue out = JsonValue::object();
  out.set("version", JsonValue::string(kVersion));
  out.set("commit", JsonValue::string(kCommit));
  out.set("compiler", JsonValue::string(kCompiler));
  out.set("build_type", JsonValue::string(kBuildType));
  out.set("build_options", JsonValue::object({{"sanitize", JsonValue::string(kSanitize)}}));
  out.set("isa_tables", std::move(tables));
  fmt::print("{}\n", to_json(out));
  return {};
}

}  // namespace

void add_version(CLI::App& app, Dispatch& dispatch) {
  auto* command = app.add_subcommand("version", "commit, compiler, instruction sets");
  auto& options = declare<Options>(*command, dispatch, version);
  add_output_options(*command, &options.output, true);
}

}  // namespace bantam::cli
