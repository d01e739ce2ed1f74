// Speed of the packed linear kernels through ops::linear (activation quantisation and threading included) beside the
// machine's peaks, measured in the same run. Weights are random valid blocks, in as many copies as it takes to leave
// the caches, so M = 1 reads memory. One CSV row per measurement on stdout.
//
// usage: bench_linear [--types q4_0,q8_0,..] [--tables avx512,avx2] [--modes fast,exact] [--m 1,2,4,8,64,512]
//                     [--rows 9728] [--cols 2560] [--threads N] [--mib 1024] [--ms 300]
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/cpu_features.h"
#include "base/rng.h"
#include "kernels/machine_probe.h"
#include "ops/ops.h"
#include "quant/random_blocks.h"
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
  std::map<std::string, std::string> values = {{"types", "q4_0,bq4,q8_0,q4_k,q6_k,q5_k,iq4_xs,bf16"},
                                               {"tables", ""},
                                               {"modes", "fast"},
                                               {"m", "1,2,4,8,64,512"},
                                               {"rows", "9728"},
                                               {"cols", "2560"},
                                               {"threads", "0"},
                                               {"mib", "1024"},
                                               {"ms", "300"}};
  int64_t number(const std::string& key) const { return std::atoll(values.at(key).c_str()); }
};

struct Weights {
  Storage storage;
  std::vector<ops::Linear> copies;
};

Weights make_weights(DType dtype, int64_t rows, int64_t cols, int64_t bytes_wanted) {
  const int64_t one = kernels::packed_bytes(dtype, rows, cols), count = std::max<int64_t>(1, bytes_wanted / one);
  std::vector<uint8_t> source(static_cast<size_t>(rows * row_bytes(dtype, cols)));
  quant::random_blocks(dtype, 1, 0, source.data(), rows * cols / info(dtype).block_elems, 0.02f);
  Weights w;
  Result<Storage> storage = Storage::allocate(one * count);
  if (!storage.ok()) return w;
  w.storage = std::move(storage).value();
  kernels::pack_tiles(dtype, source.data(), rows, cols, 0, kernels::tile_count(rows), w.storage.data());
  for (int64_t i = 0; i < count; ++i) {
    std::byte* data = w.storage.data() + i * one;
    if (i > 0) std::memcpy(data, w.storage.data(), static_cast<size_t>(one));
    w.copies.push_back({.weight = {.dtype = dtype, .rows = rows, .cols = cols, .data = data}});
  }
  return w;
}

// Seconds per product, the median of those that together last about `ms`: a busy machine interrupts few of them.
double time_products(ops::Context& ctx, const Weights& w, TensorView x, TensorView out, double ms) {
  std::vector<double> times;
  size_t next = 0;
  for (const Stopwatch total; times.size() < 3 || total.elapsed_ms() < ms; ++next) {
    const Stopwatch watch;
    ops::linear(ctx, w.copies[next % w.copies.size()], x, out);
    times.push_back(watch.elapsed_ms() * 1e-3);
  }
  std::nth_element(times.begin(), times.begin() + static_cast<int64_t>(times.size() / 2), times.end());
  return times[times.size() / 2];
}

struct Peaks {
  double fma, int8;
};

void bench_type(const Options& o, DType dtype, ThreadPool& pool, double read_gbs,
                const std::map<std::string, Peaks>& peaks) {
  const int64_t rows = o.number("rows"), cols = o.number("cols");
  const Weights w = make_weights(dtype, rows, cols, o.number("mib") << 20);
  const int64_t most = 2048;
  const int64_t scratch_bytes = kernels::linear_scratch_bytes(most, cols, pool.threads());
  Storage scratch = Storage::allocate(scratch_bytes).value(), x = Storage::allocate(most * cols * 4).value();
  Storage out = Storage::allocate(most * rows * 4).value();
  Philox rng(2);
  for (int64_t i = 0; i < most * cols; ++i) reinterpret_cast<float*>(x.data())[i] = rng.uniform() - 0.5f;
  for (const auto& [table_name, peak] : peaks) {
    for (const std::string& mode : split(o.values.at("modes"))) {
      ops::Context ctx{.table = kernels::find_table(table_name).value(),
                       .pool = &pool,
                       .numerics = mode == "fast" ? ops::Numerics::kFast : ops::Numerics::kExact,
                       .scratch = scratch.data(),
                       .scratch_bytes = scratch_bytes};
      const bool integers = mode == "fast" && kernels::has_fast(dtype);
      for (const std::string& m_text : split(o.values.at("m"))) {
        const int64_t m = std::min<int64_t>(most, std::atoll(m_text.c_str()));
        const double seconds =
            time_products(ctx, w, {x.data(), DType::kF32, Shape{m, cols}}, {out.data(), DType::kF32, Shape{m, rows}},
                          static_cast<double>(o.number("ms")));
        const double gbs = static_cast<double>(kernels::packed_bytes(dtype, rows, cols)) / seconds / 1e9;
        const double gops = 2.0 * static_cast<double>(m * rows * cols) / seconds / 1e9;
        const double limit = integers ? peak.int8 : peak.fma;
        fmt::print("{},{},{},{},{:.4f},{:.1f},{:.0f},{:.0f},{:.0f}\n", name(dtype), table_name, mode, m, seconds * 1e3,
                   gbs, 100 * gbs / read_gbs, gops, 100 * gops / limit);
        std::fflush(stdout);
      }
    }
  }
}

int run(const Options& o) {
  const int threads = o.number("threads") > 0 ? static_cast<int>(o.number("threads")) : cpu_features().cores;
  ThreadPool pool(threads);
  const double read_gbs = kernels::measure_read_gbs(pool);
  std::map<std::string, Peaks> peaks;
  std::vector<std::string> tables = split(o.values.at("tables"));
  if (tables.empty()) {
    for (const kernels::Table* t : kernels::available_tables()) tables.emplace_back(t->name);
    tables.pop_back();  // the generic table is a reference, not a speed
  }
  fmt::print("# {}, {} threads, read {:.1f} GB/s\n", cpu_features().name, threads, read_gbs);
  for (const std::string& t : tables) {
    if (!kernels::find_table(t).ok()) continue;
    peaks[t] = {kernels::measure_fma_gflops(pool, t), kernels::measure_int8_gops(pool, t)};
    fmt::print("# {}: fma {:.0f} GFLOP/s, int8 {:.0f} GOP/s\n", t, peaks[t].fma, peaks[t].int8);
  }
  fmt::print("type,table,mode,m,ms,gb_s,percent_of_read,gop_s,percent_of_peak\n");
  for (const std::string& t : split(o.values.at("types"))) {
    const auto dtype = parse_dtype(t);
    if (!dtype || !kernels::packable(*dtype, o.number("cols"))) {
      fmt::print(stderr, "bench_linear: cannot pack type {} at K {}\n", t, o.number("cols"));
      return 2;
    }
    bench_type(o, *dtype, pool, read_gbs, peaks);
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
      fmt::print(stderr, "bench_linear: unknown option {}\n", argv[i]);
      return 2;
    }
    options.values[key] = argv[i + 1];
  }
  return bantam::run(options);
}
