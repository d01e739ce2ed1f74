// See packed_cache.h.
#include "engine/packed_cache.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <mutex>

#include "base/check.h"
#include "base/hash.h"
#include "base/numa.h"
#include "engine/model_files.h"

namespace bantam::engine {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSuffix = ".packed", kPartSuffix = ".packed.part-";
constexpr int64_t kSampleBytes = 4096;
// Disk space that a cache must not take: the last twentieth is for what the user does.
constexpr uint64_t kReservedShare = 20;
constexpr int64_t kReportBytes = int64_t{64} << 20;

// 4 KiB at a place that depends on the tensor: both ends of a tensor may be padding.
Status add_sample(const formats::Checkpoint& checkpoint, const formats::NamedTensor& tensor, Fingerprint* a,
                  Fingerprint* b) {
  std::byte sample[kSampleBytes];
  const int64_t bytes = tensor.view.bytes(), size = std::min(bytes, kSampleBytes);
  const uint64_t places = static_cast<uint64_t>(bytes - size + 1);
  const uint64_t place = Fingerprint::of(std::as_bytes(std::span(tensor.name)), static_cast<uint64_t>(bytes)) % places;
  const std::span<std::byte> read = std::span(sample).first(static_cast<size_t>(size));
  BANTAM_TRY(checkpoint.read(tensor, static_cast<int64_t>(place), read));
  for (Fingerprint* f : {a, b}) {
    f->add(tensor.offset);
    f->add(static_cast<uint64_t>(tensor.source->bytes().size()));
    f->add(static_cast<uint64_t>(tensor.source->modified_ns()));
    f->add(read);
  }
  return {};
}

// A part file whose writer is gone: "KEY.packed.part-PID".
bool is_abandoned_part(const std::string& name) {
  const size_t at = name.find(kPartSuffix);
  if (at == std::string::npos) return false;
  pid_t pid = 0;
  const char* digits = name.data() + at + kPartSuffix.size();
  if (std::from_chars(digits, name.data() + name.size(), pid).ec != std::errc() || pid <= 0) return true;
  return ::kill(pid, 0) != 0 && errno == ESRCH;
}

// Whether somebody, this process included, is writing that file.
bool is_being_written(const std::string& folder, const std::string& key) {
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.starts_with(key) && name.find(kPartSuffix) != std::string::npos && !is_abandoned_part(name)) return true;
  }
  return false;
}

void mark_used(const std::string& path) {
  ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0);  // in a folder that may not be written the order stays as it is
}

}  // namespace

void PackedStore::start(std::string path, formats::PackedFileInfo info, std::span<const std::byte> blob) {
  BANTAM_CHECK(!thread_.joinable());
  thread_ = std::thread([this, path = std::move(path), info = std::move(info), blob] {
    const sched_param none{};
    ::pthread_setschedparam(::pthread_self(), SCHED_IDLE, &none);
    status_ = formats::write_packed_file(path, info, blob, stop_);
  });
}

Status PackedStore::wait() {
  if (thread_.joinable()) {
    const sched_param none{};
    ::pthread_setschedparam(thread_.native_handle(), SCHED_OTHER, &none);
    thread_.join();
  }
  return status_;
}

Result<std::string> PackedCache::key_of(const formats::Checkpoint& checkpoint, const model::Binding& binding) {
  Fingerprint a, b;
  b.add(uint64_t{1});
  for (Fingerprint* f : {&a, &b}) f->add(model::packed_layout(binding));
  for (const auto* list : {&binding.tensors, &binding.f8_scales}) {
    for (const formats::NamedTensor* tensor : *list) {
      if (tensor != nullptr) BANTAM_TRY(add_sample(checkpoint, *tensor, &a, &b));
    }
  }
  return fmt::format("{:016x}{:016x}", a.value(), b.value());
}

std::string PackedCache::path_of(const std::string& key) const {
  return fmt::format("{}/{}{}", options_.folder, key, kSuffix);
}

Status PackedCache::read_pieces(const formats::PackedFile& file, model::Weights& weights, ThreadPool& pool,
                                const LoadProgress& progress) const {
  constexpr int64_t kPiece = formats::PackedFile::kPieceBytes;
  std::vector<int32_t> order;  // empty: as they lie in the file
  if (numa_nodes().size() > 1) order = model::first_touch_order(weights, kPiece, pool.threads());
  std::atomic<int64_t> done_bytes = 0;
  std::atomic<bool> failed = false;
  int64_t reported = 0;
  std::mutex mutex;
  Status failure;
  pool.parallel(file.pieces(), [&](int64_t chunk, int worker) {
    if (failed.load(std::memory_order_relaxed)) return;
    const int64_t piece = order.empty() ? chunk : order[static_cast<size_t>(chunk)];
    const int64_t bytes = file.piece_bytes(piece);
    Status status = file.read(piece, {weights.storage.data() + piece * kPiece, static_cast<size_t>(bytes)});
    const int64_t done = done_bytes += bytes;
    if (status.ok() && worker == 0 && progress && done >= reported + kReportBytes) {  // worker 0: the loading thread
      reported = done;
      if (!progress(done, weights.packed_bytes)) status = make_error(ErrorCode::kCancelled, "loading was cancelled");
    }
    if (status.ok()) return;
    const std::lock_guard lock(mutex);
    if (!failed) failure = std::move(status);
    failed = true;
  });
  return failure;
}

Result<std::optional<model::Weights>> PackedCache::read(const std::string& key, const model::Binding& binding,
                                                        ThreadPool& pool, const LoadProgress& progress,
                                                        std::string* note) {
  const std::string path = path_of(key);
  if (!file_exists(path)) return std::optional<model::Weights>();
  BANTAM_TRY_ASSIGN(model::Weights weights, model::lay_out_weights(binding));
  const auto fill = [&]() -> Status {
    BANTAM_TRY_ASSIGN(const formats::PackedFile file, formats::PackedFile::open(path));
    if (file.info().key != key || file.info().bytes != weights.packed_bytes) {
      return bad_input("{}: expected {} bytes of {}, got {} of {}", path, weights.packed_bytes, key, file.info().bytes,
                       file.info().key);
    }
    return read_pieces(file, weights, pool, progress);
  };
  const Status status = fill();
  if (status.ok()) {
    mark_used(path);
    return std::optional<model::Weights>(std::move(weights));
  }
  if (status.code() == ErrorCode::kCancelled) return status;
  std::error_code error;
  fs::remove(path, error);
  *note = fmt::format("the cache of packed weights was not usable and is {}: {}", error ? "left alone" : "made again",
                      status.message());
  return std::optional<model::Weights>();
}

void PackedCache::write(const std::string& key, const std::string& model_name, DType type,
                        const model::Weights& weights, PackedStore* store, std::string* note) {
  if (weights.packed_bytes > options_.max_bytes) return;
  Status status = make_room(weights.packed_bytes);
  if (!status.ok()) {
    if (note->empty()) *note = fmt::format("packed weights are not kept for the next start: {}", status.message());
    return;
  }
  if (is_being_written(options_.folder, key)) return;
  const std::span<const std::byte> blob(weights.storage.data(), static_cast<size_t>(weights.packed_bytes));
  store->start(path_of(key), {key, model_name, std::string(name(type)), weights.packed_bytes}, blob);
}

Status PackedCache::make_room(int64_t bytes) {
  std::error_code error;
  fs::create_directories(options_.folder, error);
  if (error) return failed("cannot make the folder {}: {}", options_.folder, error.message());
  for (fs::directory_iterator it(options_.folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (is_abandoned_part(it->path().filename().string())) fs::remove(it->path(), ignored);
  }
  const std::vector<Entry> entries = list();
  int64_t used = 0;
  for (const Entry& entry : entries) used += entry.bytes;
  for (const Entry& entry : entries) {
    if (used + bytes <= options_.max_bytes) break;
    fs::remove(path_of(entry.key), error);
    if (!error) used -= entry.bytes;
  }
  const fs::space_info space = fs::space(options_.folder, error);
  if (error) return {};
  const uint64_t needed = static_cast<uint64_t>(bytes) + space.capacity / kReservedShare;
  if (space.available >= needed) return {};
  return no_space("{:.1f} GB are needed in {}, {:.1f} are free", static_cast<double>(needed) / 1e9, options_.folder,
                  static_cast<double>(space.available) / 1e9);
}

std::vector<PackedCache::Entry> PackedCache::list() const {
  std::vector<Entry> out;
  std::error_code error;
  for (fs::directory_iterator it(options_.folder, error), end; !error && it != end; it.increment(error)) {
    const std::string file = it->path().filename().string();
    struct stat st {};
    if (!file.ends_with(kSuffix) || ::stat(it->path().c_str(), &st) != 0 || !S_ISREG(st.st_mode)) continue;
    Entry entry{.key = file.substr(0, file.size() - kSuffix.size()),
                .bytes = static_cast<int64_t>(st.st_size),
                .last_used_s = static_cast<int64_t>(st.st_mtim.tv_sec)};
    if (const auto packed = formats::PackedFile::open(it->path()); packed.ok() && packed->info().key == entry.key) {
      entry.model = packed->info().model;
      entry.type = packed->info().type;
    }
    out.push_back(std::move(entry));
  }
  std::sort(out.begin(), out.end(), [](const Entry& a, const Entry& b) {
    return a.last_used_s != b.last_used_s ? a.last_used_s < b.last_used_s : a.key < b.key;
  });
  return out;
}

Result<int64_t> PackedCache::clear() {
  int64_t freed = 0;
  std::error_code error;
  std::vector<fs::path> ours;
  for (fs::directory_iterator it(options_.folder, error), end; !error && it != end; it.increment(error)) {
    const std::string file = it->path().filename().string();
    if (file.ends_with(kSuffix) || is_abandoned_part(file)) ours.push_back(it->path());
  }
  for (const fs::path& path : ours) {
    const auto bytes = fs::file_size(path, error);
    if (!fs::remove(path, error) && error) return failed("cannot remove {}: {}", path.string(), error.message());
    freed += static_cast<int64_t>(bytes);
  }
  return freed;
}

Result<LoadedWeights> load_weights(const formats::Checkpoint& checkpoint, const model::Binding& binding,
                                   ThreadPool& pool, const PackedCacheOptions& options, const LoadProgress& progress,
                                   PackedStore* store) {
  LoadedWeights out;
  PackedCache cache(options);
  std::string key;
  if (!options.folder.empty() && options.max_bytes > 0 && binding.source_bytes() >= options.min_model_bytes) {
    BANTAM_TRY_ASSIGN(key, PackedCache::key_of(checkpoint, binding));
    BANTAM_TRY_ASSIGN(auto weights, cache.read(key, binding, pool, progress, &out.note));
    if (weights) {
      out.weights = std::move(*weights);
      out.from_cache = true;
      return out;
    }
  }
  BANTAM_TRY_ASSIGN(out.weights, model::load_weights(checkpoint, binding, pool, progress));
  if (!key.empty()) {
    cache.write(key, model_name(checkpoint.path()), binding.main_dtype(), out.weights, store, &out.note);
  }
  return out;
}

}  // namespace bantam::engine
