// See cache.h.
#include "hub/cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <thread>

#include "base/check.h"
#include "base/mmap.h"
#include "hub/content_hash.h"

namespace bantam::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "models--";

Status make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (!error) return {};
  if (error == std::errc::no_space_on_device)
    return no_space("cannot make the folder {}: {}", path.string(), error.message());
  return failed("cannot make the folder {}: {}", path.string(), error.message());
}

// "models--ORG--REPO" -> "ORG/REPO"; "" when it is something else.
std::string repo_of(std::string_view folder) {
  if (!folder.starts_with(kPrefix)) return "";
  std::string out(folder.substr(kPrefix.size()));
  const size_t at = out.find("--");
  if (at == out.npos) return "";
  out.replace(at, 2, "/");
  return is_repo(out) ? out : "";
}

int64_t modified_s(const std::string& path) {
  struct stat st {};
  return ::stat(path.c_str(), &st) == 0 ? static_cast<int64_t>(st.st_mtime) : 0;
}

Snapshot read_snapshot(const std::string& repo, const fs::path& folder) {
  Snapshot out{repo, folder.filename(), folder, {}, modified_s(folder)};
  std::error_code ignored;
  for (fs::recursive_directory_iterator at(folder, ignored), end; at != end; at.increment(ignored)) {
    std::error_code gone;
    if (!fs::is_regular_file(at->path(), gone)) continue;  // follows the link: a blob that was removed is not here
    const auto bytes = fs::file_size(at->path(), gone);
    if (!gone) out.files.push_back({at->path().lexically_relative(folder), static_cast<int64_t>(bytes)});
  }
  std::sort(out.files.begin(), out.files.end(), [](const FileEntry& a, const FileEntry& b) { return a.path < b.path; });
  return out;
}

}  // namespace

Result<FileLock> FileLock::take(const std::string& path, const std::function<void()>& on_wait,
                                const std::function<bool()>& keep_going) {
  BANTAM_TRY(make_folder(fs::path(path).parent_path()));
  for (bool waited = false;;) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0) return failed("cannot open the lock {}: {}", path, std::strerror(errno));
    const bool taken = ::flock(fd, LOCK_EX | LOCK_NB) == 0;
    const int error = errno;
    struct stat mine {
    }, named{};
    // Whoever had it may have removed the file: then this lock is one that nobody else will look at.
    const bool current = taken && ::fstat(fd, &mine) == 0 && ::stat(path.c_str(), &named) == 0 &&
                         mine.st_ino == named.st_ino && mine.st_dev == named.st_dev;
    if (current) return FileLock(fd);
    ::close(fd);
    if (taken) continue;
    if (error != EWOULDBLOCK && error != EINTR) return failed("cannot lock {}: {}", path, std::strerror(error));
    if (!waited && on_wait) on_wait();
    waited = true;
    if (keep_going && !keep_going()) return make_error(ErrorCode::kCancelled, "interrupted");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // flock cannot be waited for and interrupted
  }
}

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

std::string Cache::repo_folder(const std::string& repo) const {
  BANTAM_CHECK(is_repo(repo));
  std::string name(repo);
  name.replace(name.find('/'), 1, "--");
  return fmt::format("{}/{}{}", folder_, kPrefix, name);
}

std::string Cache::blob_path(const std::string& repo, const std::string& hash) const {
  BANTAM_CHECK(is_content_hash(hash));
  return fmt::format("{}/blobs/{}", repo_folder(repo), hash);
}

std::string Cache::lock_path(const std::string& repo, const std::string& hash) const {
  BANTAM_CHECK(is_content_hash(hash));
  const std::string name = fs::path(repo_folder(repo)).filename();
  return fmt::format("{}/.locks/{}/{}.lock", folder_, name, hash);
}

std::vector<std::string> Cache::repos() const {
  std::vector<std::string> out;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder_, ignored)) {
    const std::string repo = repo_of(entry.path().filename().string());
    if (!repo.empty() && is_directory(entry.path())) out.push_back(repo);
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<Snapshot> Cache::snapshots(const std::string& repo) const {
  std::vector<Snapshot> out;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(repo_folder(repo) + "/snapshots", ignored)) {
    if (is_commit(entry.path().filename().string())) out.push_back(read_snapshot(repo, entry.path()));
  }
  std::sort(out.begin(), out.end(), [](const Snapshot& a, const Snapshot& b) {
    return std::pair(a.modified_s, a.commit) > std::pair(b.modified_s, b.commit);
  });
  return out;
}

std::optional<Snapshot> Cache::snapshot(const std::string& repo, const std::string& revision) const {
  std::string commit = revision;
  if (!is_commit(revision)) {
    const auto ref = read_file(fmt::format("{}/refs/{}", repo_folder(repo), revision), 1000);
    commit = ref.ok() ? ref->substr(0, ref->find_first_of(" \r\n")) : "";
  }
  if (is_commit(commit)) {
    const std::string folder = fmt::format("{}/snapshots/{}", repo_folder(repo), commit);
    if (is_directory(folder)) return read_snapshot(repo, folder);
    if (commit == revision) return std::nullopt;
  }
  if (revision != "main") return std::nullopt;
  std::vector<Snapshot> all = snapshots(repo);
  return all.empty() ? std::nullopt : std::optional(std::move(all.front()));
}

Result<CachedModel> Cache::find(const ModelName& name) const {
  const std::string what = name.text == name.repo ? name.repo : fmt::format("{} ({})", name.text, name.repo);
  std::optional<Snapshot> snapshot = this->snapshot(name.repo, name.revision);
  if (!snapshot || snapshot->files.empty()) {
    return bad_input("{} is not on this machine: `bantam pull {}` downloads it", what, name.text);
  }
  auto choice = choose_files(snapshot->files, name);
  if (!choice.ok()) {
    return bad_input("{} is not on this machine ({}): `bantam pull {}` downloads it", what, choice.status().message(),
                     name.text);
  }
  if (choice->kind == ModelKind::kSafetensors && name.quant_is_wish) {
    return bad_input("{}: its weights are here in safetensors, not in {}: `bantam pull {}` quantises them", what,
                     name.quant, name.text);
  }
  CachedModel out{std::move(*snapshot), std::move(*choice), ""};
  out.path = out.snapshot.folder;
  if (out.choice.kind == ModelKind::kGguf) out.path += "/" + out.snapshot.files[out.choice.files.front()].path;
  return out;
}

Status Cache::prepare(const std::string& repo) const {
  BANTAM_TRY(make_folder(repo_folder(repo) + "/blobs"));
  return make_folder(repo_folder(repo) + "/snapshots");
}

Status Cache::link(const std::string& repo, const std::string& commit, const std::string& file,
                   const std::string& hash) const {
  BANTAM_CHECK(is_commit(commit) && is_safe_path(file));
  const fs::path path = fmt::format("{}/snapshots/{}/{}", repo_folder(repo), commit, file);
  BANTAM_TRY(make_folder(path.parent_path()));
  const fs::path blob = blob_path(repo, hash);
  const fs::path target = blob.lexically_relative(path.parent_path());
  std::error_code error;
  if (fs::read_symlink(path, error) == target) return {};
  const std::string temporary = fmt::format("{}.part-{}", path.string(), ::getpid());
  ::unlink(temporary.c_str());
  // A file system without symbolic links gets a second name of the blob.
  if (::symlink(target.c_str(), temporary.c_str()) != 0 && ::link(blob.c_str(), temporary.c_str()) != 0) {
    return failed("cannot link {}: {}", path.string(), std::strerror(errno));
  }
  if (::rename(temporary.c_str(), path.c_str()) == 0) return {};
  const int rename_error = errno;
  ::unlink(temporary.c_str());
  return failed("cannot link {}: {}", path.string(), std::strerror(rename_error));
}

Status Cache::write_ref(const std::string& repo, const std::string& revision, const std::string& commit) const {
  BANTAM_CHECK(is_revision(revision) && is_commit(commit));
  if (revision == commit) return {};
  const std::string path = fmt::format("{}/refs/{}", repo_folder(repo), revision);
  BANTAM_TRY(make_folder(fs::path(path).parent_path()));
  BANTAM_TRY_ASSIGN(AtomicFile file, AtomicFile::create(path));
  BANTAM_TRY(file.write(commit));
  return file.commit();
}

}  // namespace bantam::hub
