// See removal.h.
#include "hub/removal.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/mmap.h"
#include "hub/partial_file.h"

namespace bantam::hub {
namespace {

namespace fs = std::filesystem;

// What removing this name frees: nothing for a link; of a file with holes only what it takes.
int64_t bytes_on_disk(const std::string& path) {
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0 || !S_ISREG(st.st_mode) || st.st_nlink > 1) return 0;
  return std::min<int64_t>(st.st_size, int64_t{512} * st.st_blocks);
}

int64_t bytes_under(const std::string& folder) {
  int64_t out = 0;
  std::error_code ignored;
  for (fs::recursive_directory_iterator at(folder, ignored), end; at != end; at.increment(ignored)) {
    out += bytes_on_disk(at->path());
  }
  return out;
}

// The blob a file of a snapshot is a link to; "" when it is none.
std::string blob_of(const fs::path& file) {
  std::error_code error;
  const fs::path target = fs::read_symlink(file, error);
  return error ? "" : (file.parent_path() / target).lexically_normal().string();
}

Status check_idle(const Cache& cache, const std::string& repo, const Unfinished& one) {
  const std::string lock_path = cache.lock_path(repo, fs::path(one.blob).filename());
  const auto lock = FileLock::take(lock_path, nullptr, [] { return false; });
  if (lock.ok()) return {};
  return failed("{}: {} is being downloaded by another program", repo, one.name);
}

bool is_model_file(const std::string& path) {
  return path.ends_with(".gguf") || path.ends_with(".safetensors");
}

Removal whole_repo(const Cache& cache, const std::string& repo) {
  Removal out;
  const std::string folder = cache.repo_folder(repo);
  out.what.push_back(repo);
  out.paths.push_back(folder);
  out.paths.push_back(fmt::format("{}/.locks/{}", cache.folder(), fs::path(folder).filename().string()));
  out.bytes = bytes_under(folder);
  return out;
}

}  // namespace

Result<Removal> plan_removal(const Cache& cache, const ModelName& name) {
  if (!is_directory(cache.repo_folder(name.repo))) {
    return bad_input("{}: nothing of {} is on this machine", name.text, name.repo);
  }
  const std::vector<Unfinished> unfinished = list_unfinished(cache.repo_folder(name.repo) + "/blobs");
  for (const Unfinished& one : unfinished) BANTAM_TRY(check_idle(cache, name.repo, one));
  if (name.quant.empty()) return whole_repo(cache, name.repo);

  Removal out;
  std::set<std::string> going, staying;  // blobs
  bool others = false;
  for (const Snapshot& snapshot : cache.snapshots(name.repo)) {
    const auto choice = choose_files(snapshot.files, name);
    const bool chosen = choice.ok() && choice->kind == ModelKind::kGguf;
    for (size_t i = 0; i < snapshot.files.size(); ++i) {
      const fs::path path = fs::path(snapshot.folder) / snapshot.files[i].path;
      const std::string blob = blob_of(path);
      const bool goes = chosen && std::find(choice->files.begin(), choice->files.end(), i) != choice->files.end();
      (goes ? going : staying).insert(blob);
      others |= !goes && is_model_file(snapshot.files[i].path);
      if (!goes) continue;
      out.what.push_back(name.repo + "/" + snapshot.files[i].path);
      out.paths.push_back(path);
      out.bytes += bytes_on_disk(path);
    }
  }
  for (const Unfinished& one : unfinished) {
    const auto choice = choose_files({{one.name, one.bytes}}, name);
    if (!choice.ok() || choice->kind != ModelKind::kGguf) {
      others = true;
      continue;
    }
    out.what.push_back(fmt::format("{}/{} (unfinished)", name.repo, one.name));
    for (const std::string& path : {PartialFile::data_path(one.blob), PartialFile::journal_path(one.blob)}) {
      out.paths.push_back(path);
      out.bytes += bytes_on_disk(path);
    }
  }
  if (out.paths.empty()) {
    return bad_input("{}: no weights of type {} of {} are on this machine", name.text, name.quant, name.repo);
  }
  if (!others) return whole_repo(cache, name.repo);
  for (const std::string& blob : going) {
    if (blob.empty() || staying.count(blob) != 0) continue;
    out.paths.push_back(blob);
    out.bytes += bytes_on_disk(blob);
  }
  return out;
}

Status remove(const Removal& removal) {
  for (const std::string& path : removal.paths) {
    std::error_code error;
    fs::remove_all(path, error);
    if (error) return failed("cannot remove {}: {}", path, error.message());
  }
  return {};
}

}  // namespace bantam::hub
