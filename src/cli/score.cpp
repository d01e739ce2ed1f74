// bantam score: log-probabilities and perplexity of given texts or ids, normalised over all rows of the output as the
// reference does. One request per line, one reply per line.
#include <algorithm>
#include <cmath>

#include "base/exact_math.h"
#include "cli/command.h"
#include "cli/jsonl.h"
#include "cli/loaded_model.h"
#include "cli/terminal.h"
#include "engine/runner.h"
#include "engine/sampler.h"

namespace bantam::cli {
namespace {

struct Options {
  ComputeOptions compute;
  OutputOptions output;
  std::vector<std::string> words;  // [MODEL] FILE.jsonl
};

struct Totals {
  double nll = 0;
  int64_t tokens = 0, lines = 0;
};

struct Request {
  std::vector<int32_t> ids;
  size_t scored_from = 1;  // the first id whose log-probability counts
};

Result<Request> parse(const LoadedModel& model, const JsonValue& json) {
  Request out;
  if (json.find("ids") != nullptr) {
    BANTAM_TRY_ASSIGN(out.ids, ids_field(json, "ids"));
    BANTAM_TRY(model.check_ids(out.ids));
  } else if (json.find("text") != nullptr) {
    BANTAM_TRY_ASSIGN(const std::string text, string_field(json, "text"));
    out.ids = model.tokenizer.encode(text, false);
  } else if (json.find("prompt") != nullptr) {
    BANTAM_TRY_ASSIGN(const std::string prompt, string_field(json, "prompt"));
    BANTAM_TRY_ASSIGN(const std::string completion, string_field(json, "completion"));
    out.ids = model.tokenizer.encode(prompt, false);
    out.scored_from = std::max<size_t>(out.ids.size(), 1);
    const std::vector<int32_t> rest = model.tokenizer.encode(completion, false);
    out.ids.insert(out.ids.end(), rest.begin(), rest.end());
  } else {
    return bad_input("expected \"ids\", \"text\", or \"prompt\" and \"completion\"");
  }
  if (out.ids.empty()) return bad_input("expected at least one token");
  return out;
}

// Log-probabilities of ids[1..] given what is before each, in chunks. Chosen[i] says whether ids[i] was the best row.
Status score_ids(EngineImpl& engine, std::span<const int32_t> ids, std::vector<double>* logprobs,
                 std::vector<uint8_t>* best) {
  SessionImpl session(&engine);
  const int64_t rows = engine.info().vocab_rows;
  const int64_t chunk = std::min(engine.options().chunk_tok, engine.options().batch_rows);
  const auto total = static_cast<int64_t>(ids.size());
  logprobs->assign(ids.size(), 0.0);
  best->assign(ids.size(), 0);
  for (int64_t done = 0; done < total;) {
    if (interrupted()) return interrupted_status();
    const int64_t n = std::min(chunk, total - done);
    const EngineImpl::Part part{&session, ids.subspan(static_cast<size_t>(done), static_cast<size_t>(n)),
                                EngineImpl::Rows::kAll};
    BANTAM_TRY(engine.run(std::span(&part, 1)));
    engine.pool().parallel(n, [&](int64_t i, int) {
      const int64_t next = done + i + 1;
      if (next >= total) return;
      const std::span<const float> row(engine.workspace_logits() + i * rows, static_cast<size_t>(rows));
      const auto id = static_cast<size_t>(ids[static_cast<size_t>(next)]);
      (*logprobs)[static_cast<size_t>(next)] = static_cast<double>(row[id]) - engine::log_sum_exp(row);
      (*best)[static_cast<size_t>(next)] =
          static_cast<size_t>(std::max_element(row.begin(), row.end()) - row.begin()) == id;
    });
    done += n;
  }
  return {};
}

Result<std::string> score_line(LoadedModel& model, const JsonValue& json, Totals* totals) {
  BANTAM_TRY_ASSIGN(const Request request, parse(model, json));
  EngineImpl& engine = model.engine.impl();
  if (static_cast<int64_t>(request.ids.size()) > engine.info().context_tok) {
    return bad_input("{} tokens do not fit a context of {} (--ctx)", request.ids.size(), engine.info().context_tok);
  }
  std::vector<double> logprobs;
  std::vector<uint8_t> best;
  BANTAM_TRY(score_ids(engine, request.ids, &logprobs, &best));
  std::string list;
  double nll = 0;
  bool greedy = true;
  int64_t scored = 0;
  for (size_t i = 0; i < request.ids.size(); ++i) {
    if (i > 0) list += ',';
    if (i < request.scored_from) {  // the prompt, and the first token, before which there is nothing
      list += "null";
      continue;
    }
    list += json_number(logprobs[i]);
    nll -= logprobs[i];
    greedy = greedy && best[i] != 0;
    ++scored;
  }
  totals->nll += nll;
  totals->tokens += scored;
  ++totals->lines;
  return fmt::format("{{\"logprobs\":[{}],\"nll\":{},\"tokens\":{},\"greedy\":{}}}", list, json_number(nll), scored,
                     greedy);
}

Status score(Options& options) {
  if (options.words.size() == 2) options.compute.model = options.words[0];
  BANTAM_TRY_ASSIGN(LoadedModel model, load_model(options.compute, options.output));
  Totals totals;
  const Status status =
      run_jsonl(options.words.back(), [&](const JsonValue& json) { return score_line(model, json, &totals); });
  if (totals.tokens > 0) {
    note(options.output, fmt::format("{} lines, {} tokens scored, mean nll {:.4f}, perplexity {:.4f}",
                                     with_commas(totals.lines), with_commas(totals.tokens),
                                     totals.nll / static_cast<double>(totals.tokens),
                                     std::exp(totals.nll / static_cast<double>(totals.tokens))));
  }
  return status;
}

}  // namespace

void add_score(CLI::App& app, Dispatch& dispatch) {
  auto* command = app.add_subcommand("score", "log-probabilities and perplexity of texts");
  auto& options = declare<Options>(*command, dispatch, score);
  command
      ->add_option("MODEL_FILE", options.words,
                   "[MODEL] FILE.jsonl (or -) with lines {\"ids\"}, {\"text\"} or {\"prompt\", \"completion\"}; only "
                   "the completion is scored then")
      ->expected(1, 2)
      ->required();
  add_compute_options(*command, &options.compute);
  add_output_options(*command, &options.output, false);
}

}  // namespace bantam::cli
