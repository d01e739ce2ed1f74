// A model ready to talk: engine, tokenizer, template, defaults. What chat, run and complete open.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bantam/engine.h"
#include "base/json.h"
#include "cli/model_catalogue.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "engine/generate.h"
#include "engine/prompt.h"

namespace bantam::cli {

struct LoadedModel {
  std::string name;
  Engine engine;
  text::Tokenizer tokenizer;
};

// Loads with a progress bar on stderr, then says in one line what runs: name, type, context, threads. `ctx` unset and
// the default cut to free memory is said too.
Result<LoadedModel> load_model(const ComputeOptions& compute, const OutputOptions& output);

// In one line what runs: name, type, context, threads; whether the context was cut to free memory; and tell_cache().
void tell_model(const OutputOptions& output, const std::string& model, Engine& engine);

// Warns when something was wrong with the cache of packed weights, and notes when it is being written: the program will
// wait for that before it exits.
void tell_cache(const OutputOptions& output, const EngineImpl& engine);

// A prefill bar for long prompts.
PrefillProgress prefill_bar(ProgressBar* bar);

// At --log-level debug: template, prompt length and sampling of an answer.
void detail_settings(const OutputOptions& output, text::TemplateKind kind, const engine::Prompt& prompt,
                     const SamplingOptions& sampling);

// The fixed --json answer of run and complete.
std::string generation_json(const engine::Generation& generation, double load_ms);

}  // namespace bantam::cli
