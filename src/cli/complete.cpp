// bantam complete: raw continuation of a text, no template. With --jsonl many of them, one request per line.
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
  std::string prompt, jsonl;
  CLI::Option* prompt_given = nullptr;
  CLI::Option* jsonl_given = nullptr;
  bool special = false;
};

engine::GenerateOptions raw_options(const SamplingFlags& flags, const SamplingOptions& sampling,
                                    const ModelInfo& info) {
  engine::GenerateOptions out;
  out.sampling = sampling;
  out.max_tok = flags.max_tokens.value_or(-1);
  out.stops = flags.stop;
  out.stop_ids = info.stop_ids;
  out.parse_answer = false;
  out.cancel = &interrupted();
  return out;
}

Status override_number(const JsonValue& request, std::string_view key, double high, double* out) {
  const JsonValue* value = request.find(key);
  if (value == nullptr || value->is_null()) return {};
  auto number = value->as_double();
  if (!number.ok()) return std::move(number).status().with_context(key);
  if (!(*number >= 0 && *number <= high))
    return bad_input("{}: expected a number from 0 to {}, got {}", key, high, *number);
  *out = *number;
  return {};
}

template <class T>
Status override_integer(const JsonValue& request, std::string_view key, int64_t high, T* out) {
  const JsonValue* value = request.find(key);
  if (value == nullptr || value->is_null()) return {};
  auto number = value->as_int64();
  if (!number.ok()) return std::move(number).status().with_context(key);
  if (*number < 0 || *number > high) {
    return bad_input("{}: expected a whole number from 0 to {}, got {}", key, high, *number);
  }
  *out = static_cast<T>(*number);
  return {};
}

// {"prompt": s | "ids": [...], "max_tokens"?, "temperature"?, "top_p"?, "top_k"?, "seed"?, "special"?}
Result<std::string> complete_line(LoadedModel& model, Session& session, engine::GenerateOptions options,
                                  const JsonValue& request) {
  std::vector<int32_t> ids;
  if (request.find("ids") != nullptr) {
    BANTAM_TRY_ASSIGN(ids, ids_field(request, "ids"));
    BANTAM_TRY(check_ids(ids, model.engine.info().vocab_rows));
  } else {
    BANTAM_TRY_ASSIGN(const std::string prompt, string_field(request, "prompt"));
    BANTAM_TRY_ASSIGN(const bool special, bool_field(request, "special", false));
    ids = model.tokenizer.encode(prompt, special);
  }
  if (ids.empty()) return bad_input("expected at least one token to continue");
  BANTAM_TRY(override_integer(request, "max_tokens", int64_t{1} << 30, &options.max_tok));
  BANTAM_TRY(override_number(request, "temperature", 100, &options.sampling.temperature));
  BANTAM_TRY(override_number(request, "top_p", 1, &options.sampling.top_p));
  BANTAM_TRY(override_integer(request, "top_k", 1 << 20, &options.sampling.top_k));
  BANTAM_TRY(override_integer(request, "seed", INT64_MAX, &options.sampling.seed));
  BANTAM_TRY_ASSIGN(const engine::Generation g, engine::generate(session, model.tokenizer, ids, options));
  if (g.finish_reason == engine::FinishReason::kCancelled) return interrupted_status();
  std::vector<int32_t> out_ids;
  for (const Sampled& token : g.tokens) out_ids.push_back(token.id);
  std::string reply = "{\"text\":";
  append_json_string(&reply, g.text);
  return reply + fmt::format(",\"ids\":{},\"finish_reason\":\"{}\"}}", ids_json(out_ids),
                             engine::finish_reason_name(g.finish_reason));
}

Status complete_one(Options& options, LoadedModel& model, Session& session, engine::GenerateOptions generate_options) {
  if (options.prompt_given->count() == 0) {
    BANTAM_TRY_ASSIGN(options.prompt, read_stdin(options.output, "the text"));
  }
  const std::vector<int32_t> ids = model.tokenizer.encode(options.prompt, options.special);
  if (ids.empty()) return usage_error("complete: expected a text to continue, got an empty one");
  ProgressBar bar(options.output, "reading", "tokens");
  const auto print = [&](const engine::AnswerDelta& delta) {
    if (!options.output.json) write_answer(delta.text);
  };
  BANTAM_TRY_ASSIGN(const engine::Generation g,
                    engine::generate(session, model.tokenizer, ids, generate_options, print, prefill_bar(&bar)));
  fmt::print("{}\n", options.output.json ? generation_json(g, model.engine.info().load_ms) : "");
  if (g.context_full) warn(options.output, "the context is full: the text was cut; --ctx N makes room for more");
  return g.finish_reason == engine::FinishReason::kCancelled ? interrupted_status() : Status();
}

Status complete(Options& options) {
  if (options.jsonl_given->count() > 0) settle_jsonl_arguments(&options.compute.model, &options.jsonl);
  BANTAM_TRY_ASSIGN(LoadedModel model, load_model(options.compute, options.output));
  BANTAM_TRY_ASSIGN(const SamplingOptions sampling,
                    sampling_for(options.sampling, model.engine.info(), /*thinking=*/false, /*hybrid=*/false));
  const engine::GenerateOptions generate_options = raw_options(options.sampling, sampling, model.engine.info());
  BANTAM_TRY_ASSIGN(Session session, model.engine.new_session());
  if (options.jsonl_given->count() == 0) return complete_one(options, model, session, generate_options);
  return run_jsonl(options.jsonl,
                   [&](const JsonValue& r) { return complete_line(model, session, generate_options, r); });
}

}  // namespace

void add_complete(CLI::App& app, Dispatch& dispatch) {
  auto* command = app.add_subcommand("complete", "raw continuation of a text, no chat template");
  auto& options = declare<Options>(*command, dispatch, complete);
  add_model_argument(*command, &options.compute);
  options.prompt_given = command->add_option("-p,--prompt", options.prompt, "the text; default: read from stdin");
  command->add_flag("--special", options.special, "recognise added tokens such as <|im_end|> in the text");
  options.jsonl_given = command
                            ->add_option("--jsonl", options.jsonl,
                                         "lines {\"prompt\": s or \"ids\": [...], \"max_tokens\": n, \"temperature\": "
                                         "t, ...} from FILE or stdin; replies {\"text\", \"ids\", \"finish_reason\"}")
                            ->expected(0, 1);
  add_sampling_options(*command, &options.sampling);
  add_compute_options(*command, &options.compute);
  add_output_options(*command, &options.output, true);
  command->footer(
      "Examples:\n"
      "  bantam complete -p 'Once upon a time' --max-tokens 50\n"
      "  bantam complete ./Qwen3-4B-Base --jsonl prompts.jsonl --temperature 0 -n 32");
}

}  // namespace bantam::cli
