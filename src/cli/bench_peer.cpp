// See bench_peer.h.
#include "cli/bench_peer.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>

#include "base/json.h"
#include "cli/child_process.h"

namespace bantam::cli {
namespace {

constexpr double kHelpSeconds = 20;
constexpr double kFastest = 1e7;       // tokens per second beyond which a figure is taken for nonsense
constexpr int64_t kBatchedPrompt = 4;  // tokens before the generated ones where the work has no context

std::string shorten(std::string_view text) {
  constexpr size_t kShown = 300;
  std::string out(text.substr(0, kShown));
  std::replace(out.begin(), out.end(), '\n', '|');
  return text.size() > kShown ? out + "..." : out;
}

void add(std::vector<std::string>* argv, std::initializer_list<std::string> words) {
  argv->insert(argv->end(), words);
}

Result<int64_t> integer_field(const JsonValue& row, std::string_view key) {
  const JsonValue* value = row.find(key);
  if (value == nullptr || !value->is_number()) return failed("expected a number {:?}", key);
  return value->as_int64();
}

// A number of any kind; NaN for everything else.
double number_field(const JsonValue& row, std::string_view key) {
  const JsonValue* value = row.find(key);
  if (value == nullptr || !value->is_number()) return std::nan("");
  const Result<double> number = value->as_double();
  return number.ok() ? *number : std::nan("");
}

bool plausible(double tok_s) {
  return std::isfinite(tok_s) && tok_s > 0 && tok_s < kFastest;
}

// The array in what a program printed: from the first line that begins with '[' on (some print remarks before it).
std::string_view json_part(std::string_view out) {
  for (size_t at = 0; at < out.size();
       at = out.find('\n', at) == std::string_view::npos ? out.size() : out.find('\n', at) + 1) {
    if (out[at] == '[') return out.substr(at);
  }
  return {};
}

// The cells of "| 4 | 16 | 8 | ..." as numbers; empty when one is none.
std::vector<double> table_cells(std::string_view line) {
  std::vector<double> out;
  while (line.starts_with('|')) {
    line.remove_prefix(1);
    std::string_view text = line.substr(0, line.find('|'));
    line.remove_prefix(text.size());
    if (line.empty()) break;  // after the last bar
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || std::any_of(end, text.data() + text.size(), [](char c) { return c != ' '; })) return {};
    out.push_back(value);
  }
  return out;
}

}  // namespace

Result<std::vector<std::string>> split_words(const std::string& text) {
  std::vector<std::string> out;
  bool inside = false;
  char quote = 0;
  for (char c : text) {
    if (quote != 0) {
      if (c == quote) {
        quote = 0;
      } else {
        out.back() += c;
      }
      continue;
    }
    if (c == ' ' || c == '\t' || c == '\n') {
      inside = false;
      continue;
    }
    if (!inside) out.emplace_back();
    inside = true;
    if (c == '\'' || c == '"') {
      quote = c;
    } else {
      out.back() += c;
    }
  }
  if (quote != 0) return usage_error("expected a closing {} in {:?}", quote, text);
  return out;
}

Result<PeerTurn> read_llama_bench(const std::string& out, int64_t n_prompt, int64_t n_gen, int64_t n_depth) {
  Result<JsonValue> json = parse_json(json_part(out), "output");
  if (!json.ok()) return failed("expected llama-bench's JSON, got {:?}", shorten(out));
  if (!json->is_array() || json->items().size() != 1) {
    return failed("expected one test in llama-bench's JSON, got {}", shorten(out));
  }
  const JsonValue& row = json->items()[0];
  BANTAM_TRY_ASSIGN(const int64_t prompt, integer_field(row, "n_prompt"));
  BANTAM_TRY_ASSIGN(const int64_t gen, integer_field(row, "n_gen"));
  int64_t depth = 0;  // forks without depths do not name it
  if (row.find("n_depth") != nullptr) {
    BANTAM_TRY_ASSIGN(depth, integer_field(row, "n_depth"));
  }
  if (prompt != n_prompt || gen != n_gen || depth != n_depth) {
    return failed("expected a test with n_prompt {}, n_gen {}, n_depth {}; got {}, {}, {}", n_prompt, n_gen, n_depth,
                  prompt, gen, depth);
  }
  PeerTurn turn{.tok_s = number_field(row, "avg_ts")};
  if (!plausible(turn.tok_s)) return failed("expected a plausible avg_ts, got {}", shorten(to_json(row)));
  const JsonValue* commit = row.find("build_commit");
  if (commit != nullptr && commit->is_string()) turn.commit = commit->as_string();
  return turn;
}

Result<double> read_batched_bench(const std::string& out, int64_t batch) {
  std::string_view rest = out;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    double streams = 0, tok_s = 0;
    if (line.starts_with('{')) {
      const Result<JsonValue> json = parse_json(line, "line");
      if (!json.ok()) continue;
      streams = number_field(*json, "pl");
      tok_s = number_field(*json, "speed_tg");
    } else if (const std::vector<double> cells = table_cells(line); cells.size() == 10) {
      // PP, TG, B, N_KV, T_PP, S_PP, T_TG, S_TG, T, S
      streams = cells[2];
      tok_s = cells[7];
    }
    if (streams == static_cast<double>(batch) && plausible(tok_s)) return tok_s;
  }
  return failed("expected llama-batched-bench's line for {} sequences, got {:?}", batch, shorten(out));
}

Result<Peer> Peer::open(const PeerOptions& options, const std::string& model, int threads) {
  Peer peer;
  peer.options_ = options;
  peer.model_ = model;
  peer.threads_ = threads;
  if (peer.options_.name.empty()) peer.options_.name = options.path.substr(options.path.find_last_of('/') + 1);
  if (peer.options_.variants.empty()) peer.options_.variants = {""};
  for (const std::string& variant : peer.options_.variants) BANTAM_TRY(split_words(variant).status());
  BANTAM_TRY(split_words(options.batched_args).status());
  BANTAM_TRY_ASSIGN(const ChildReport report, run_child({options.path, "--help"}, "", kHelpSeconds));
  const std::string help = report.out + report.err;
  if (help.find("--n-prompt") == std::string::npos || help.find("--n-gen") == std::string::npos) {
    return failed("{}: expected llama-bench, whose --help names --n-prompt and --n-gen; {}", options.path,
                  quote(report));
  }
  peer.has_depth_ = help.find("--n-depth") != std::string::npos;
  peer.has_gp_ = help.find("-gp ") != std::string::npos;
  peer.has_no_warmup_ = help.find("--no-warmup") != std::string::npos;
  return peer;
}

std::vector<std::string> Peer::variants(const BenchWork& work) const {
  return work.batch > 1 ? std::vector<std::string>{options_.batched_args} : options_.variants;
}

std::string Peer::obstacle(const BenchWork& work, double limit_s) const {
  if (work.batch > 1 && options_.batched_path.empty()) return "batches need --peer-batched";
  if (work.batch == 1 && work.context > 0 && !has_depth_ && (work.work == "prefill" || !has_gp_)) {
    return "it cannot measure at a depth";
  }
  const double seconds = static_cast<double>(work.context * work.batch) / fill_tok_s_;
  if (seconds > limit_s) return fmt::format("a turn would take about {:.0f} s, there are {:.0f}", seconds, limit_s);
  return "";
}

// Without the variant's own arguments, which come last and so win.
std::vector<std::string> Peer::command(const BenchWork& work) const {
  std::vector<std::string> argv = {options_.path, "-m", model_, "-t",  std::to_string(threads_),
                                   "-r",          "1",  "-o",   "json"};
  const std::string tokens = std::to_string(work.tokens), context = std::to_string(work.context);
  if (work.work == "start") {
    add(&argv, {"-p", "1", "-n", "0"});
    if (has_no_warmup_) {
      add(&argv, {"--no-warmup"});
    } else {
      add(&argv, {"-w", "0"});
    }
  } else if (work.work == "decode" && work.context > 0 && !has_depth_) {
    add(&argv, {"-p", "0", "-n", "0", "-gp", context + "," + tokens});
  } else {
    const bool prefill = work.work == "prefill";
    add(&argv, {"-p", prefill ? tokens : "0", "-n", prefill ? "0" : tokens});
    if (work.context > 0) add(&argv, {"-d", context});
  }
  return argv;
}

Result<PeerTurn> Peer::turn(const BenchWork& work, const std::string& variant, double limit_s) {
  if (work.batch > 1) return batched_turn(work, limit_s);
  std::vector<std::string> argv = command(work);
  BANTAM_TRY_ASSIGN(const std::vector<std::string> more, split_words(variant));
  argv.insert(argv.end(), more.begin(), more.end());
  BANTAM_TRY_ASSIGN(const ChildReport report, run_child(argv, "", limit_s));
  const std::string what = fmt::format("{}: {}", fmt::join(argv, " "), work.text());
  if (report.exit_code != 0) return failed("{}: the peer failed: {}", what, quote(report));
  const bool after_prompt = work.work == "decode" && work.context > 0 && !has_depth_;
  const int64_t prompt = work.work == "decode" ? (after_prompt ? work.context : 0) : work.tokens;
  Result<PeerTurn> turn = read_llama_bench(report.out, prompt, work.work == "decode" ? work.tokens : 0,
                                           has_depth_ && work.work != "start" ? work.context : 0);
  if (!turn.ok()) return failed("{}: {}; {}", what, turn.status().message(), quote(report));
  turn->peak_rss_bytes = report.peak_rss_bytes;
  if (work.context > 0) fill_tok_s_ = 1e3 * static_cast<double>(work.context) / report.wall_ms;
  if (work.work == "start") turn->tok_s = 1e3 / report.wall_ms;
  return turn;
}

Result<PeerTurn> Peer::batched_turn(const BenchWork& work, double limit_s) const {
  const int64_t prompt = std::max(work.context, kBatchedPrompt);
  const int64_t cells = work.batch * ((prompt + work.tokens + 256) / 256 * 256);
  const std::string threads = std::to_string(threads_);
  std::vector<std::string> argv = {options_.batched_path, "-m", model_, "-t", threads, "-tb", threads};
  add(&argv, {"-c", std::to_string(cells), "-npp", std::to_string(prompt), "-ntg", std::to_string(work.tokens), "-npl",
              std::to_string(work.batch)});
  BANTAM_TRY_ASSIGN(const std::vector<std::string> more, split_words(options_.batched_args));
  argv.insert(argv.end(), more.begin(), more.end());
  BANTAM_TRY_ASSIGN(const ChildReport report, run_child(argv, "", limit_s));
  const std::string what = fmt::format("{}", fmt::join(argv, " "));
  if (report.exit_code != 0) return failed("{}: the peer failed: {}", what, quote(report));
  PeerTurn turn;
  const Result<double> tok_s = read_batched_bench(report.out + "\n" + report.err, work.batch);
  if (!tok_s.ok()) return failed("{}: {}", what, tok_s.status().message());
  turn.tok_s = tok_s.value();
  turn.peak_rss_bytes = report.peak_rss_bytes;
  return turn;
}

}  // namespace bantam::cli
