// bantam's entry: parses argv, runs one subcommand, turns its Status into a message and an exit code. The only place
// that exits, and the last one that sees exceptions (from the standard library and the option parser).
#include <CLI/CLI.hpp>

#include <csignal>
#include <cstdio>
#include <exception>

#include "cli/command.h"

namespace bantam::cli {
namespace {

std::atomic<bool> g_interrupted{false};

// The second Ctrl+C ends the program at once, in case the first is not heard.
extern "C" void on_interrupt(int) {
  if (g_interrupted.exchange(true)) {
    std::signal(SIGINT, SIG_DFL);
    std::raise(SIGINT);
  }
}

int exit_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::kUsage: return 2;
    case ErrorCode::kBadInput: return 3;
    case ErrorCode::kNoSpace: return 4;
    case ErrorCode::kCancelled: return 130;
    default: return 1;
  }
}

constexpr const char* kDescription =
    "bantam runs the Qwen3 language-model family on your own machine.\n"
    "Start with `bantam chat`: without a model it talks to bantam-nano, the small house model in the binary.\n"
    "MODEL is a folder in Hugging Face layout or a .gguf file.";

constexpr const char* kFooter =
    "Examples:\n"
    "  bantam chat                              talk to the house model\n"
    "  bantam chat ./Qwen3-4B-Q4_K_M.gguf       talk to a model of yours\n"
    "  bantam run -p 'What is 12 + 30?'         one answer\n"
    "  bantam bench ./Qwen3-4B-Q4_K_M.gguf      how fast it is, beside what this machine could do\n"
    "`bantam COMMAND --help` tells more.";

int run(int argc, char** argv) {
  CLI::App app(kDescription, "bantam");
  app.footer(kFooter);
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "help for every command");
  app.get_formatter()->column_width(34);
  Dispatch dispatch;
  for (auto* add : {add_chat, add_run, add_complete, add_tokenize, add_detokenize, add_render, add_forward, add_score,
                    add_show, add_plan, add_convert, add_quantize, add_synth, add_bench, add_completion, add_version}) {
    add(app, dispatch);
  }
  auto* help = app.add_subcommand("help", "help for a command");
  std::string topic;
  help->add_option("COMMAND", topic, "which command");
  help->callback([&] {
    dispatch.work = [&]() -> Status {
      if (topic.empty()) {
        fmt::print("{}", app.help());
        return {};
      }
      for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
        if (command->get_name() == topic) {
          fmt::print("{}", command->help("bantam"));
          return {};
        }
      }
      return usage_error("help: no command {:?}; `bantam help` lists them", topic);
    };
  });

  if (argc == 1) {
    fmt::print("{}", app.help());
    return 0;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  std::signal(SIGINT, on_interrupt);
  std::signal(SIGPIPE, SIG_IGN);  // a reader that goes away is a failed write, not a silent death
  const Status status = dispatch.work ? dispatch.work() : Status();
  std::fflush(stdout);
  if (status.ok()) return 0;
  if (!status.message().empty()) fmt::print(stderr, "bantam: {}\n", status.message());
  return exit_code(status.code());
}

}  // namespace

std::atomic<bool>& interrupted() { return g_interrupted; }
Status interrupted_status() { return make_error(ErrorCode::kCancelled, "interrupted"); }

}  // namespace bantam::cli

int main(int argc, char** argv) {
  try {
    return bantam::cli::run(argc, argv);
  } catch (const std::bad_alloc&) {
    std::fputs("bantam: not enough memory\n", stderr);
    return 4;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bantam: %s\n", error.what());
    return 1;
  }
}
