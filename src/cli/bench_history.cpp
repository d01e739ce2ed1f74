// See bench_history.h.
#include "cli/bench_history.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "base/mmap.h"

namespace bantam::cli {
namespace {

constexpr const char* kColumns[] = {
    "date",  "commit",   "cpu",   "isa",   "threads",      "read_gbs",  "fma_gflops", "int8_gops", "model",
    "type",  "numerics", "kv",    "work",  "tokens",       "context",   "batch",      "tok_s",     "limit_share",
    "bound", "engine",   "flags", "ratio", "ping_pong_ns", "placement", "rss_mb"};

std::string header() {
  return fmt::format("{}", fmt::join(kColumns, ","));
}

// A CSV cell: quoted where it holds what separates cells.
std::string cell(std::string_view text) {
  if (text.find_first_of("\",\n\r") == std::string_view::npos) return std::string(text);
  std::string out = "\"";
  for (char c : text) {
    if (c == '"') out += '"';
    out += c == '\n' || c == '\r' ? ' ' : c;
  }
  return out + '"';
}

// The cells of one line; quoted cells may hold commas and doubled quotes, no line ends.
std::vector<std::string> split_line(std::string_view line) {
  std::vector<std::string> out(1);
  bool quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    if (quoted && line[i] == '"' && i + 1 < line.size() && line[i + 1] == '"') {
      out.back() += line[++i];
    } else if (line[i] == '"') {
      quoted = !quoted;
    } else if (line[i] == ',' && !quoted) {
      out.emplace_back();
    } else if (line[i] != '\r') {
      out.back() += line[i];
    }
  }
  return out;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    out.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

std::string today() {
  char date[16];
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  std::strftime(date, sizeof date, "%Y-%m-%d", gmtime_r(&now, &parts));
  return date;
}

Status check_header(const std::string& path) {
  BANTAM_TRY_ASSIGN(const std::string text, read_file(path));
  const std::string_view first = std::string_view(text).substr(0, text.find('\n'));
  if (text.empty() || first == header()) return {};
  return failed("{}: expected the columns {}; got {}", path, header(), first);
}

template <class T>
bool number_of(const std::string& text, T* out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return error == std::errc() && end == text.data() + text.size();
}

std::string key(const BenchWork& work, std::string_view engine, std::string_view flags) {
  // A decode row is the same work whatever number of steps it was measured with.
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}", work.work, work.work == "decode" ? 0 : work.tokens, work.context,
                     work.batch, engine, flags);
}

constexpr const char* kOwnEngine = "bantam";

struct Line {
  std::vector<std::string> cells;
  BenchWork work;
  double figure = 0;  // what is compared: limit_share of our own lines, ratio of a peer's

  const std::string& at(std::string_view name) const {
    return cells[static_cast<size_t>(std::find(std::begin(kColumns), std::end(kColumns), name) - kColumns)];
  }
  bool own() const { return at("engine") == kOwnEngine; }
};

// The file may be anybody's: sizes that could not be multiplied are refused here.
bool sensible(const BenchWork& work) {
  constexpr int64_t kMostTok = int64_t{1} << 24;
  return work.tokens >= 1 && work.tokens <= kMostTok && work.context >= 0 && work.context <= kMostTok &&
         work.batch >= 1 && work.batch <= 1024;
}

Result<std::vector<Line>> read_lines(const std::string& path) {
  BANTAM_TRY_ASSIGN(const std::string text, read_file(path));
  const std::vector<std::string_view> lines = lines_of(text);
  if (lines.empty() || split_line(lines[0]) != split_line(header())) {
    return bad_input("{}: line 1: expected the columns {}; got {}", path, header(), lines.empty() ? "" : lines[0]);
  }
  std::vector<Line> out;
  for (size_t i = 1; i < lines.size(); ++i) {
    Line line{.cells = split_line(lines[i]), .work = {}, .figure = 0};
    if (line.cells.size() != std::size(kColumns)) {
      return bad_input("{}: line {}: expected {} cells, got {}", path, i + 1, std::size(kColumns), line.cells.size());
    }
    line.work.work = line.at("work");
    if (!number_of(line.at("tokens"), &line.work.tokens) || !number_of(line.at("context"), &line.work.context) ||
        !number_of(line.at("batch"), &line.work.batch) ||
        !number_of(line.at(line.own() ? "limit_share" : "ratio"), &line.figure) || !sensible(line.work)) {
      return bad_input("{}: line {}: expected whole numbers of tokens, context and batch, and a figure; got {:?}", path,
                       i + 1, lines[i]);
    }
    out.push_back(std::move(line));
  }
  return out;
}

}  // namespace

Status append_csv(const std::string& path, const std::string& commit, const MachineLimits& machine,
                  const BenchModel& model, const std::vector<BenchRow>& rows) {
  const bool fresh = !file_exists(path);
  if (!fresh) BANTAM_TRY(check_header(path));
  std::FILE* file = std::fopen(path.c_str(), "a");
  if (file == nullptr) return failed("cannot write {}: {}", path, std::strerror(errno));
  if (fresh) fmt::print(file, "{}\n", header());
  const auto line = [&](const BenchRow& row, std::string_view engine, std::string_view version, std::string_view flags,
                        const Speed& speed, const std::string& ratio) {
    const std::string rss =
        speed.peak_rss_bytes > 0 ? fmt::format("{:.0f}", static_cast<double>(speed.peak_rss_bytes) / 1e6) : "";
    fmt::print(file,
               "{},{},{},{},{},{:.1f},{:.1f},{:.1f},{},{},{},{},{},{},{},{},{:.3f},{:.3f},{},{},{},{},{:.0f},{},{}\n",
               today(), cell(version), cell(machine.cpu), machine.isa, machine.threads, row.rates.read_gbs,
               row.rates.fma_gflops, row.rates.int8_gops, cell(model.name), model.type, model.numerics, model.kv,
               row.work.work, row.work.tokens, row.work.context, row.work.batch, speed.tok_s, speed.limit_share,
               row.bound, cell(engine), cell(flags), ratio, row.rates.ping_pong_ns, row.rates.placement, rss);
  };
  for (const BenchRow& row : rows) {
    line(row, kOwnEngine, commit, "", row.own, "");
    for (const PeerSpeed& peer : row.peers) {
      line(row, peer.engine, peer.commit, peer.flags, peer.speed, fmt::format("{:.3f}", peer.ratio));
    }
  }
  if (std::fclose(file) != 0) return failed("cannot write {}: {}", path, std::strerror(errno));
  return {};
}

Result<BenchHistory> BenchHistory::read(const std::string& path, const MachineLimits& machine,
                                        const BenchModel& model) {
  BANTAM_TRY_ASSIGN(const std::vector<Line> lines, read_lines(path));
  const std::pair<std::string_view, std::string> ours[] = {
      {"cpu", machine.cpu},  {"isa", machine.isa}, {"threads", std::to_string(machine.threads)},
      {"model", model.name}, {"type", model.type}, {"numerics", model.numerics},
      {"kv", model.kv}};
  BenchHistory out;
  for (const Line& line : lines) {
    if (std::any_of(std::begin(ours), std::end(ours), [&](const auto& c) { return line.at(c.first) != c.second; })) {
      continue;
    }
    const std::string k = key(line.work, line.at("engine"), line.at("flags"));
    if (line.own() && !out.figures_.contains(k)) out.works_.push_back(line.work);
    out.figures_[k] = line.figure;
  }
  return out;
}

Result<std::vector<BenchWork>> BenchHistory::works_in(const std::string& path) {
  BANTAM_TRY_ASSIGN(const std::vector<Line> lines, read_lines(path));
  std::vector<BenchWork> out;
  for (const Line& line : lines) {
    if (line.own()) out.push_back(line.work);
  }
  return out;
}

const double* BenchHistory::limit_share(const BenchWork& work) const {
  return ratio(work, kOwnEngine, "");
}

const double* BenchHistory::ratio(const BenchWork& work, const std::string& engine, const std::string& flags) const {
  const auto found = figures_.find(key(work, engine, flags));
  return found == figures_.end() ? nullptr : &found->second;
}

std::vector<CheckLine> compare(const BenchHistory& history, const std::vector<BenchRow>& rows, double tolerance) {
  std::vector<CheckLine> out;
  const auto add = [&](std::string what, double now, const double* committed) {
    if (committed == nullptr) return;
    out.push_back({std::move(what), now, *committed, now >= *committed * (1 - tolerance)});
  };
  for (const BenchRow& row : rows) {
    add(row.work.text() + ": share of the limit", row.own.limit_share, history.limit_share(row.work));
    for (const PeerSpeed& peer : row.peers) {
      add(fmt::format("{}: ratio to {}{}", row.work.text(), peer.engine, peer.flags.empty() ? "" : " " + peer.flags),
          peer.ratio, history.ratio(row.work, peer.engine, peer.flags));
    }
  }
  return out;
}

void print_check(const std::vector<CheckLine>& lines) {
  for (const CheckLine& line : lines) {
    fmt::print("{:>6}  {}: {:.3f} now, {:.3f} committed ({:+.0f} %)\n", line.ok ? "ok" : "WORSE", line.what, line.now,
               line.committed, 100 * (line.now / line.committed - 1));
  }
}

Status verdict(const std::vector<CheckLine>& lines, const std::string& path, double tolerance) {
  if (lines.empty()) {
    return failed("{}: has no rows of this CPU, instruction set, thread count and model for what was measured", path);
  }
  const auto worse = std::count_if(lines.begin(), lines.end(), [](const CheckLine& line) { return !line.ok; });
  if (worse == 0) return {};
  return failed("{} of {} figures are more than {:.0f} % below those of {}", worse, lines.size(), 100 * tolerance,
                path);
}

}  // namespace bantam::cli
