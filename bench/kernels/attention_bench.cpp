// Speed of ops::attention at depth beside the machine's limits, measured in the same run: GB/s of pages for decode
// (few tokens), GFLOP/s for prefill. Pages hold generated rows, in as many layers as it takes to leave the caches.
// One CSV row per measurement on stdout; heads are Qwen3-4B's unless told.
//
// usage: bench_attention [--kv f16,q8_0,..] [--tables avx512,avx2] [--modes fast,exact] [--depth 4096,16384,65536]
//                        [--tokens 1,512] [--streams 1] [--heads 32,8,128] [--threads N] [--mib 1024] [--ms 500]
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/cpu_features.h"
#include "base/rng.h"
#include "kernels/machine_probe.h"
#include "ops/ops.h"
#include "tensor/storage.h"

namespace bantam {
namespace {

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    if (end > begin) parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

struct Options {
  std::map<std::string, std::string> values = {
      {"kv", "f16,q8_0,q4_0"}, {"tables", ""},        {"modes", "fast"}, {"depth", "4096,16384"}, {"tokens", "1,512"},
      {"streams", "1"},        {"heads", "32,8,128"}, {"threads", "0"},  {"mib", "1024"},         {"ms", "500"}};
  std::vector<int64_t> numbers(const std::string& key) const {
    std::vector<int64_t> out;
    for (const std::string& text : split(values.at(key))) out.push_back(std::atoll(text.c_str()));
    return out;
  }
  int64_t number(const std::string& key) const { return numbers(key).at(0); }
};

struct Limits {
  double read_gbs = 0;
  std::map<std::string, double> fma_gflops;  // by table
};

// `streams` sequences of `depth` tokens that each get `tokens` more, in `layers` layers of generated pages.
struct Case {
  DType dtype;
  ops::HeadShape heads;
  int64_t depth, tokens, streams;

  int64_t pages() const { return (depth + tokens + kernels::kPageTok - 1) / kernels::kPageTok; }
  kernels::KvLayout layout(int64_t layers) const { return {dtype, layers, heads.kv_heads, heads.head_dim}; }
  int64_t layer_bytes() const { return streams * pages() * layout(1).page_bytes(); }
  // Query-key and value products that the causal mask leaves, 2 FLOP each.
  double flop() const {
    const double seen = static_cast<double>(depth) + 0.5 * static_cast<double>(tokens + 1);
    return 4.0 * static_cast<double>(streams * tokens * heads.q_heads * heads.head_dim) * seen;
  }
  // Pages read at least once.
  double bytes() const {
    return static_cast<double>(streams * (depth + tokens)) * static_cast<double>(layout(1).token_bytes());
  }
};

struct Memory {
  Storage pages, scratch, qkv, out;
  std::vector<int32_t> table;
  std::vector<kernels::Segment> segments;
  int64_t layers = 1, scratch_bytes = 0;
};

Result<Memory> make_memory(const Case& c, int64_t bytes_wanted, ThreadPool& pool) {
  Memory m;
  m.layers = std::max<int64_t>(1, bytes_wanted / c.layer_bytes());
  const int64_t rows = c.streams * c.tokens, width = (c.heads.q_heads + 2 * c.heads.kv_heads) * c.heads.head_dim;
  m.scratch_bytes = ops::scratch_bytes(rows, c.heads.head_dim, 1, c.heads, c.depth + c.tokens, pool.threads());
  BANTAM_TRY_ASSIGN(m.pages, Storage::allocate(m.layers * c.layer_bytes()));
  BANTAM_TRY_ASSIGN(m.scratch, Storage::allocate(m.scratch_bytes));
  BANTAM_TRY_ASSIGN(m.qkv, Storage::allocate(rows * width * 4));
  BANTAM_TRY_ASSIGN(m.out, Storage::allocate(rows * c.heads.q_heads * c.heads.head_dim * 4));
  Philox rng(2);
  for (int64_t i = 0; i < rows * width; ++i) reinterpret_cast<float*>(m.qkv.data())[i] = 2 * rng.uniform() - 1;
  for (int64_t i = 0; i < c.streams * c.pages(); ++i) m.table.push_back(static_cast<int32_t>(i));
  for (int64_t s = 0; s < c.streams; ++s) {
    m.segments.push_back({static_cast<int32_t>(s * c.tokens), static_cast<int32_t>(c.tokens), -1,
                          static_cast<int32_t>(c.depth), static_cast<int32_t>(s * c.pages())});
  }
  return m;
}

// Milliseconds per call over one layer, the median of those that together last about `ms`.
double time_case(const Case& c, ops::Context ctx, Memory& m, double ms) {
  ctx.scratch = m.scratch.data();
  ctx.scratch_bytes = m.scratch_bytes;
  const kernels::KvView kv{c.layout(m.layers), m.pages.data(), c.streams * c.pages(), m.table};
  const int64_t rows = c.streams * c.tokens, width = (c.heads.q_heads + 2 * c.heads.kv_heads) * c.heads.head_dim;
  const TensorView qkv{m.qkv.data(), DType::kF32, Shape{rows, width}};
  const TensorView out{m.out.data(), DType::kF32, Shape{rows, c.heads.q_heads * c.heads.head_dim}};
  ops::kv_fill(ctx, kv, m.table, 1);
  std::vector<double> times;
  for (const Stopwatch total; times.size() < 3 || total.elapsed_ms() < ms;) {
    const Stopwatch watch;
    ops::attention(ctx, qkv, c.heads, kv, static_cast<int64_t>(times.size()) % m.layers, m.segments,
                   1.0f / std::sqrt(static_cast<float>(c.heads.head_dim)), out);
    times.push_back(watch.elapsed_ms());
  }
  std::nth_element(times.begin(), times.begin() + static_cast<int64_t>(times.size() / 2), times.end());
  return times[times.size() / 2];
}

Status bench_case(const Options& o, const Case& c, const Limits& limits, ThreadPool& pool) {
  BANTAM_TRY_ASSIGN(Memory memory, make_memory(c, c.tokens > 16 ? 1 : o.number("mib") << 20, pool));
  for (const auto& [table, fma] : limits.fma_gflops) {
    for (const std::string& mode : split(o.values.at("modes"))) {
      const auto numerics = mode == "exact" ? ops::Numerics::kExact : ops::Numerics::kFast;
      const ops::Context ctx{.table = kernels::find_table(table).value(), .pool = &pool, .numerics = numerics};
      const double ms = time_case(c, ctx, memory, static_cast<double>(o.number("ms")));
      const double gbs = c.bytes() / ms * 1e-6, gflops = c.flop() / ms * 1e-6;
      fmt::print("{},{},{},{},{},{},{:.3f},{:.1f},{:.0f},{:.0f},{:.0f}\n", name(c.dtype), table, mode, c.streams,
                 c.tokens, c.depth, ms, gbs, 100 * gbs / limits.read_gbs, gflops, 100 * gflops / fma);
      std::fflush(stdout);
    }
  }
  return {};
}

int run(const Options& o) {
  const int threads = o.number("threads") > 0 ? static_cast<int>(o.number("threads")) : cpu_features().cores;
  const std::vector<int64_t> heads = o.numbers("heads");
  ThreadPool pool(threads);
  Limits limits{.read_gbs = kernels::measure_read_gbs(pool)};
  std::vector<std::string> tables = split(o.values.at("tables"));
  if (tables.empty()) tables.emplace_back(kernels::available_tables().front()->name);
  fmt::print("# {}, {} threads, read {:.1f} GB/s\n", cpu_features().name, threads, limits.read_gbs);
  for (const std::string& t : tables) {
    if (!kernels::find_table(t).ok()) continue;
    limits.fma_gflops[t] = kernels::measure_fma_gflops(pool, t);
    fmt::print("# {}: fma {:.0f} GFLOP/s\n", t, limits.fma_gflops[t]);
  }
  fmt::print("kv,table,mode,streams,tokens,depth,ms,gb_s,percent_of_read,gflop_s,percent_of_fma\n");
  for (const std::string& kv : split(o.values.at("kv"))) {
    for (int64_t tokens : o.numbers("tokens")) {
      for (int64_t depth : o.numbers("depth")) {
        for (int64_t streams : o.numbers("streams")) {
          const auto dtype = parse_dtype(kv);
          if (!dtype || heads.size() != 3 || tokens < 1 || depth < 0 || streams < 1) {
            fmt::print(stderr, "bench_attention: expected a KV type, three head numbers and positive sizes\n");
            return 2;
          }
          const Case c{*dtype, {heads[0], heads[1], heads[2]}, depth, tokens, streams};
          const Status status = bench_case(o, c, limits, pool);
          if (!status.ok()) {
            fmt::print(stderr, "bench_attention: {}\n", status.message());
            return 1;
          }
        }
      }
    }
  }
  return 0;
}

}  // namespace
}  // namespace bantam

int main(int argc, char** argv) {
  bantam::Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string key = std::string(argv[i]).substr(0, 2) == "--" ? argv[i] + 2 : "";
    if (!options.values.contains(key)) {
      fmt::print(stderr, "bench_attention: unknown option {}\n", argv[i]);
      return 2;
    }
    options.values[key] = argv[i + 1];
  }
  return bantam::run(options);
}
