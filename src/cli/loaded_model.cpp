// See loaded_model.h.
#include "cli/loaded_model.h"

#include "cli/interrupt.h"
#include "cli/terminal.h"
#include "engine/model_files.h"
#include "engine/runner.h"

namespace bantam::cli {

void tell_model(const OutputOptions& output, const std::string& model, Engine& engine) {
  const ModelInfo& info = engine.info();
  const std::string name = model_name(model);
  std::string line = fmt::format("{} · {} · {} · context {}", name, info.weight_type, human_bytes(info.weights_bytes),
                                 with_commas(info.context_tok));
  if (info.context_was_limited) {
    line += fmt::format(" (of {}: what fits in free memory)", with_commas(info.trained_context_tok));
  }
  if (info.rope_factor > 1) line += fmt::format(" · YaRN x{:.3g}", info.rope_factor);
  line += fmt::format(" · {} thread{}, {}", info.threads, info.threads == 1 ? "" : "s", info.isa);
  note(output, line);
  tell_cache(output, engine.impl());
  detail(output, fmt::format("{} in {:.0f} ms; weights {}, workspace {}, {} of keys and values per token",
                             info.from_packed_cache ? "read as packed before" : "loaded", info.load_ms,
                             human_bytes(info.weights_bytes), human_bytes(info.workspace_bytes),
                             human_bytes(info.kv_bytes_per_tok)));
}

Result<LoadedModel> load_model(const ComputeOptions& compute, const OutputOptions& output) {
  BANTAM_TRY_ASSIGN(const ModelSource source, find_model(compute.model));
  BANTAM_TRY_ASSIGN(text::Tokenizer tokenizer, open_tokenizer(compute.model));
  ProgressBar bar(output, "loading", "bytes");
  BANTAM_TRY_ASSIGN(Engine engine, Engine::load(source, engine_options(compute), [&](int64_t done, int64_t total) {
                      bar.update(done, total);
                      return !interrupted();
                    }));
  bar.clear();
  engine.set_textless_ids(engine::textless_ids(tokenizer, engine.info().vocab_rows));
  tell_model(output, compute.model, engine);
  return LoadedModel{model_name(compute.model), std::move(engine), std::move(tokenizer)};
}

void tell_cache(const OutputOptions& output, const EngineImpl& engine) {
  if (!engine.info().packed_cache_note.empty()) warn(output, engine.info().packed_cache_note);
  if (engine.writes_packed_cache()) note(output, "keeping the packed weights on disk: the next start is faster");
}

PrefillProgress prefill_bar(ProgressBar* bar) {
  return [bar](int64_t done, int64_t total) {
    bar->update(done, total);
    if (done >= total) bar->clear();
    return !interrupted();
  };
}

void detail_settings(const OutputOptions& output, text::TemplateKind kind, const engine::Prompt& prompt,
                     const SamplingOptions& sampling) {
  detail(output, fmt::format("template {}, prompt {} tokens", text::template_name(kind), prompt.ids.size()));
  detail(output, fmt::format("temperature {}, top-k {}, top-p {}, min-p {}, seed {}", sampling.temperature,
                             sampling.top_k, sampling.top_p, sampling.min_p, sampling.seed));
}

std::string generation_json(const engine::Generation& g, double load_ms) {
  const auto per_second = [](int64_t n, double ms) {
    return JsonValue::number(json_number(ms > 0 ? 1000.0 * static_cast<double>(n) / ms : 0));
  };
  const auto ms_value = [](double ms) { return JsonValue::number(json_number(ms)); };
  const auto predicted = static_cast<int64_t>(g.tokens.size());
  const int64_t prefilled = g.prompt_tok - g.cached_tok;
  JsonValue calls = JsonValue::array();
  for (const engine::ToolCall& call : g.tool_calls) {
    auto arguments = parse_json(call.arguments, "arguments");
    calls.items().push_back(
        JsonValue::object({{"name", JsonValue::string(call.name)},
                           {"arguments", arguments.ok() ? std::move(*arguments) : JsonValue::string(call.arguments)}}));
  }
  JsonValue out = JsonValue::object();
  out.set("text", JsonValue::string(g.text));
  out.set("reasoning", JsonValue::string(g.reasoning));
  out.set("tool_calls", std::move(calls));
  out.set("finish_reason", JsonValue::string(std::string(engine::finish_reason_name(g.finish_reason))));
  out.set("usage", JsonValue::object({{"prompt_tokens", JsonValue::number(g.prompt_tok)},
                                      {"completion_tokens", JsonValue::number(predicted)},
                                      {"reasoning_tokens", JsonValue::number(g.reasoning_tok)},
                                      {"cached_tokens", JsonValue::number(g.cached_tok)}}));
  out.set("timings", JsonValue::object({{"prompt_n", JsonValue::number(prefilled)},
                                        {"prompt_ms", ms_value(g.prompt_ms)},
                                        {"prompt_per_second", per_second(prefilled, g.prompt_ms)},
                                        {"predicted_n", JsonValue::number(predicted)},
                                        {"predicted_ms", ms_value(g.predicted_ms)},
                                        {"predicted_per_second", per_second(predicted, g.predicted_ms)},
                                        {"load_ms", ms_value(load_ms)}}));
  return to_json(out);
}

}  // namespace bantam::cli
