// Test-only program that runs the codecs on raw files, for tools/oracles/check_quant.py and make_quant_golden.py:
//   quant_tool decode TYPE IN OUT             blocks -> little-endian float32
//   quant_tool encode TYPE IN OUT             float32 -> blocks
//   quant_tool random TYPE SEED FIRST N STDDEV OUT
//   quant_tool speed  TYPE                    MB/s of encode (float32 in), decode (float32 out), random (blocks out)
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <string>
#include <vector>

#include "base/rng.h"
#include "quant/format.h"
#include "quant/random_blocks.h"

namespace {

using bantam::DType;
using bantam::DTypeInfo;
using bantam::quant::Format;

bool read_file(const char* path, std::vector<uint8_t>* bytes) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in) return false;
  bytes->resize(static_cast<size_t>(in.tellg()));
  in.seekg(0);
  in.read(reinterpret_cast<char*>(bytes->data()), static_cast<std::streamsize>(bytes->size()));
  return in.good() || bytes->empty();
}

bool write_file(const char* path, const void* data, size_t size) {
  std::ofstream out(path, std::ios::binary);
  out.write(static_cast<const char*>(data), static_cast<std::streamsize>(size));
  return out.good();
}

int decode(const Format& f, const char* in, const char* out) {
  std::vector<uint8_t> blocks;
  const DTypeInfo& t = info(f.dtype);
  if (!read_file(in, &blocks) || blocks.size() % static_cast<size_t>(t.block_bytes) != 0) return 1;
  std::vector<float> values(blocks.size() / static_cast<size_t>(t.block_bytes) * static_cast<size_t>(t.block_elems));
  f.decode(blocks.data(), values.data(), static_cast<int64_t>(values.size()));
  return write_file(out, values.data(), values.size() * 4) ? 0 : 1;
}

int encode(const Format& f, const char* in, const char* out) {
  std::vector<uint8_t> bytes;
  const DTypeInfo& t = info(f.dtype);
  if (!read_file(in, &bytes) || bytes.size() % (4 * static_cast<size_t>(t.block_elems)) != 0) return 1;
  std::vector<float> values(bytes.size() / 4);
  std::memcpy(values.data(), bytes.data(), bytes.size());
  std::vector<uint8_t> blocks(values.size() / static_cast<size_t>(t.block_elems) * static_cast<size_t>(t.block_bytes));
  f.encode(values.data(), blocks.data(), static_cast<int64_t>(values.size()));
  return write_file(out, blocks.data(), blocks.size()) ? 0 : 1;
}

// Processor time, so that a busy machine does not make the codecs look slow.
template <class Work>
double seconds(const Work& work) {
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    const std::clock_t start = std::clock();
    work();
    best = std::min(best, static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  }
  return best;
}

int speed(const Format& f) {
  constexpr int64_t kValues = 1 << 21;
  std::vector<float> values(kValues);
  bantam::quant::random_blocks(DType::kF32, 1, 0, reinterpret_cast<uint8_t*>(values.data()), kValues, 0.02f);
  const int64_t n_blocks = kValues / info(f.dtype).block_elems;
  std::vector<uint8_t> blocks(static_cast<size_t>(row_bytes(f.dtype, kValues)));
  const double e = seconds([&] { f.encode(values.data(), blocks.data(), kValues); });
  const double d = seconds([&] { f.decode(blocks.data(), values.data(), kValues); });
  const double r = seconds([&] { bantam::quant::random_blocks(f.dtype, 1, 0, blocks.data(), n_blocks, 0.02f); });
  fmt::print("{:8} encode {:7.1f} MB/s  decode {:7.1f} MB/s  random {:7.1f} MB/s\n", name(f.dtype), kValues * 4e-6 / e,
             kValues * 4e-6 / d, static_cast<double>(blocks.size()) * 1e-6 / r);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc > 2 ? argv[1] : "";
  const auto type = argc > 2 ? bantam::parse_dtype(argv[2]) : std::nullopt;
  const Format* format = type ? bantam::quant::find_format(*type) : nullptr;
  if (format != nullptr && verb == "decode" && argc == 5) return decode(*format, argv[3], argv[4]);
  if (format != nullptr && verb == "encode" && argc == 5) return encode(*format, argv[3], argv[4]);
  if (format != nullptr && verb == "speed") return speed(*format);
  if (format != nullptr && verb == "random" && argc == 8) {
    const int64_t n = std::atoll(argv[5]);
    std::vector<uint8_t> blocks(static_cast<size_t>(n * info(*type).block_bytes));
    bantam::quant::random_blocks(*type, std::strtoull(argv[3], nullptr, 10), std::strtoull(argv[4], nullptr, 10),
                                 blocks.data(), n, std::strtof(argv[6], nullptr));
    return write_file(argv[7], blocks.data(), blocks.size()) ? 0 : 1;
  }
  fmt::print(stderr,
             "usage: quant_tool decode|encode TYPE IN OUT | random TYPE SEED FIRST N STDDEV OUT | speed TYPE\n");
  return 2;
}
