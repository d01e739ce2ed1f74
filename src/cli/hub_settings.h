// What the environment and the options say about models on this machine and the way to the hub. The variables are those
// of huggingface_hub, so that one setting serves both: HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN, HF_TOKEN_PATH,
// HF_HUB_OFFLINE.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "base/result.h"
#include "cli/options.h"
#include "hub/cache.h"
#include "hub/hub_client.h"

namespace bantam::cli {

// HF_HUB_CACHE, or hub in HF_HOME, or ~/.cache/huggingface/hub.
hub::Cache hub_cache();
// BANTAM_MODELS_DIR, or bantam/models in XDG_DATA_HOME or ~/.local/share: what `pull --quantize` makes.
std::string quantized_folder();
// bantam in XDG_RUNTIME_DIR, or bantam/run in XDG_STATE_HOME or ~/.local/state: what running servers say
// (hub/run_record.h).
std::string runs_folder();

struct NetworkFlags {
  int connections = 4, retries = 6;
  double stall_s = 30, connect_s = 15, backoff_s = 0.5;
  uint64_t block_bytes = uint64_t{8} << 20;
};
void add_network_options(CLI::App& command, NetworkFlags* out);
// kUsage when the network is not wanted (HF_HUB_OFFLINE) or a variable makes no sense. The token stays in here.
Result<hub::HubOptions> hub_options(const NetworkFlags& flags, const OutputOptions& output);

}  // namespace bantam::cli
