// The Hugging Face cache on this machine, shared with every program that uses huggingface_hub's layout:
//
//   FOLDER/models--ORG--REPO/refs/REVISION            a commit
//   FOLDER/models--ORG--REPO/snapshots/COMMIT/FILE -> ../../blobs/HASH
//   FOLDER/models--ORG--REPO/blobs/HASH
//   FOLDER/.locks/models--ORG--REPO/HASH.lock         flock, as huggingface_hub takes it
//
// Files are read in place. Several programs may use one folder at once: names appear by rename, a blob is written under
// its lock. Only names that passed is_repo, is_revision, is_safe_path, is_commit and is_content_hash become paths.
// Stateless but for the folder's name; thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "hub/choose_files.h"
#include "hub/names.h"

namespace bantam::hub {

struct Snapshot {
  std::string repo, commit, folder;
  std::vector<FileEntry> files;  // whose blob is here, in order of their paths
  int64_t modified_s = 0;        // when it was last added to, in seconds since 1970
};

// A cached model that can be opened: a .gguf file (of several parts: the first) or a snapshot's folder.
struct CachedModel {
  Snapshot snapshot;
  Choice choice;
  std::string path;
};

// An flock on a file, as long as it lives.
class FileLock {
 public:
  // Waits while another holds it: on_wait() is called once in between, keep_going() often.
  static Result<FileLock> take(const std::string& path, const std::function<void()>& on_wait,
                               const std::function<bool()>& keep_going);
  FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_;
};

class Cache {
 public:
  explicit Cache(std::string folder) : folder_(std::move(folder)) {}
  const std::string& folder() const { return folder_; }

  // What names the parts of a repository. REQUIRES: valid names (see above).
  std::string repo_folder(const std::string& repo) const;
  std::string blob_path(const std::string& repo, const std::string& hash) const;
  std::string lock_path(const std::string& repo, const std::string& hash) const;

  std::vector<std::string> repos() const;
  std::vector<Snapshot> snapshots(const std::string& repo) const;
  // The one a revision means: by refs/, or itself a commit. For "main" without a ref the latest.
  std::optional<Snapshot> snapshot(const std::string& repo, const std::string& revision) const;
  // kBadInput when it is not here, saying what to do.
  Result<CachedModel> find(const ModelName& name) const;

  // Makes the folders of a repository, and the link of a file of `commit` to its blob.
  Status prepare(const std::string& repo) const;
  Status link(const std::string& repo, const std::string& commit, const std::string& file,
              const std::string& hash) const;
  Status write_ref(const std::string& repo, const std::string& revision, const std::string& commit) const;

 private:
  std::string folder_;
};

}  // namespace bantam::hub
