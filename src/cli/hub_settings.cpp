// See hub_settings.h.
#include "cli/hub_settings.h"

#include <algorithm>

#include "base/mmap.h"
#include "cli/build_info.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/terminal.h"

namespace bantam::cli {
namespace {

constexpr const char* kNetwork = "Network";

std::string with_home(const std::string& path) {
  return path.starts_with("~/") ? variable("HOME") + path.substr(1) : path;
}

std::string hf_home() {
  const std::string named = with_home(variable("HF_HOME"));
  return !named.empty() ? named : xdg_folder("XDG_CACHE_HOME", ".cache") + "/huggingface";
}

// HF_TOKEN, or what `hf auth login` keeps in a file.
std::string hub_token() {
  std::string token = variable("HF_TOKEN");
  if (token.empty()) token = variable("HUGGING_FACE_HUB_TOKEN");
  if (token.empty()) {
    const std::string named = with_home(variable("HF_TOKEN_PATH"));
    const auto file = read_file(named.empty() ? hf_home() + "/token" : named, 4096);
    if (file.ok()) token = *file;
  }
  const auto is_space = [](char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; };
  while (!token.empty() && is_space(token.back())) token.pop_back();
  token.erase(token.begin(), std::find_if_not(token.begin(), token.end(), is_space));
  return token;
}

}  // namespace

hub::Cache hub_cache() {
  std::string folder = with_home(variable("HF_HUB_CACHE"));
  if (folder.empty()) folder = with_home(variable("HUGGINGFACE_HUB_CACHE"));
  return hub::Cache(folder.empty() ? hf_home() + "/hub" : folder);
}

std::string quantized_folder() {
  const std::string named = variable("BANTAM_MODELS_DIR");
  return !named.empty() ? named : xdg_folder("XDG_DATA_HOME", ".local/share") + "/bantam/models";
}

std::string runs_folder() {
  const std::string runtime = variable("XDG_RUNTIME_DIR");
  return runtime.starts_with('/') ? runtime + "/bantam" : xdg_folder("XDG_STATE_HOME", ".local/state") + "/bantam/run";
}

void add_network_options(CLI::App& command, NetworkFlags* out) {
  command.add_option("--connections", out->connections, "parts of a file that come at once")
      ->check(integer_in(1, 32))
      ->capture_default_str()
      ->group(kNetwork);
  command.add_option("--retries", out->retries, "tries again in a row without progress before it gives up")
      ->check(integer_in(0, 1000))
      ->capture_default_str()
      ->group(kNetwork);
  command.add_option("--stall-timeout", out->stall_s, "seconds without a byte after which a connection is made anew")
      ->check(number_in(0.05, 3600))
      ->capture_default_str()
      ->group(kNetwork);
  command.add_option("--connect-timeout", out->connect_s, "seconds to wait for a connection")
      ->check(number_in(0.05, 3600))
      ->capture_default_str()
      ->group(kNetwork);
  command.add_option("--backoff", out->backoff_s, "seconds before the first try again; doubles each time, to 30")
      ->check(number_in(0, 600))
      ->capture_default_str()
      ->group(kNetwork);
  command.add_option("--block-size", out->block_bytes, "what is kept at a time when a download is cut")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false))
      ->check(integer_in(4096, int64_t{1} << 30))
      ->option_text("SIZE [8MB]")
      ->group(kNetwork);
}

Result<hub::HubOptions> hub_options(const NetworkFlags& flags, const OutputOptions& output) {
  const std::string offline = variable("HF_HUB_OFFLINE");
  if (!offline.empty() && offline != "0") return usage_error("HF_HUB_OFFLINE is set: nothing is downloaded");
  hub::HubOptions out;
  const std::string endpoint = variable("HF_ENDPOINT");
  if (!endpoint.empty()) out.endpoint = endpoint;
  while (out.endpoint.ends_with('/')) out.endpoint.pop_back();
  const auto origin = hub::url_origin(out.endpoint);
  if (!origin.ok()) return usage_error("HF_ENDPOINT: {}", origin.status().message());
  out.http.token = hub_token();
  for (const char c : out.http.token) {
    if (c <= ' ' || c == 0x7F)
      return usage_error("HF_TOKEN: expected letters and digits, got a control character or a space");
  }
  out.http.user_agent = fmt::format("bantam/{}", kVersion);
  out.http.stall_s = flags.stall_s;
  out.http.connect_s = flags.connect_s;
  out.retries = flags.retries;
  out.backoff_s = flags.backoff_s;
  out.connections = flags.connections;
  out.block_bytes = static_cast<int64_t>(flags.block_bytes);
  out.keep_going = [] { return !interrupted(); };
  out.on_trouble = [output](const std::string& text) { warn(output, text); };
  return out;
}

}  // namespace bantam::cli
