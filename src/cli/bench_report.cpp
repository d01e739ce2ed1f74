// See bench_report.h.
#include "cli/bench_report.h"

#include <algorithm>
#include <cstdio>

#include "base/check.h"
#include "base/json.h"
#include "cli/bench_history.h"
#include "cli/terminal.h"

namespace bantam::cli {

std::string BenchWork::text() const {
  if (work == "start") return "start to first token";
  std::string out = work == "prefill" ? fmt::format("prefill of {}", tokens) : "decode";
  if (context > 0 || work == "decode") out += fmt::format(" at context {}", context);
  if (batch > 1) out += fmt::format(", batch {}", batch);
  return out;
}

namespace {

// Tokens per second that the machine allows, and by what.
double limit_tok_s(const BenchModel& model, const BenchWork& work, const Rates& rates, std::string* bound) {
  const bool decode = work.work == "decode";
  // Tokens of one step and the logit rows among them; what each attends to on average.
  const auto step_tok = static_cast<double>(decode ? work.batch : work.tokens);
  const double head_rows = decode ? step_tok : 1;
  const double depth = static_cast<double>(work.context) + (decode ? 0 : static_cast<double>(work.tokens) / 2);
  const double sequences = decode ? static_cast<double>(work.batch) : 1;
  const double bytes =
      static_cast<double>(model.step_bytes) + sequences * depth * static_cast<double>(model.kv_bytes_per_tok);
  const double memory_s = bytes / (rates.read_gbs * 1e9);
  const double linear = step_tok * model.linear_flop + head_rows * model.head_flop;
  const double linear_s = linear / ((model.integer ? rates.int8_gops : rates.fma_gflops) * 1e9);
  // Probabilities are 16-bit codes over integer pages: scores cost one int8 product, values two.
  constexpr double kCodesCost = 1.5;
  const double attention = step_tok * depth * model.attention_flop;
  const double attention_s =
      model.integer_kv ? kCodesCost * attention / (rates.int8_gops * 1e9) : attention / (rates.fma_gflops * 1e9);
  const double compute_s = linear_s + attention_s;
  const bool integer = linear_s > attention_s ? model.integer : model.integer_kv;
  *bound = memory_s > compute_s ? "memory" : integer ? "int8" : "fma";
  return step_tok / std::max(memory_s, compute_s);
}

}  // namespace

void judge(const BenchModel& model, BenchRow* row) {
  const double limit = limit_tok_s(model, row->work, row->rates, &row->bound);
  row->own.tok_s = median(row->own.turns);
  row->own.limit_share = row->own.tok_s / limit;
  for (PeerSpeed& peer : row->peers) {
    BANTAM_CHECK(peer.speed.turns.size() == row->own.turns.size());
    peer.speed.tok_s = median(peer.speed.turns);
    peer.speed.limit_share = peer.speed.tok_s / limit;
    std::vector<double> ratios;
    for (size_t i = 0; i < row->own.turns.size(); ++i) ratios.push_back(row->own.turns[i] / peer.speed.turns[i]);
    peer.ratio = median(ratios);
    const auto [least, greatest] = std::minmax_element(ratios.begin(), ratios.end());
    peer.ratio_min = *least;
    peer.ratio_max = *greatest;
  }
}

void print_machine(const MachineLimits& machine) {
  fmt::print("{} · {} · {} thread{}\n{:>8} {:>12} {:>14} {:>14}\n", machine.cpu, machine.isa, machine.threads,
             machine.threads == 1 ? "" : "s", "threads", "read GB/s", "fma GFLOP/s", "int8 GOP/s");
  for (size_t i = 0; i < machine.by_threads.size(); ++i) {
    const Rates& rates = machine.by_threads[i];
    fmt::print("{:>8} {:>12.1f} {:>14.1f} {:>14.1f}\n", i + 1, rates.read_gbs, rates.fma_gflops, rates.int8_gops);
  }
  if (machine.all().ping_pong_ns > 0) {
    fmt::print("placement: {} (a cache line there and back in {:.0f} ns)\n", machine.all().placement,
               machine.all().ping_pong_ns);
  }
}

void print_row_header(bool with_peers) {
  fmt::print("{:>8} {:>7} {:>8} {:>6} {:>10} {:>22}", "work", "tokens", "context", "batch", "tokens/s",
             "share of the limit");
  if (with_peers) fmt::print("   {:>7} {:>9} {:>10}  placement", "GB/s", "int8", "ping-pong");
  fmt::print("\n");
}

void print_row(const BenchRow& row, bool with_peers) {
  const BenchWork& work = row.work;
  fmt::print("{:>8} {:>7} {:>8} {:>6} {:>10.2f} {:>12.0f} % of {:<6}", work.work, work.tokens, work.context, work.batch,
             row.own.tok_s, 100 * row.own.limit_share, row.bound);
  if (with_peers) {
    fmt::print("   {:>7.1f} {:>9.0f} {:>7.0f} ns  {}", row.rates.read_gbs, row.rates.int8_gops, row.rates.ping_pong_ns,
               row.rates.placement);
  }
  if (work.work == "start") {
    fmt::print("   {:.2f} s, {} resident", 1 / row.own.tok_s, human_bytes(row.own.peak_rss_bytes));
  }
  fmt::print("\n");
  for (const PeerSpeed& peer : row.peers) {
    fmt::print("{:>43.2f} {:>12.0f} %   {} {}{}: ratio {:.2f} [{:.2f}..{:.2f}]", peer.speed.tok_s,
               100 * peer.speed.limit_share, peer.engine, peer.commit, peer.flags.empty() ? "" : " " + peer.flags,
               peer.ratio, peer.ratio_min, peer.ratio_max);
    if (work.work == "start") {
      fmt::print(", {:.2f} s, {} resident", 1 / peer.speed.tok_s, human_bytes(peer.speed.peak_rss_bytes));
    }
    fmt::print("\n");
  }
  std::fflush(stdout);
}

namespace {

JsonValue number(double value) {
  return JsonValue::number(json_number(value));
}

JsonValue numbers(const std::vector<Rates>& rates, double Rates::*field) {
  JsonValue out = JsonValue::array();
  for (const Rates& r : rates) out.items().push_back(number(r.*field));
  return out;
}

JsonValue rates_json(const Rates& rates) {
  return JsonValue::object({{"read_gbs", number(rates.read_gbs)},
                            {"fma_gflops", number(rates.fma_gflops)},
                            {"int8_gops", number(rates.int8_gops)},
                            {"ping_pong_ns", number(rates.ping_pong_ns)},
                            {"placement", JsonValue::string(rates.placement)}});
}

JsonValue machine_json(const MachineLimits& machine) {
  JsonValue out = JsonValue::object({{"cpu", JsonValue::string(machine.cpu)},
                                     {"isa", JsonValue::string(machine.isa)},
                                     {"threads", JsonValue::number(static_cast<int64_t>(machine.threads))}});
  const JsonValue rates = rates_json(machine.all());
  for (const auto& [key, value] : rates.members()) out.set(key, value);
  out.set("by_threads", JsonValue::object({{"read_gbs", numbers(machine.by_threads, &Rates::read_gbs)},
                                           {"fma_gflops", numbers(machine.by_threads, &Rates::fma_gflops)},
                                           {"int8_gops", numbers(machine.by_threads, &Rates::int8_gops)}}));
  return out;
}

void set_speed(JsonValue* out, const Speed& speed) {
  out->set("tok_s", number(speed.tok_s));
  out->set("limit_share", number(speed.limit_share));
  JsonValue turns = JsonValue::array();
  for (double t : speed.turns) turns.items().push_back(number(t));
  out->set("turns_tok_s", std::move(turns));
  if (speed.peak_rss_bytes > 0) out->set("peak_rss_bytes", JsonValue::number(speed.peak_rss_bytes));
}

JsonValue row_json(const BenchRow& row) {
  JsonValue out = JsonValue::object({{"work", JsonValue::string(row.work.work)},
                                     {"tokens", JsonValue::number(row.work.tokens)},
                                     {"context", JsonValue::number(row.work.context)},
                                     {"batch", JsonValue::number(row.work.batch)}});
  set_speed(&out, row.own);
  out.set("bound", JsonValue::string(row.bound));
  out.set("probe", rates_json(row.rates));
  JsonValue peers = JsonValue::array();
  for (const PeerSpeed& peer : row.peers) {
    JsonValue p = JsonValue::object({{"engine", JsonValue::string(peer.engine)},
                                     {"commit", JsonValue::string(peer.commit)},
                                     {"flags", JsonValue::string(peer.flags)},
                                     {"ratio", number(peer.ratio)},
                                     {"ratio_min", number(peer.ratio_min)},
                                     {"ratio_max", number(peer.ratio_max)}});
    set_speed(&p, peer.speed);
    peers.items().push_back(std::move(p));
  }
  if (!row.peers.empty()) out.set("peers", std::move(peers));
  return out;
}

}  // namespace

std::string report_json(const MachineLimits& machine, const BenchModel* model, const std::vector<BenchRow>& rows,
                        const std::vector<std::string>& skipped, const std::vector<CheckLine>& check) {
  JsonValue out = JsonValue::object({{"machine", machine_json(machine)}});
  if (model != nullptr) {
    out.set("model", JsonValue::object({{"name", JsonValue::string(model->name)},
                                        {"type", JsonValue::string(model->type)},
                                        {"bytes", JsonValue::number(model->bytes)}}));
  }
  JsonValue list = JsonValue::array();
  for (const BenchRow& row : rows) {
    // "rows" is a contract: prefill and decode only.
    if (row.work.work == "start") {
      out.set("start", row_json(row));
    } else {
      list.items().push_back(row_json(row));
    }
  }
  out.set("rows", std::move(list));
  if (!skipped.empty()) {
    JsonValue reasons = JsonValue::array();
    for (const std::string& reason : skipped) reasons.items().push_back(JsonValue::string(reason));
    out.set("skipped", std::move(reasons));
  }
  if (!check.empty()) {
    JsonValue lines = JsonValue::array();
    for (const CheckLine& line : check) {
      lines.items().push_back(JsonValue::object({{"what", JsonValue::string(line.what)},
                                                 {"now", number(line.now)},
                                                 {"committed", number(line.committed)},
                                                 {"ok", JsonValue::boolean(line.ok)}}));
    }
    out.set("check", std::move(lines));
  }
  return to_json(out);
}

}  // namespace bantam::cli
