// bantam run: one answer to one prompt, through the model's chat template.
#include <cstdio>

#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/jsonl.h"
#include "cli/loaded_model.h"
#include "cli/terminal.h"

namespace bantam::cli {
namespace {

struct Options {
  ComputeOptions compute;
  OutputOptions output;
  SamplingFlags sampling;
  std::string prompt, system, template_name;
  CLI::Option* prompt_given = nullptr;
  bool think = false, no_think = false;
};

// Streams an answer to stdout: thinking dim on stderr when that is a terminal, content plain.
class AnswerPrinter {
 public:
  explicit AnswerPrinter(const OutputOptions& output)
      : silent_(output.json),
        show_thinking_(stderr_is_tty() && !output.quiet),
        color_(use_color(output, stderr_is_tty())) {}

  void operator()(const engine::AnswerDelta& delta) {
    if (silent_) return;
    if (delta.kind == engine::AnswerDelta::Kind::kReasoning) {
      if (!show_thinking_) return;
      fmt::print(stderr, "{}{}{}", color_ ? "\033[2m" : "", delta.text, color_ ? "\033[0m" : "");
      std::fflush(stderr);
      thought_ = true;
      return;
    }
    if (delta.kind != engine::AnswerDelta::Kind::kContent) return;  // calls are printed at the end
    if (thought_) fmt::print(stderr, "\n\n");
    thought_ = false;
    write_answer(delta.text);
  }

 private:
  bool silent_, show_thinking_, color_;
  bool thought_ = false;
};

void print_end(const Options& options, const engine::Generation& g) {
  for (const engine::ToolCall& call : g.tool_calls) {
    std::string name;
    append_json_string(&name, call.name);
    fmt::print("{}{{\"name\": {}, \"arguments\": {}}}\n", g.text.empty() ? "" : "\n", name, call.arguments);
  }
  if (g.tool_calls.empty()) fmt::print("\n");
  if (g.context_full)
    warn(options.output, "the context is full: the answer was cut; --ctx N makes room for more");
  else if (g.finish_reason == engine::FinishReason::kLength && g.text.empty() && g.reasoning_tok > 0) {
    warn(options.output, "--max-tokens ended the thinking before an answer came; --no-think answers at once");
  }
  note(options.output,
       fmt::format("{} tokens, {:.1f} tokens/s, first after {:.0f} ms", g.tokens.size(),
                   g.predicted_ms > 0 ? 1000.0 * static_cast<double>(g.tokens.size()) / g.predicted_ms : 0.0,
                   g.prompt_ms));
}

Status run(Options& options) {
  if (options.prompt_given->count() == 0) {
    BANTAM_TRY_ASSIGN(options.prompt, read_stdin(options.output, "the prompt"));
  }
  if (options.prompt.find_first_not_of(" \t\r\n") == std::string::npos) {
    return usage_error("run: expected a prompt (-p TEXT, or text on stdin), got an empty one");
  }
  BANTAM_TRY_ASSIGN(LoadedModel model, load_model(options.compute, options.output));
  BANTAM_TRY_ASSIGN(const text::TemplateKind kind,
                    choose_template(model.tokenizer, options.template_name, options.output));
  std::optional<bool> thinking;
  if (options.think || options.no_think) thinking = options.think;
  if (thinking && !text::is_hybrid(kind)) {
    warn(options.output, fmt::format("the {} template has no thinking switch", text::template_name(kind)));
  }
  BANTAM_TRY_ASSIGN(
      const engine::Prompt prompt,
      engine::render_prompt(model.tokenizer, kind, single_turn(options.system, options.prompt), nullptr, thinking));
  engine::GenerateOptions generate_options;
  BANTAM_TRY_ASSIGN(generate_options.sampling, sampling_for(options.sampling, model.engine.info(),
                                                            engine::will_think(kind, thinking), text::is_hybrid(kind)));
  generate_options.max_tok = options.sampling.max_tokens.value_or(-1);
  generate_options.stops = options.sampling.stop;
  generate_options.stop_ids = model.engine.info().stop_ids;
  generate_options.starts_in_thinking = prompt.starts_in_thinking;
  generate_options.thinking_budget_tok = options.sampling.thinking_budget.value_or(-1);
  generate_options.cancel = &interrupted();
  BANTAM_TRY_ASSIGN(Session session, model.engine.new_session());
  detail_settings(options.output, kind, prompt, generate_options.sampling);
  AnswerPrinter printer(options.output);
  ProgressBar bar(options.output, "reading", "tokens");
  BANTAM_TRY_ASSIGN(
      const engine::Generation answer,
      engine::generate(session, model.tokenizer, prompt.ids, generate_options, std::ref(printer), prefill_bar(&bar)));
  if (options.output.json) {
    fmt::print("{}\n", generation_json(answer, model.engine.info().load_ms));
  } else {
    print_end(options, answer);
  }
  return answer.finish_reason == engine::FinishReason::kCancelled ? interrupted_status() : Status();
}

}  // namespace

void add_run(CLI::App& app, Dispatch& dispatch) {
  auto* command = app.add_subcommand("run", "one answer to one prompt");
  auto& options = declare<Options>(*command, dispatch, run);
  add_model_argument(*command, &options.compute);
  options.prompt_given = command->add_option("-p,--prompt", options.prompt, "the prompt; default: read from stdin");
  command->add_option("--system", options.system, "a system message before it");
  auto* think = command->add_flag("--think", options.think, "think before answering (the default of hybrid models)");
  command->add_flag("--no-think", options.no_think, "answer at once")->excludes(think);
  add_template_option(*command, &options.template_name);
  add_sampling_options(*command, &options.sampling);
  add_thinking_budget_option(*command, &options.sampling);
  add_compute_options(*command, &options.compute);
  add_output_options(*command, &options.output, true);
  command->footer(
      "Examples:\n"
      "  bantam run -p 'What is 12 + 30?'\n"
      "  bantam run ./Qwen3-4B-Q4_K_M.gguf -p 'Name three rivers.' --no-think --temperature 0\n"
      "  git diff | bantam run ./Qwen3-4B --system 'Summarise this diff in one sentence.'\n"
      "  bantam run -p Hello --json --seed 1");
}

}  // namespace bantam::cli
