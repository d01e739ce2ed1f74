// See pull.h.
#include "hub/pull.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/mmap.h"
#include "hub/blob_download.h"
#include "hub/content_hash.h"
#include "hub/partial_file.h"

namespace bantam::hub {
namespace {

constexpr int kListAttempts = 3;

// -1 when there is no such file.
int64_t file_size(const std::string& path) {
  struct stat st {};
  return ::stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode) ? static_cast<int64_t>(st.st_size) : -1;
}

Result<bool> has_hash(const std::string& path, const RemoteFile& file, const HubClient& client) {
  BANTAM_TRY_ASSIGN(const MappedFile mapped, MappedFile::open(path));
  ContentHash hash(file.hash, static_cast<int64_t>(mapped.bytes().size()));
  constexpr size_t kStep = size_t{8} << 20;
  for (size_t at = 0; at < mapped.bytes().size(); at += kStep) {
    hash.add(mapped.bytes().subspan(at, std::min(kStep, mapped.bytes().size() - at)));
    if (!client.going_on()) return make_error(ErrorCode::kCancelled, "interrupted");
  }
  return hash.hex() == file.hash;
}

// Refuses before the first byte when the disk cannot hold what is missing.
Status check_room(const Cache& cache, const std::string& repo, const std::vector<RemoteFile>& files) {
  int64_t missing = 0;
  const std::vector<Unfinished> begun = list_unfinished(cache.repo_folder(repo) + "/blobs");
  for (const RemoteFile& file : files) {
    const std::string blob = cache.blob_path(repo, file.hash);
    if (file_size(blob) == file.bytes) continue;
    missing += file.bytes;
    for (const Unfinished& one : begun) missing -= one.blob == blob ? one.bytes_done : 0;
  }
  std::error_code error;
  const auto space = std::filesystem::space(cache.repo_folder(repo), error);
  if (error || static_cast<uint64_t>(std::max<int64_t>(missing, 0)) <= space.available) return {};
  return no_space("not enough room in {}: {} bytes are still to come, {} are free", cache.folder(), missing,
                  space.available);
}

// Unfinished downloads of what these files were at another commit.
void drop_outdated(const Cache& cache, const std::string& repo, const std::vector<RemoteFile>& files) {
  for (const Unfinished& old : list_unfinished(cache.repo_folder(repo) + "/blobs")) {
    for (const RemoteFile& file : files) {
      if (file.path != old.name || cache.blob_path(repo, file.hash) == old.blob) continue;
      ::unlink(PartialFile::data_path(old.blob).c_str());
      ::unlink(PartialFile::journal_path(old.blob).c_str());
    }
  }
}

class Pull {
 public:
  Pull(HubClient& client, const Cache& cache, const ModelName& name, const PullOptions& options, PullWatcher& watcher)
      : client_(client), cache_(cache), name_(name), options_(options), watcher_(watcher) {}

  Result<PulledModel> run() {
    for (int attempt = 1;; ++attempt) {
      BANTAM_TRY(plan());
      BANTAM_TRY_ASSIGN(const bool changed, download());
      if (!changed) break;
      if (attempt == kListAttempts) return failed("{}: it changes while it is downloaded; try again later", name_.repo);
    }
    for (const RemoteFile& file : out_.files) BANTAM_TRY(cache_.link(out_.repo, out_.commit, file.path, file.hash));
    BANTAM_TRY(cache_.write_ref(out_.repo, name_.revision, out_.commit));
    drop_outdated(cache_, out_.repo, out_.files);
    out_.path = fmt::format("{}/snapshots/{}", cache_.repo_folder(out_.repo), out_.commit);
    if (out_.choice.kind == ModelKind::kGguf) out_.path += "/" + out_.files.front().path;
    return std::move(out_);
  }

 private:
  Status plan() {
    BANTAM_TRY_ASSIGN(RemoteRepo repo, client_.list(name_.repo, name_.revision));
    std::vector<FileEntry> entries;
    for (const RemoteFile& file : repo.files) entries.push_back({file.path, file.bytes});
    BANTAM_TRY_ASSIGN(Choice choice, choose_files(entries, name_));
    out_.repo = name_.repo;
    out_.commit = repo.commit;
    out_.files.clear();
    for (size_t& index : choice.files) {
      out_.files.push_back(std::move(repo.files[index]));
      index = out_.files.size() - 1;
    }
    out_.choice = std::move(choice);
    BANTAM_TRY(watcher_.on_plan(out_));
    BANTAM_TRY(cache_.prepare(out_.repo));
    return check_room(cache_, out_.repo, out_.files);
  }

  // Every file in turn; true when the repository turned out to be another by now.
  Result<bool> download() {
    for (size_t i = 0; i < out_.files.size(); ++i) {
      BANTAM_TRY_ASSIGN(const BlobEnd end, download_file(i));
      if (end == BlobEnd::kChanged) return true;
    }
    return false;
  }

  Result<bool> is_here(const RemoteFile& file, const std::string& blob) {
    if (file_size(blob) != file.bytes) return false;
    if (!options_.verify) return true;
    BANTAM_TRY_ASSIGN(const bool right, has_hash(blob, file, client_));
    if (!right && client_.options().on_trouble) {
      client_.options().on_trouble(file.path + ": the file in the cache is damaged; once more from the beginning");
    }
    return right;
  }

  Result<BlobEnd> download_file(size_t index) {
    const RemoteFile& file = out_.files[index];
    const std::string blob = cache_.blob_path(out_.repo, file.hash);
    BANTAM_TRY_ASSIGN(bool here, is_here(file, blob));
    if (!here) {
      const auto on_wait = [&] { watcher_.on_waiting(index); };
      BANTAM_TRY_ASSIGN(const FileLock lock, FileLock::take(cache_.lock_path(out_.repo, file.hash), on_wait,
                                                            [this] { return client_.going_on(); }));
      BANTAM_TRY_ASSIGN(here, is_here(file, blob));  // who held the lock may have brought it
      if (!here) {
        const BlobSpec spec{blob, file.hash, file.path, file.bytes};
        BANTAM_TRY_ASSIGN(const BlobEnd end,
                          download_blob(client_, out_.repo, out_.commit, spec, [&](int64_t bytes, bool read_back) {
                            watcher_.on_bytes(index, bytes, read_back);
                          }));
        if (end == BlobEnd::kChanged) return end;
        out_.downloaded_bytes += file.bytes;
      }
    }
    BANTAM_TRY(watcher_.on_done(index, blob, here));
    return BlobEnd::kDone;
  }

  HubClient& client_;
  const Cache& cache_;
  const ModelName& name_;
  const PullOptions& options_;
  PullWatcher& watcher_;
  PulledModel out_;
};

}  // namespace

Result<PulledModel> pull(HubClient& client, const Cache& cache, const ModelName& name, const PullOptions& options,
                         PullWatcher& watcher) {
  return Pull(client, cache, name, options, watcher).run();
}

}  // namespace bantam::hub
