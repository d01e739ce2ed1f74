// A subcommand: its options are declared on a CLI::App, its work is a function called after parsing. main.cpp turns
// the Status into an exit code: 0 done, 1 failed, 2 wrong usage, 3 bad input file, 4 no memory or disk, 130
// interrupted.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"

namespace bantam::cli {

// The chosen command's work, filled while parsing.
struct Dispatch {
  std::function<Status()> work;
};

// Declares a subcommand whose typed options live as long as the parser: body(options) runs when it was chosen.
template <class Options>
Options& declare(CLI::App& command, Dispatch& dispatch, std::function<Status(Options&)> body) {
  auto options = std::make_shared<Options>();
  command.callback([options, &dispatch, body] { dispatch.work = [options, body] { return body(*options); }; });
  return *options;
}

// Each adds one subcommand. One file per command, of the same name.
void add_chat(CLI::App& app, Dispatch& dispatch);
void add_run(CLI::App& app, Dispatch& dispatch);
void add_complete(CLI::App& app, Dispatch& dispatch);
void add_tokenize(CLI::App& app, Dispatch& dispatch);
void add_detokenize(CLI::App& app, Dispatch& dispatch);
void add_render(CLI::App& app, Dispatch& dispatch);
void add_forward(CLI::App& app, Dispatch& dispatch);
void add_generate(CLI::App& app, Dispatch& dispatch);
void add_score(CLI::App& app, Dispatch& dispatch);
void add_serve(CLI::App& app, Dispatch& dispatch);
void add_show(CLI::App& app, Dispatch& dispatch);
void add_plan(CLI::App& app, Dispatch& dispatch);
void add_convert(CLI::App& app, Dispatch& dispatch);
void add_quantize(CLI::App& app, Dispatch& dispatch);
void add_synth(CLI::App& app, Dispatch& dispatch);
void add_bench(CLI::App& app, Dispatch& dispatch);
void add_pull(CLI::App& app, Dispatch& dispatch);
void add_ls(CLI::App& app, Dispatch& dispatch);
void add_rm(CLI::App& app, Dispatch& dispatch);
void add_ps(CLI::App& app, Dispatch& dispatch);
void add_cache(CLI::App& app, Dispatch& dispatch);
void add_completion(CLI::App& app, Dispatch& dispatch);
void add_version(CLI::App& app, Dispatch& dispatch);

}  // namespace bantam::cli
