// bantam serve: the HTTP server over one or several models.
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <optional>

#include "cli/build_info.h"
#include "cli/command.h"
#include "cli/hub_settings.h"
#include "cli/loaded_model.h"
#include "cli/terminal.h"
#include "hub/run_record.h"
#include "server/server.h"

namespace bantam::cli {
namespace {

struct Options {
  ComputeOptions compute;
  OutputOptions output;
  server::ServerOptions server;
  std::vector<std::string> models, hosts, origins;
  std::string template_name, key_file;
  uint64_t body_bytes = 8 << 20, memory_bytes = 0;
  int64_t pool_tok = 0;
  bool no_prefix_cache = false;
};

// Opens one model as the options say; called on a thread of the server's.
Result<server::OpenedModel> open(const Options& options, const std::string& name, const std::atomic<bool>& stop) {
  ComputeOptions compute = options.compute;
  compute.model = name;
  EngineOptions engine_wish = engine_options(compute);
  engine_wish.pool_tok = options.pool_tok;
  BANTAM_TRY_ASSIGN(const ModelSource source, find_model(name));
  BANTAM_TRY_ASSIGN(text::Tokenizer tokenizer, open_tokenizer(name));
  BANTAM_TRY_ASSIGN(const text::TemplateKind kind, choose_template(tokenizer, options.template_name, options.output));
  BANTAM_TRY_ASSIGN(Engine engine, Engine::load(source, engine_wish, [&stop](int64_t, int64_t) { return !stop; }));
  tell_model(options.output, name, engine);
  return server::OpenedModel{std::move(engine), std::move(tokenizer), kind};
}

std::vector<server::ModelSpec> model_specs(const Options& options) {
  std::vector<server::ModelSpec> specs;
  for (const std::string& model : options.models) {
    server::ModelSpec spec;
    spec.id = model.empty() ? "bantam-nano" : model_name(model);
    for (const server::ModelSpec& other : specs) {
      if (other.id == spec.id) spec.id = model;  // two files of one name in two folders
    }
    spec.house = model.empty();
    spec.bytes = model_file_bytes(model);
    spec.open = [&options, model](const std::atomic<bool>& stop) { return open(options, model, stop); };
    specs.push_back(std::move(spec));
  }
  return specs;
}

Status read_keys(Options& options) {
  if (!options.key_file.empty()) {
    BANTAM_TRY_ASSIGN(options.server.access.keys, server::read_key_file(options.key_file));
  }
  if (const char* key = std::getenv("BANTAM_API_KEY"); key != nullptr && *key != 0) {
    options.server.access.keys.emplace_back(key);
  }
  return {};
}

Status serve(Options& options) {
  BANTAM_TRY(read_keys(options));
  server::ServerOptions& wish = options.server;
  wish.access.hosts = options.hosts;
  wish.access.origins = options.origins;
  wish.access.any_host = !wish.listen.unix_socket.empty();
  if (wish.listen.host != "0.0.0.0" && wish.listen.host != "::") wish.access.hosts.push_back(wish.listen.host);
  wish.limits.body_bytes = options.body_bytes;
  wish.host.memory_bytes = static_cast<int64_t>(options.memory_bytes);
  wish.host.prefix_cache = !options.no_prefix_cache;
  wish.version = kVersion;
  // A crash must not leave prompts on the disk.
  constexpr struct rlimit kNoCore {};
  ::setrlimit(RLIMIT_CORE, &kNoCore);
  // A connection is a descriptor, and the usual soft limit is what a shell needs.
  struct rlimit files {};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  if (options.models.empty()) {
    options.models.emplace_back();
    note(options.output, "no model was named: serving bantam-nano, the small house model in the program");
  }
  server::ServerEvents events;
  std::optional<hub::RunFile> run;
  events.listening = [&](const std::string& url) {
    auto made = hub::RunFile::create(runs_folder(), {.url = url});
    if (made.ok())
      run.emplace(std::move(*made));
    else
      detail(options.output, fmt::format("`bantam ps` will not know of this server: {}", made.status().message()));
    fmt::print(stderr, "listening on {}\n", url);
    std::fflush(stderr);
  };
  events.models = [&](const std::vector<std::pair<std::string, int64_t>>& models) {
    std::vector<hub::RunningModel> held;
    for (const auto& [name, bytes] : models) held.push_back({name, bytes});
    if (run && !run->update(std::move(held)).ok()) detail(options.output, "cannot tell `bantam ps` what is loaded");
  };
  events.note = [&](const std::string& text) { note(options.output, text); };
  return server::serve(model_specs(options), wish, events);
}

void add_limit_options(CLI::App& command, Options& options) {
  server::ServerOptions& wish = options.server;
  command.add_option("--parallel", wish.host.running, "most answers computed at once; others wait")
      ->check(integer_in(1, 64))
      ->capture_default_str();
  command.add_option("--queue", wish.host.queue, "most answers waiting; one more is refused with 429")
      ->check(integer_in(0, 1 << 20))
      ->capture_default_str();
  command
      .add_option("--pool", options.pool_tok, "tokens of keys and values shared by all answers (default: one context)")
      ->check(integer_in(0, int64_t{1} << 32));
  command.add_option("--prefill", wish.host.prefill_tok, "most prompt tokens read per step beside answers in work")
      ->check(integer_in(1, 65536))
      ->capture_default_str();
  command
      .add_option("--max-slowdown", wish.host.most_slower,
                  "how many times slower others' tokens may come while a prompt is read; 0: as --prefill makes it")
      ->check(number_in(0, 1e6))
      ->capture_default_str();
  command.add_flag("--no-prefix-cache", options.no_prefix_cache, "read every prompt anew");
  command
      .add_option("--memory", options.memory_bytes,
                  "for the weights of all loaded models, e.g. 12GB (default: what is free)")
      ->transform(CLI::AsSizeValue(true));
  command
      .add_option("--unload-after", wish.host.idle_unload_s,
                  "seconds after which an unused model is unloaded; 0: never")
      ->check(number_in(0, 1e9))
      ->capture_default_str();
  command.add_option("--max-body", options.body_bytes, "most bytes of a request's body, e.g. 8MB")
      ->transform(CLI::AsSizeValue(true));
  command.add_option("--max-connections", wish.limits.connections, "most open connections")
      ->check(integer_in(1, 1 << 20))
      ->capture_default_str();
  command.add_option("--max-per-address", wish.limits.connections_per_address, "most open connections of one address")
      ->check(integer_in(1, 1 << 20))
      ->capture_default_str();
  command.add_option("--header-timeout", wish.limits.header_s, "seconds a request's header may take")
      ->check(number_in(0.1, 3600))
      ->capture_default_str();
  command.add_option("--ping", wish.limits.ping_s, "seconds between comments in a silent stream; 0: none")
      ->check(number_in(0, 3600))
      ->capture_default_str();
  command.add_option("--drain", wish.drain_s, "seconds answers in work get after the first Ctrl+C or SIGTERM")
      ->check(number_in(0, 86400))
      ->capture_default_str();
}

}  // namespace

void add_serve(CLI::App& app, Dispatch& dispatch) {
  auto* command = app.add_subcommand("serve", "an HTTP server: OpenAI, Anthropic and Ollama APIs and a web page");
  auto& options = declare<Options>(*command, dispatch, serve);
  server::ServerOptions& wish = options.server;
  command->add_option("MODEL", options.models,
                      "folders or .gguf files; none: the house model. The first is loaded at once");
  command->add_option("--host", wish.listen.host, "address to listen on")->capture_default_str();
  command->add_option("--port", wish.listen.port, "port; 0: any free one")
      ->check(integer_in(0, 65535))
      ->capture_default_str();
  auto* socket = command->add_option("--unix-socket", wish.listen.unix_socket, "listen on this Unix socket instead");
  command->add_option("--tls-cert", wish.listen.tls_certificate, "PEM certificate chain: serve https")
      ->excludes(socket);
  command->add_option("--tls-key", wish.listen.tls_key, "the certificate's PEM key")->excludes(socket);
  command->add_option(
      "--api-key-file", options.key_file,
      "keys that may be used, one per line; the file must be readable by you alone (or BANTAM_API_KEY)");
  command->add_flag("--insecure-no-auth", wish.insecure, "allow a public address without a key");
  add_list_option(*command, "--allow-host", &options.hosts, "a Host name to answer to, beside localhost; repeatable");
  add_list_option(*command, "--cors-origin", &options.origins, "a web page's origin that may call; repeatable");
  command->add_option("--slots", wish.slots_folder, "a folder where /slots may keep conversations' keys and values")
      ->check(CLI::ExistingDirectory);
  command->add_flag("!--no-web", wish.web, "without the web page at /");
  add_limit_options(*command, options);
  add_template_option(*command, &options.template_name);
  add_compute_options(*command, &options.compute);
  add_output_options(*command, &options.output, false);
  command->footer(
      "Examples:\n"
      "  bantam serve                                     the house model on http://127.0.0.1:8080\n"
      "  bantam serve ./Qwen3-4B-Q4_K_M.gguf --ctx 16384\n"
      "  bantam serve ./a.gguf ./b.gguf --memory 12GB     several models, loaded when asked for\n"
      "  bantam serve ./model --host 0.0.0.0 --api-key-file keys.txt");
}

}  // namespace bantam::cli
