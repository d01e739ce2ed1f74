// bantam score: log-probabilities and perplexity of given texts or ids, normalised over all rows of the output as the
// reference does. One request per line, one reply per line. Short lines that are there already share a step.
#include <algorithm>
#include <cmath>
#include <deque>

#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/jsonl.h"
#include "cli/loaded_model.h"
#include "cli/model_catalogue.h"
#include "cli/terminal.h"
#include "engine/runner.h"
#include "engine/sampler.h"

namespace bantam::cli {
namespace {

struct Options {
  ComputeOptions compute;
  OutputOptions output;
  ModelWords words;  // [MODEL] FILE.jsonl
};

// What the command works with; a model without a tokenizer scores ids only.
struct Model {
  Engine engine;
  Result<text::Tokenizer> tokenizer;
};

// One line: what to score, or why not, and its scores.
struct Line {
  int64_t number = 0;
  Status status;
  std::vector<int32_t> ids;
  size_t scored_from = 1;        // the first id whose log-probability counts
  std::vector<double> logprobs;  // of ids[i] given all before it; filled from scored_from on
  std::vector<uint8_t> best;     // 1 where ids[i] has the largest logit
  int64_t done = 0;              // ids fed so far

  // The last id is scored, not fed.
  int64_t to_feed() const { return static_cast<int64_t>(ids.size()) - 1; }
};

Result<std::vector<int32_t>> encode_field(const Model& model, const JsonValue& json, std::string_view key) {
  BANTAM_TRY_ASSIGN(const std::string text, string_field(json, key));
  if (!model.tokenizer.ok()) return Status(model.tokenizer.status()).with_context("only \"ids\" can be scored");
  return model.tokenizer->encode(text, false);
}

Status parse(const Model& model, std::string_view text, Line* out) {
  BANTAM_TRY_ASSIGN(const JsonValue json, parse_request(text));
  if (json.find("ids") != nullptr) {
    BANTAM_TRY_ASSIGN(out->ids, ids_field(json, "ids"));
  } else if (json.find("text") != nullptr) {
    BANTAM_TRY_ASSIGN(out->ids, encode_field(model, json, "text"));
  } else if (json.find("prompt") != nullptr) {
    BANTAM_TRY_ASSIGN(out->ids, encode_field(model, json, "prompt"));
    out->scored_from = std::max<size_t>(out->ids.size(), 1);
    BANTAM_TRY_ASSIGN(const std::vector<int32_t> rest, encode_field(model, json, "completion"));
    out->ids.insert(out->ids.end(), rest.begin(), rest.end());
  } else {
    return bad_input("expected \"ids\", \"text\", or \"prompt\" and \"completion\"");
  }
  if (out->ids.empty()) return bad_input("expected at least one token");
  const ModelInfo& info = model.engine.info();
  BANTAM_TRY(check_ids(out->ids, info.vocab_rows));
  if (static_cast<int64_t>(out->ids.size()) > info.context_tok) {
    return bad_input("{} tokens do not fit a context of {} (--ctx)", out->ids.size(), info.context_tok);
  }
  return {};
}

// Row `row` of the step's logits belongs to the id at `next`.
void score_row(EngineImpl& engine, Line* line, int64_t next, int64_t row_index) {
  const auto rows = static_cast<size_t>(engine.info().vocab_rows);
  const std::span<const float> row(engine.workspace_logits() + static_cast<size_t>(row_index) * rows, rows);
  const auto at = static_cast<size_t>(next);
  const auto id = static_cast<size_t>(line->ids[at]);
  line->logprobs[at] = static_cast<double>(row[id]) - engine::log_sum_exp(row);
  line->best[at] = static_cast<size_t>(std::max_element(row.begin(), row.end()) - row.begin()) == id;
}

// Scores lines together. REQUIRES: their ids together fit one step, or there is only one line.
Status score_together(EngineImpl& engine, std::span<Line* const> lines) {
  std::vector<std::unique_ptr<SessionImpl>> sessions;
  for (Line* line : lines) {
    sessions.push_back(std::make_unique<SessionImpl>(&engine));
    line->logprobs.assign(line->ids.size(), 0.0);
    line->best.assign(line->ids.size(), 0);
  }
  struct Row {
    Line* line;
    int64_t next;
  };
  for (;;) {
    if (interrupted()) return interrupted_status();
    std::vector<EngineImpl::Part> parts;
    std::vector<Row> rows;
    for (size_t i = 0; i < lines.size(); ++i) {
      Line& line = *lines[i];
      if (line.done >= line.to_feed()) continue;
      // A prompt's rows are not wanted, so it goes in large chunks and without the head.
      const int64_t unscored = static_cast<int64_t>(line.scored_from) - 1 - line.done;
      const bool silent = unscored > 0;
      const int64_t n = silent ? std::min(engine.options().chunk_tok, unscored)
                               : std::min(engine.options().batch_rows, line.to_feed() - line.done);
      parts.push_back(
          {sessions[i].get(),
           std::span<const int32_t>(line.ids).subspan(static_cast<size_t>(line.done), static_cast<size_t>(n)),
           silent ? EngineImpl::Rows::kNone : EngineImpl::Rows::kAll});
      for (int64_t r = 0; r < n && !silent; ++r) rows.push_back({&line, line.done + r + 1});
      line.done += n;
    }
    if (parts.empty()) return {};
    BANTAM_TRY(engine.run(parts));
    engine.pool().parallel(static_cast<int64_t>(rows.size()), [&](int64_t i, int) {
      const Row& row = rows[static_cast<size_t>(i)];
      score_row(engine, row.line, row.next, i);
    });
  }
}

struct Totals {
  double nll = 0;
  int64_t tokens = 0, lines = 0, bad = 0;
};

void reply(const Line& line, Totals* totals) {
  if (!line.status.ok()) {
    ++totals->bad;
    print_line_error(line.status, line.number);
    return;
  }
  std::string list;
  double nll = 0;
  bool greedy = true;
  int64_t scored = 0;
  for (size_t i = 0; i < line.ids.size(); ++i) {
    if (i > 0) list += ',';
    if (i < line.scored_from) {  // the prompt, and the first token, before which there is nothing
      list += "null";
      continue;
    }
    list += json_number(line.logprobs[i]);
    nll -= line.logprobs[i];
    greedy = greedy && line.best[i] != 0;
    ++scored;
  }
  totals->nll += nll;
  totals->tokens += scored;
  ++totals->lines;
  fmt::print("{{\"logprobs\":[{}],\"nll\":{},\"tokens\":{},\"greedy\":{}}}\n", list, json_number(nll), scored, greedy);
}

// The next lines that share a step: those already there, until a step is full. One at least, unless the input ends.
class Batcher {
 public:
  Batcher(const Model& model, LineReader reader, int64_t max_tok, int64_t max_lines)
      : model_(model), reader_(std::move(reader)), max_tok_(max_tok), max_lines_(max_lines) {}

  std::deque<Line> next() {
    std::deque<Line> batch;
    int64_t tok = 0;
    while (static_cast<int64_t>(batch.size()) < max_lines_ && (batch.empty() || have_spare_ || reader_.ready())) {
      if (!have_spare_ && !read(&spare_)) break;
      have_spare_ = true;
      const auto n = static_cast<int64_t>(spare_.ids.size());
      if (!batch.empty() && tok + n > max_tok_) break;
      tok += n;
      batch.push_back(std::move(spare_));
      have_spare_ = false;
    }
    return batch;
  }
  int64_t lines() const { return reader_.number(); }

 private:
  bool read(Line* line) {
    if (interrupted() || !reader_.next(&text_)) return false;
    *line = Line{};
    line->number = reader_.number();
    line->status = parse(model_, text_, line);
    if (!line->status.ok()) line->ids.clear();
    return true;
  }

  const Model& model_;
  LineReader reader_;
  int64_t max_tok_, max_lines_;
  std::string text_;
  Line spare_;
  bool have_spare_ = false;
};

Result<Model> load(const Options& options) {
  BANTAM_TRY_ASSIGN(const ModelSource source, find_model(options.compute.model));
  ProgressBar bar(options.output, "loading", "bytes");
  BANTAM_TRY_ASSIGN(Engine engine,
                    Engine::load(source, engine_options(options.compute), [&](int64_t done, int64_t total) {
                      bar.update(done, total);
                      return !interrupted();
                    }));
  bar.clear();
  tell_cache(options.output, engine.impl());
  return Model{std::move(engine), open_tokenizer(options.compute.model)};
}

Status score(Options& options) {
  if (options.words.count() == 0) return usage_error("score: expected FILE.jsonl, or - for stdin");
  options.compute.model = options.words.model();
  BANTAM_TRY_ASSIGN(LineReader reader, LineReader::open(options.words.last()));
  BANTAM_TRY_ASSIGN(Model model, load(options));
  EngineImpl& engine = model.engine.impl();
  const int64_t max_tok = std::min(engine.options().batch_rows, engine.options().chunk_tok);
  Batcher batcher(model, std::move(reader), max_tok, std::min<int64_t>(max_tok, engine.kv().free_pages()));
  Totals totals;
  for (std::deque<Line> batch = batcher.next(); !batch.empty(); batch = batcher.next()) {
    std::vector<Line*> good;
    for (Line& line : batch) {
      if (line.status.ok()) good.push_back(&line);
    }
    BANTAM_TRY(score_together(engine, good));
    for (const Line& line : batch) reply(line, &totals);
    if (std::fflush(stdout) != 0) return failed("cannot write to stdout");
  }
  if (totals.tokens > 0) {
    const double mean = totals.nll / static_cast<double>(totals.tokens);
    note(options.output, fmt::format("{} lines, {} tokens scored, mean nll {:.4f}, perplexity {:.4f}",
                                     with_commas(totals.lines), with_commas(totals.tokens), mean, std::exp(mean)));
  }
  return lines_status(totals.bad, batcher.lines());
}

}  // namespace

void add_score(CLI::App& app, Dispatch& dispatch) {
  auto* command = app.add_subcommand("score", "log-probabilities and perplexity of texts");
  auto& options = declare<Options>(*command, dispatch, score);
  add_model_words(
      *command, &options.words, "FILE.jsonl",
      "(or -) lines {\"ids\"}, {\"text\"} or {\"prompt\", \"completion\"}; only the completion is scored then");
  add_compute_options(*command, &options.compute);
  add_output_options(*command, &options.output, false);
  command->footer(
      "Examples:\n"
      "  echo '{\"text\": \"Hello world\"}' | bantam score -\n"
      "  bantam score ./Qwen3-4B texts.jsonl --numerics exact --kv f32 > scores.jsonl");
}

}  // namespace bantam::cli
