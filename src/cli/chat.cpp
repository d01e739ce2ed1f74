// bantam chat: talk to a model in the terminal.
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "cli/chat_state.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/line_editor.h"
#include "cli/terminal.h"

namespace bantam::cli {
namespace {

struct Options {
  ComputeOptions compute;
  OutputOptions output;
  SamplingFlags sampling;
  std::string system, template_name, load;
  bool think = false, no_think = false, no_history = false;
};

// $XDG_STATE_HOME/bantam/history, by default ~/.local/state/bantam/history; "" when there is no home.
std::string history_path() {
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  std::filesystem::path folder;
  if (state != nullptr && *state != '\0')
    folder = state;
  else if (home != nullptr && *home != '\0')
    folder = std::filesystem::path(home) / ".local/state";
  else
    return {};
  std::error_code error;
  std::filesystem::create_directories(folder / "bantam", error);
  return error ? std::string() : (folder / "bantam/history").string();
}

// Shows one answer as it comes: thinking dim (or as a counter), content plain.
class AnswerView {
 public:
  AnswerView(ThinkingView view, bool color, bool tty) : view_(view), color_(color), tty_(tty) {}

  void show(const engine::AnswerDelta& delta) {
    if (delta.kind == engine::AnswerDelta::Kind::kReasoning) {
      ++thinking_pieces_;
      if (!tty_ || view_ == ThinkingView::kHide) return;
      if (view_ == ThinkingView::kShow) {
        fmt::print("{}{}{}", color_ ? "\033[2m" : "", delta.text, color_ ? "\033[0m" : "");
      } else if (color_) {
        fmt::print("\r\033[K\033[2mthinking … {} pieces\033[0m", thinking_pieces_);
      }
      open_ = true;
    } else if (delta.kind == engine::AnswerDelta::Kind::kContent) {  // calls are printed at the end
      close_thinking();
      write_answer(delta.text);
    }
    std::fflush(stdout);
  }
  void close_thinking() {
    if (!open_) return;
    open_ = false;
    if (view_ == ThinkingView::kShow)
      fmt::print("\n\n");
    else if (color_)
      fmt::print("\r\033[K\033[2mthought (/expand shows it)\033[0m\n");
  }

 private:
  ThinkingView view_;
  bool color_, tty_;
  bool open_ = false;
  int thinking_pieces_ = 0;
};

void explain_full_context(const ChatState& state, int64_t needed) {
  fmt::print(stderr,
             "The context is full: this turn needs {} tokens, the context holds {}. Nothing was cut. You can\n"
             "  /drop   the oldest exchange, then /regen\n  /undo   your last message\n  /clear  the conversation\n"
             "or start again with a larger --ctx.\n",
             with_commas(needed), with_commas(state.session.capacity()));
}

// One answer to the messages as they stand. Errors that end the program are returned; a full context is explained.
Status answer(ChatState& state) {
  BANTAM_TRY_ASSIGN(const engine::Prompt prompt, state.prompt());
  const auto prompt_tok = static_cast<int64_t>(prompt.ids.size());
  if (prompt_tok >= state.session.capacity()) {
    explain_full_context(state, prompt_tok + 1);
    return {};
  }
  engine::GenerateOptions options;
  BANTAM_TRY_ASSIGN(options.sampling,
                    sampling_for(state.sampling, state.model.engine.info(),
                                 engine::will_think(state.kind, state.thinking), text::is_hybrid(state.kind)));
  options.max_tok = state.sampling.max_tokens.value_or(-1);
  options.stops = state.sampling.stop;
  options.stop_ids = state.model.engine.info().stop_ids;
  options.starts_in_thinking = prompt.starts_in_thinking;
  options.thinking_budget_tok = state.sampling.thinking_budget.value_or(-1);
  options.cancel = &interrupted();
  AnswerView view(state.view, use_color(state.output, stdout_is_tty()), stdout_is_tty());
  ProgressBar bar(state.output, "reading", "tokens");
  auto result = engine::generate(
      state.session, state.model.tokenizer, prompt.ids, options,
      [&](const engine::AnswerDelta& delta) { view.show(delta); }, prefill_bar(&bar));
  bar.clear();
  const bool stopped = take_interrupt();
  if (!result.ok()) {
    if (result.status().code() != ErrorCode::kCancelled) return std::move(result).status();
    fmt::print(stderr, "stopped; your message stays (/undo takes it back, /regen answers it)\n");
    return {};
  }
  view.close_thinking();
  fmt::print("\n");
  std::fflush(stdout);
  state.add("assistant", result->text, result->reasoning);
  state.last_thinking = result->reasoning;
  state.last_answer_ids.clear();
  for (const Sampled& token : result->tokens) state.last_answer_ids.push_back(token.id);
  for (const engine::ToolCall& call : result->tool_calls) fmt::print("{}({})\n", call.name, call.arguments);
  if (stopped) note(state.output, "stopped");
  if (result->thinking_cut) note(state.output, "the thinking was ended: its budget was used up, or it went in circles");
  if (result->context_full) explain_full_context(state, state.session.capacity() + 1);
  const bool color = use_color(state.output, stderr_is_tty());
  const auto generated = static_cast<double>(result->tokens.size());
  note(state.output,
       fmt::format("{}{:.1f} tokens/s · first token {:.0f} ms · {} tokens · context {} / {}{}", color ? "\033[2m" : "",
                   result->predicted_ms > 0 ? 1000 * generated / result->predicted_ms : 0.0, result->prompt_ms,
                   result->tokens.size(), with_commas(state.session.size()), with_commas(state.session.capacity()),
                   color ? "\033[0m" : ""));
  return {};
}

// Reads one message: a line, lines joined by a trailing backslash, or a """ block.
LineEditor::Outcome read_message(LineEditor& editor, std::string* message) {
  constexpr std::string_view kBlock = "\"\"\"";
  message->clear();
  std::string line;
  auto outcome = editor.read(">>> ", &line);
  if (outcome != LineEditor::Outcome::kLine) return outcome;
  const bool block = line.starts_with(kBlock);
  std::string text = block ? line.substr(kBlock.size()) : line;
  const auto done = [&] {
    if (block) {
      if (!text.ends_with(kBlock) || (text.size() == kBlock.size() && line.empty())) return false;
      text.resize(text.size() - kBlock.size());
      return true;
    }
    if (!text.ends_with('\\')) return true;
    text.pop_back();
    return false;
  };
  while (!done()) {
    outcome = editor.read("... ", &line);
    if (outcome != LineEditor::Outcome::kLine) break;
    text += "\n" + line;
  }
  if (outcome == LineEditor::Outcome::kInterrupted) return outcome;
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  if (block && text.starts_with('\n')) text.erase(0, 1);
  *message = std::move(text);
  editor.remember(*message);
  return LineEditor::Outcome::kLine;
}

Status converse(ChatState& state, LineEditor& editor) {
  std::string message;
  for (;;) {
    const auto outcome = read_message(editor, &message);
    if (outcome == LineEditor::Outcome::kEnd) break;
    if (outcome == LineEditor::Outcome::kInterrupted) {
      if (!stdin_is_tty()) return interrupted_status();
      note(state.output, "Ctrl+D or /quit leaves");
      continue;
    }
    if (message.empty()) continue;
    if (message[0] == '/') {
      const ChatAction action = run_chat_command(state, message);
      if (action == ChatAction::kQuit) break;
      if (action == ChatAction::kNone) continue;
    } else {
      state.add("user", message);
    }
    BANTAM_TRY(answer(state));
  }
  if (stdin_is_tty()) fmt::print("\n");
  return {};
}

Status chat(Options& options) {
  BANTAM_TRY_ASSIGN(LoadedModel model, load_model(options.compute, options.output));
  BANTAM_TRY_ASSIGN(const text::TemplateKind kind,
                    choose_template(model.tokenizer, options.template_name, options.output));
  BANTAM_TRY_ASSIGN(Session session, model.engine.new_session());
  ChatState state{
      .model = model, .session = session, .kind = kind, .output = options.output, .sampling = options.sampling};
  if (options.think || options.no_think) state.thinking = options.think;
  state.set_system(options.system);
  if (!options.load.empty()) run_chat_command(state, "/load " + options.load);
  const bool interactive = stdin_is_tty() && stdout_is_tty();
  if (interactive) {
    note(options.output,
         options.compute.model.empty()
             ? "No model was named: this is the small house model. Try: What can you do?   /help for help"
             : "/help for help, Ctrl+D leaves");
  }
  if (interactive) set_interrupt_limit(3);  // two impatient ones stop an answer only
  BANTAM_TRY_ASSIGN(LineReader input, LineReader::open("-"));
  LineEditor editor(interactive, std::move(input), options.no_history ? std::string() : history_path());
  return converse(state, editor);
}

}  // namespace

void add_chat(CLI::App& app, Dispatch& dispatch) {
  auto* command = app.add_subcommand("chat", "talk to a model in the terminal");
  auto& options = declare<Options>(*command, dispatch, chat);
  add_model_argument(*command, &options.compute);
  command->add_option("--system", options.system, "a system message");
  auto* think = command->add_flag("--think", options.think, "think before answering (the default of hybrid models)");
  command->add_flag("--no-think", options.no_think, "answer at once")->excludes(think);
  add_template_option(*command, &options.template_name);
  command->add_option("--load", options.load, "a conversation saved with /save");
  command->add_flag("--no-history", options.no_history, "keep no history of what was typed");
  add_sampling_options(*command, &options.sampling);
  add_thinking_budget_option(*command, &options.sampling);
  add_compute_options(*command, &options.compute);
  add_output_options(*command, &options.output, false);
  command->footer(
      "Examples:\n"
      "  bantam chat                                  talk to the house model\n"
      "  bantam chat ./Qwen3-4B-Q4_K_M.gguf --no-think\n"
      "  bantam chat ./Qwen3-4B --system 'Answer in one sentence.' --ctx 16384\n"
      "In the chat, /help lists the commands; Ctrl+C stops an answer, Ctrl+D leaves.");
}

}  // namespace bantam::cli
