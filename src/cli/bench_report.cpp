// See bench_report.h.
#include "cli/bench_report.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "base/json.h"
#include "base/mmap.h"

namespace bantam::cli {

void judge(const MachineLimits& machine, const BenchModel& model, BenchRow* row) {
  const bool prefill = row->work == "prefill";
  // Tokens of one step and the logit rows among them; what each attends to on average.
  const double step_tok = static_cast<double>(prefill ? row->tokens : row->batch);
  const double head_rows = prefill ? 1 : step_tok;
  const double depth = static_cast<double>(row->context) + (prefill ? static_cast<double>(row->tokens) / 2 : 0);
  const double sequences = prefill ? 1 : static_cast<double>(row->batch);
  const double bytes =
      static_cast<double>(model.step_bytes) + sequences * depth * static_cast<double>(model.kv_bytes_per_tok);
  const double memory_s = bytes / (machine.read_gbs.back() * 1e9);
  const double linear = step_tok * model.linear_flop + head_rows * model.head_flop;
  const double peak = model.integer ? machine.int8_gops.back() : machine.fma_gflops.back();
  const double compute_s =
      linear / (peak * 1e9) + step_tok * depth * model.attention_flop / (machine.fma_gflops.back() * 1e9);
  const double limit = step_tok / std::max(memory_s, compute_s);
  row->bound = memory_s > compute_s ? "memory" : model.integer ? "int8" : "fma";
  row->limit_share = row->tok_s / limit;
}

void print_machine(const MachineLimits& machine) {
  fmt::print("{} · {} · {} thread{}\n{:>8} {:>12} {:>14} {:>14}\n", machine.cpu, machine.isa, machine.threads,
             machine.threads == 1 ? "" : "s", "threads", "read GB/s", "fma GFLOP/s", "int8 GOP/s");
  for (size_t i = 0; i < machine.read_gbs.size(); ++i) {
    fmt::print("{:>8} {:>12.1f} {:>14.1f} {:>14.1f}\n", i + 1, machine.read_gbs[i], machine.fma_gflops[i],
               machine.int8_gops[i]);
  }
}

void print_row_header() {
  fmt::print("{:>8} {:>7} {:>8} {:>6} {:>10} {:>22}\n", "work", "tokens", "context", "batch", "tokens/s",
             "share of the limit");
}

void print_row(const BenchRow& row) {
  fmt::print("{:>8} {:>7} {:>8} {:>6} {:>10.2f} {:>12.0f} % of {}\n", row.work, row.tokens, row.context, row.batch,
             row.tok_s, 100 * row.limit_share, row.bound);
  std::fflush(stdout);
}

namespace {

JsonValue number(double value) {
  return JsonValue::number(json_number(value));
}

JsonValue numbers(const std::vector<double>& values) {
  JsonValue out = JsonValue::array();
  for (double v : values) out.items().push_back(number(v));
  return out;
}

}  // namespace

std::string report_json(const MachineLimits& machine, const BenchModel* model, const std::vector<BenchRow>& rows) {
  JsonValue out = JsonValue::object();
  out.set("machine",
          JsonValue::object({{"cpu", JsonValue::string(machine.cpu)},
                             {"isa", JsonValue::string(machine.isa)},
                             {"threads", JsonValue::number(static_cast<int64_t>(machine.threads))},
                             {"read_gbs", number(machine.read_gbs.back())},
                             {"fma_gflops", number(machine.fma_gflops.back())},
                             {"int8_gops", number(machine.int8_gops.back())},
                             {"by_threads", JsonValue::object({{"read_gbs", numbers(machine.read_gbs)},
                                                               {"fma_gflops", numbers(machine.fma_gflops)},
                                                               {"int8_gops", numbers(machine.int8_gops)}})}}));
  if (model != nullptr) {
    out.set("model", JsonValue::object({{"name", JsonValue::string(model->name)},
                                        {"type", JsonValue::string(model->type)},
                                        {"bytes", JsonValue::number(model->bytes)}}));
  }
  JsonValue list = JsonValue::array();
  for (const BenchRow& row : rows) {
    list.items().push_back(JsonValue::object({{"work", JsonValue::string(row.work)},
                                              {"tokens", JsonValue::number(row.tokens)},
                                              {"context", JsonValue::number(row.context)},
                                              {"batch", JsonValue::number(row.batch)},
                                              {"tok_s", number(row.tok_s)},
                                              {"limit_share", number(row.limit_share)},
                                              {"bound", JsonValue::string(row.bound)}}));
  }
  out.set("rows", std::move(list));
  return to_json(out);
}

Status append_csv(const std::string& path, const std::string& commit, const MachineLimits& machine,
                  const BenchModel& model, const std::vector<BenchRow>& rows) {
  const bool fresh = !file_exists(path);
  std::FILE* file = std::fopen(path.c_str(), "a");
  if (file == nullptr) return failed("cannot write {}: {}", path, std::strerror(errno));
  if (fresh) {
    fmt::print(file,
               "date,commit,cpu,isa,threads,read_gbs,fma_gflops,int8_gops,model,type,numerics,kv,work,tokens,"
               "context,batch,tok_s,limit_share,bound\n");
  }
  char date[16];
  const std::time_t now = std::time(nullptr);
  std::strftime(date, sizeof date, "%Y-%m-%d", std::gmtime(&now));
  for (const BenchRow& row : rows) {
    fmt::print(file, "{},{},\"{}\",{},{},{:.1f},{:.1f},{:.1f},{},{},{},{},{},{},{},{},{:.3f},{:.3f},{}\n", date, commit,
               machine.cpu, machine.isa, machine.threads, machine.read_gbs.back(), machine.fma_gflops.back(),
               machine.int8_gops.back(), model.name, model.type, model.numerics, model.kv, row.work, row.tokens,
               row.context, row.batch, row.tok_s, row.limit_share, row.bound);
  }
  if (std::fclose(file) != 0) return failed("cannot write {}: {}", path, std::strerror(errno));
  return {};
}

}  // namespace bantam::cli
