// bantam completion: shell completion scripts, made from the option parser itself so that they never lag behind.
#include <set>

#include "cli/command.h"
#include "cli/options.h"

namespace bantam::cli {
namespace {

struct Options {
  std::string shell;
};

struct CommandWords {
  std::string name, about;
  std::vector<std::pair<std::string, std::string>> flags;  // "--json", its help
};

std::vector<CommandWords> all_commands(const CLI::App& app) {
  std::vector<CommandWords> out;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App* s) { return !s->get_name().empty(); })) {
    CommandWords words{command->get_name(), command->get_description(), {}};
    for (const CLI::Option* option : command->get_options()) {
      for (const std::string& name : option->get_lnames())
        words.flags.emplace_back("--" + name, option->get_description());
    }
    out.push_back(std::move(words));
  }
  return out;
}

std::string joined_names(const std::vector<CommandWords>& commands) {
  std::string out;
  for (const CommandWords& c : commands) out += (out.empty() ? "" : " ") + c.name;
  return out;
}

std::string joined_flags(const CommandWords& command) {
  std::string out;
  for (const auto& [flag, about] : command.flags) out += (out.empty() ? "" : " ") + flag;
  return out;
}

void print_bash(const std::vector<CommandWords>& commands) {
  fmt::print(
      "# bash completion of bantam: source it, or put it into ~/.local/share/bash-completion/completions/bantam\n"
      "_bantam() {{\n  local word=\"${{COMP_WORDS[COMP_CWORD]}}\" flags=\"\"\n"
      "  if [ \"$COMP_CWORD\" = 1 ]; then COMPREPLY=($(compgen -W \"{}\" -- \"$word\")); return; fi\n"
      "  case \"${{COMP_WORDS[1]}}\" in\n",
      joined_names(commands));
  for (const CommandWords& c : commands) fmt::print("    {}) flags=\"{}\" ;;\n", c.name, joined_flags(c));
  fmt::print(
      "  esac\n  case \"$word\" in\n    -*) COMPREPLY=($(compgen -W \"$flags\" -- \"$word\")) ;;\n"
      "    *) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n  esac\n}}\ncomplete -o filenames -F _bantam bantam\n");
}

// Quotes for zsh's _arguments and fish's -d: no quotes, brackets or line ends inside.
std::string plain(std::string text) {
  for (char& c : text) {
    if (c == '\'' || c == '"' || c == '[' || c == ']' || c == ':' || c == '\n' || c == '`' || c == '$') c = ' ';
  }
  return text;
}

void print_zsh(const std::vector<CommandWords>& commands) {
  fmt::print("#compdef bantam\n_bantam() {{\n  local -a commands\n  commands=(\n");
  for (const CommandWords& c : commands) fmt::print("    '{}:{}'\n", c.name, plain(c.about));
  fmt::print("  )\n  if (( CURRENT == 2 )); then _describe command commands; return; fi\n  case \"$words[2]\" in\n");
  for (const CommandWords& c : commands) {
    fmt::print("    {}) _arguments", c.name);
    std::set<std::string> seen;
    for (const auto& [flag, about] : c.flags) {
      if (seen.insert(flag).second) fmt::print(" '{}[{}]'", flag, plain(about));
    }
    fmt::print(" '*:file:_files' ;;\n");
  }
  fmt::print("  esac\n}}\n_bantam \"$@\"\n");
}

void print_fish(const std::vector<CommandWords>& commands) {
  for (const CommandWords& c : commands) {
    fmt::print("complete -c bantam -n __fish_use_subcommand -a {} -d '{}'\n", c.name, plain(c.about));
    for (const auto& [flag, about] : c.flags) {
      fmt::print("complete -c bantam -n '__fish_seen_subcommand_from {}' -l {} -d '{}'\n", c.name, flag.substr(2),
                 plain(about));
    }
  }
}

}  // namespace

void add_completion(CLI::App& app, Dispatch& dispatch) {
  auto* command = app.add_subcommand("completion", "a completion script for your shell");
  auto& options = declare<Options>(*command, dispatch, [&app](Options& o) -> Status {
    const std::vector<CommandWords> commands = all_commands(app);
    if (o.shell == "bash")
      print_bash(commands);
    else if (o.shell == "zsh")
      print_zsh(commands);
    else
      print_fish(commands);
    return {};
  });
  command->add_option("SHELL", options.shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->footer(
      "Examples:\n"
      "  bantam completion bash > ~/.local/share/bash-completion/completions/bantam\n"
      "  bantam completion fish > ~/.config/fish/completions/bantam.fish");
}

}  // namespace bantam::cli
