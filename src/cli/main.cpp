// bantam's entry: parses argv, runs one subcommand, turns its Status into a message and an exit code. The only place
// that exits, and the last one that sees exceptions (from the standard library and the option parser).
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <system_error>
#include <utility>

#include "base/edit_distance.h"
#include "cli/build_info.h"
#include "cli/command.h"
#include "cli/help_formatter.h"
#include "cli/interrupt.h"

namespace bantam::cli {
namespace {

int exit_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::kUsage:
      return 2;
    case ErrorCode::kBadInput:
      return 3;
    case ErrorCode::kNoSpace:
      return 4;
    case ErrorCode::kCancelled:
      return 130;
    default:
      return 1;
  }
}

constexpr const char* kDescription =
    "bantam runs the Qwen3 language-model family on your own machine.\n"
    "Start with `bantam chat`: without a model it talks to bantam-nano, the small house model in the binary.\n"
    "MODEL is a folder in Hugging Face layout, a .gguf file, or a name such as qwen3:4b (see `bantam pull`).";

constexpr const char* kFooter =
    "Examples:\n"
    "  bantam chat                              talk to the house model\n"
    "  bantam chat ./Qwen3-4B-Q4_K_M.gguf       talk to a model of yours\n"
    "  bantam pull qwen3:4b                     download one; then: bantam chat qwen3:4b\n"
    "  bantam run -p 'What is 12 + 30?'         one answer\n"
    "  bantam bench ./Qwen3-4B-Q4_K_M.gguf      how fast it is, beside what this machine could do\n"
    "`bantam COMMAND --help` tells more, with examples.";

const std::vector<const CLI::App*> commands_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* command) { return !command->get_name().empty(); });
}

const CLI::App* find_command(const CLI::App& app, std::string_view name) {
  for (const CLI::App* command : commands_of(app)) {
    if (command->get_name() == name) return command;
  }
  return nullptr;
}

Status unknown_command(const CLI::App& app, std::string_view name) {
  std::string best;
  size_t least = 3;
  for (const CLI::App* command : commands_of(app)) {
    const size_t distance = edit_distance(name, command->get_name());
    if (distance < least) {
      least = distance;
      best = command->get_name();
    }
  }
  return usage_error("no command {:?}{}; `bantam help` lists them", name,
                     best.empty() ? "" : fmt::format(", did you mean {:?}?", best));
}

Status help(const CLI::App& app, const std::string& main_help, const std::string& topic) {
  if (topic.empty()) {
    fmt::print("{}", main_help);
    return {};
  }
  const CLI::App* command = find_command(app, topic);
  if (command == nullptr) return unknown_command(app, topic);
  fmt::print("{}", command->help("bantam"));
  return {};
}

// The parser's complaint, and where to read more.
std::string complaint(const CLI::App* app, const CLI::Error& error) {
  const auto chosen = app->get_subcommands();
  return fmt::format("bantam: {}\n`bantam {}--help` tells more\n", error.what(),
                     chosen.empty() ? "" : chosen[0]->get_name() + " ");
}

int report(const Status& status) {
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    if (errno != EPIPE) fmt::print(stderr, "bantam: cannot write to stdout: {}\n", std::strerror(errno));
    return errno == ENOSPC || errno == EFBIG ? 4 : 1;
  }
  if (status.ok()) return 0;
  if (!status.message().empty()) fmt::print(stderr, "bantam: {}\n", status.message());
  return exit_code(status.code());
}

int run(int argc, char** argv) {
  CLI::App app(kDescription, "bantam");
  app.formatter(std::make_shared<HelpFormatter>());
  app.set_version_flag("--version", fmt::format("bantam {} ({})", kVersion, kCommit), "print the version");
  app.require_subcommand(1);
  app.failure_message(complaint);
  Dispatch dispatch;
  for (auto* add :
       {add_chat,  add_run,   add_complete, add_tokenize, add_detokenize, add_render,     add_forward, add_generate,
        add_serve, add_score, add_show,     add_plan,     add_convert,    add_quantize,   add_synth,   add_bench,
        add_pull,  add_ls,    add_rm,       add_ps,       add_cache,      add_completion, add_version}) {
    add(app, dispatch);
  }
  auto* help_command = app.add_subcommand("help", "help for a command");
  std::string topic;
  help_command->add_option("COMMAND", topic, "which command; none: the list of them");
  app.footer(kFooter);  // after the commands, which would inherit it
  const std::string main_help = app.help();
  help_command->callback([&] { dispatch.work = [&] { return help(app, main_help, topic); }; });

  if (argc == 1) {
    fmt::print("{}", main_help);
    return report({});
  }
  if (argv[1][0] != '-' && find_command(app, argv[1]) == nullptr) return report(unknown_command(app, argv[1]));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? report({}) : 2;
  }
  install_signal_handlers();
  return report(dispatch.work ? dispatch.work() : Status());
}

}  // namespace

}  // namespace bantam::cli

int main(int argc, char** argv) {
  try {
    return bantam::cli::run(argc, argv);
  } catch (const std::bad_alloc&) {
    std::fputs("bantam: not enough memory\n", stderr);
    return 4;
  } catch (const std::system_error& error) {  // what fmt throws when stdout cannot be written
    if (error.code().value() != EPIPE) std::fprintf(stderr, "bantam: %s\n", error.what());
    return error.code().value() == ENOSPC ? 4 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bantam: %s\n", error.what());
    return 1;
  }
}
