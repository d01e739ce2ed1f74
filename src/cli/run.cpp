// bantam run: one answer to one prompt, through the model's chat template.
#include <cstdio>
#include <iostream>
#include <iterator>

#include "cli/command.h"
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
      : silent_(output.json), show_thinking_(stderr_is_tty() && !output.quiet), color_(use_color(output, stderr_is_tty())) {}

  void operator()(const engine::AnswerDelta& delta) {
    if (silent_) return;
    if (delta.kind == engine::AnswerDelta::Kind::kReasoning) {
      if (!show_thinking_) return;
      fmt::print(stderr, "{}{}{}", color_ ? "\033[2m" : "", delta.text, color_ ? "\033[0m" : "");
      std::fflush(stderr);
      thought_ = true;
      return;
    }
    if (thought_) fmt::print(stderr, "\n\n");
    thought_ = false;
    std::fwrite(delta.text.data(), 1, delta.text.size(), stdout);
    std::fflush(stdout);
  }

 private:
  bool silent_, show_thinking_, color_;
  bool thought_ = false;
};

JsonValue messages_of(const Options& options) {
  JsonValue messages = JsonValue::array();
  const auto add = [&](const char* role, const std::string& content) {
    messages.items().push_back(
        JsonValue::object({{"role", JsonValue::string(role)}, {"content", JsonValue::string(content)}}));
  };
  if (!options.system.empty()) add("system", options.system);
  add("user", options.prompt);
  return messages;
}

void print_end(const Options& options, const engine::Generation& g) {
  for (const engine::ToolCall& call : g.tool_calls) {
    std::string name;
    append_json_string(&name, call.name);
    fmt::print("{}{{\"name\": {}, \"arguments\": {}}}\n", g.text.empty() ? "" : "\n", name, call.arguments);
  }
  if (g.tool_calls.empty()) fmt::print("\n");
  if (g.context_full) warn(options.output, "the context is full: the answer was cut; --ctx N makes room for more");
  else if (g.finish_reason == engine::FinishReason::kLength && g.text.empty() && g.reasoning_tok > 0) {
    warn(options.output, "--max-tokens ended the thinking before an answer came; --no-think answers at once");
  }
  note(options.output,
       fmt::format("{} tokens, {:.1f} tokens/s, first after {:.0f} ms", g.tokens.size(),
                   g.predicted_ms > 0 ? 1000.0 * static_cast<double>(g.tokens.size()) / g.predicted_ms : 0.0, g.prompt_ms));
}

Status run(Options& options) {
  if (options.prompt_given->count() == 0) {
    if (stdin_is_tty()) note(options.output, "reading the prompt from the terminal; end it with Ctrl+D");
    options.prompt.assign(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
  }
  BANTAM_TRY_ASSIGN(LoadedModel model, load_model(options.compute, options.output));
  BANTAM_TRY_ASSIGN(const text::TemplateKind kind,
                    choose_template(model.tokenizer, options.template_name, options.output));
  std::optional<bool> thinking;
  if (options.think || options.no_think) thinking = options.think;
  if (thinking && !is_hybrid(kind)) {
    warn(options.output, fmt::format("the {} template has no thinking switch", text::template_name(kind)));
  }
  BANTAM_TRY_ASSIGN(const Prompt prompt,
                    render_prompt(model.tokenizer, kind, messages_of(options), nullptr, thinking));
  engine::GenerateOptions generate_options;
  BANTAM_TRY_ASSIGN(generate_options.sampling, sampling_for(options.sampling, model.engine.info(),
                                                            will_think(kind, thinking), is_hybrid(kind)));
  generate_options.max_tok = options.sampling.max_tokens.value_or(-1);
  generate_options.stops = options.sampling.stop;
  generate_options.stop_ids = model.engine.info().stop_ids;
  generate_options.starts_in_thinking = prompt.starts_in_thinking;
  generate_options.cancel = &interrupted();
  BANTAM_TRY_ASSIGN(Session session, model.engine.new_session());
  AnswerPrinter printer(options.output);
  ProgressBar bar(options.output, "reading", "tokens");
  BANTAM_TRY_ASSIGN(const engine::Generation answer,
                    engine::generate(session, model.tokenizer, prompt.ids, generate_options, std::ref(printer),
                                     prefill_bar(&bar)));
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
  command->add_option("--template", options.template_name, "instead of the model's own: " + text::template_names());
  add_sampling_options(*command, &options.sampling);
  add_compute_options(*command, &options.compute);
  add_output_options(*command, &options.output, true);
}

}  // namespace bantam::cli
