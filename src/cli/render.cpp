// bantam render: the chat template, natively. Needs only the tokenizer files of MODEL.
#include "base/json.h"
#include "base/mmap.h"
#include "cli/command.h"
#include "cli/jsonl.h"
#include "cli/model_catalogue.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "text/chat_template.h"

namespace bantam::cli {
namespace {

struct Options {
  std::string model, jsonl, prompt, system, template_name;
  CLI::Option* jsonl_given = nullptr;
  CLI::Option* prompt_given = nullptr;
  bool think = false, no_think = false;
  OutputOptions output;
};

struct RenderRequest {
  const JsonValue* messages = nullptr;
  const JsonValue* tools = nullptr;
  text::RenderOptions options;
};

Result<RenderRequest> parse(const JsonValue& request) {
  RenderRequest out;
  out.messages = request.find("messages");
  if (out.messages == nullptr) return bad_input("expected a field \"messages\"");
  out.tools = request.find("tools");
  BANTAM_TRY_ASSIGN(out.options.add_generation_prompt, bool_field(request, "add_generation_prompt", false));
  const JsonValue* thinking = request.find("enable_thinking");
  if (thinking != nullptr && !thinking->is_null()) {
    BANTAM_TRY_ASSIGN(const bool value, bool_field(request, "enable_thinking", true));
    out.options.enable_thinking = value;
  }
  return out;
}

Result<std::string> render_line(const text::Tokenizer& tokenizer, text::TemplateKind kind, const JsonValue& request) {
  BANTAM_TRY_ASSIGN(const RenderRequest parsed, parse(request));
  BANTAM_TRY_ASSIGN(const text::Rendered rendered, text::render(kind, *parsed.messages, parsed.tools, parsed.options));
  std::string reply = "{\"text\":";
  append_json_string(&reply, rendered.text);
  const auto spans = rendered.spans();
  return reply + ",\"ids\":" + ids_json(tokenizer.encode(spans)) + "}";
}

Status render(Options& options) {
  const bool lines = options.jsonl_given->count() > 0;
  if (!lines && options.prompt_given->count() == 0) {
    return usage_error("render: expected -p TEXT or --jsonl FILE; see bantam render --help");
  }
  if (lines) settle_jsonl_arguments(&options.model, &options.jsonl);
  BANTAM_TRY_ASSIGN(const text::Tokenizer tokenizer, open_tokenizer(options.model));
  BANTAM_TRY_ASSIGN(const text::TemplateKind kind, choose_template(tokenizer, options.template_name, options.output));
  if (lines) return run_jsonl(options.jsonl, [&](const JsonValue& r) { return render_line(tokenizer, kind, r); });

  const JsonValue messages = single_turn(options.system, options.prompt);
  text::RenderOptions render_options{.add_generation_prompt = true, .enable_thinking = std::nullopt};
  if (options.think || options.no_think) render_options.enable_thinking = options.think;
  BANTAM_TRY_ASSIGN(const text::Rendered rendered, text::render(kind, messages, nullptr, render_options));
  if (options.output.json) {
    std::string text;
    append_json_string(&text, rendered.text);
    const auto spans = rendered.spans();
    fmt::print("{{\"text\":{},\"ids\":{}}}\n", text, ids_json(tokenizer.encode(spans)));
  } else {
    fmt::print("{}", rendered.text);
  }
  return {};
}

}  // namespace

void add_render(CLI::App& app, Dispatch& dispatch) {
  auto* command = app.add_subcommand("render", "what the chat template makes of messages");
  auto& options = declare<Options>(*command, dispatch, render);
  command->add_option("MODEL", options.model, "a model or a folder with tokenizer files; none: the house model");
  options.jsonl_given = command
                            ->add_option("--jsonl", options.jsonl,
                                         "lines {\"messages\": [...], \"tools\": [...], \"add_generation_prompt\": "
                                         "bool, \"enable_thinking\": bool} from FILE or stdin")
                            ->expected(0, 1);
  options.prompt_given = command->add_option("-p,--prompt", options.prompt, "a single user message");
  command->add_option("--system", options.system, "a system message before it");
  add_template_option(*command, &options.template_name);
  auto* think = command->add_flag("--think", options.think, "enable_thinking = true");
  command->add_flag("--no-think", options.no_think, "enable_thinking = false")->excludes(think);
  add_output_options(*command, &options.output, true);
  command->footer(
      "Examples:\n"
      "  bantam render -p Hello\n"
      "  bantam render ./Qwen3-4B --jsonl conversations.jsonl\n"
      "  bantam render -p Hello --template qwen3-instruct-2507 --json");
}

}  // namespace bantam::cli
