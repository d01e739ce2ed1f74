// bantam cache: what is kept on disk to load models faster, where, and how to be rid of it.
#include <ctime>

#include "base/json.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "engine/packed_cache.h"

namespace bantam::cli {
namespace {

struct Options {
  std::string action = "list";
  uint64_t cache_bytes = kDefaultCacheBytes;
  OutputOptions output;
};

std::string utc_time(int64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  char text[32];
  if (::gmtime_r(&time, &parts) == nullptr || std::strftime(text, sizeof text, "%FT%TZ", &parts) == 0) return "";
  return text;
}

void print_list(const engine::PackedCache& cache, const Options& options) {
  const PackedCacheOptions& where = cache.options();
  int64_t total = 0;
  JsonValue entries = JsonValue::array();
  for (const auto& entry : cache.list()) {
    total += entry.bytes;
    const std::string used = utc_time(entry.last_used_s);
    if (options.output.json) {
      entries.items().push_back(JsonValue::object({{"key", JsonValue::string(entry.key)},
                                                   {"model", JsonValue::string(entry.model)},
                                                   {"type", JsonValue::string(entry.type)},
                                                   {"bytes", JsonValue::number(entry.bytes)},
                                                   {"last_used", JsonValue::string(used)}}));
    } else {
      fmt::print("{:>9}  {}  {:<7} {}\n", human_bytes(entry.bytes), used, entry.type,
                 entry.model.empty() ? "(damaged)" : entry.model);
    }
  }
  if (options.output.json) {
    fmt::print("{}\n", to_json(JsonValue::object({{"folder", JsonValue::string(where.folder)},
                                                  {"bytes", JsonValue::number(total)},
                                                  {"max_bytes", JsonValue::number(where.max_bytes)},
                                                  {"entries", std::move(entries)}})));
  } else {
    note(options.output,
         fmt::format("{} of at most {} in {}", human_bytes(total), human_bytes(where.max_bytes), where.folder));
  }
}

Status run_cache(Options& options) {
  engine::PackedCache cache(packed_cache_options(options.cache_bytes));
  if (cache.options().folder.empty()) {
    return failed("no folder for the cache: expected BANTAM_CACHE_DIR, XDG_CACHE_HOME or HOME to be set");
  }
  if (options.action == "path") {
    fmt::print("{}\n", cache.options().folder);
  } else if (options.action == "clear") {
    BANTAM_TRY_ASSIGN(const int64_t freed, cache.clear());
    if (options.output.json) {
      fmt::print("{}\n", to_json(JsonValue::object({{"freed_bytes", JsonValue::number(freed)}})));
    } else {
      note(options.output, fmt::format("{} freed", human_bytes(freed)));
    }
  } else {
    print_list(cache, options);
  }
  return {};
}

}  // namespace

void add_cache(CLI::App& app, Dispatch& dispatch) {
  auto* command = app.add_subcommand("cache", "weights kept packed on disk, so that models load faster");
  auto& options = declare<Options>(*command, dispatch, run_cache);
  command
      ->add_option("ACTION", options.action, "list: what is kept, the next to go first; path: where; clear: remove it")
      ->check(CLI::IsMember({"list", "path", "clear"}))
      ->capture_default_str();
  add_cache_size_option(*command, &options.cache_bytes);
  add_output_options(*command, &options.output, true);
  command->footer(
      "Examples:\n  bantam cache\n  bantam cache clear\n  BANTAM_CACHE_DIR=/big/disk/bantam bantam cache path");
}

}  // namespace bantam::cli
