// See run_record.h. {"pid":n,"ticks":n,"url":s,"started":n,"models":[{"name":s,"bytes":n}]}; `ticks` is when the
// process started by the kernel's clock, so that a pid that was given out again is not taken for the server.
#include "hub/run_record.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/json.h"
#include "base/mmap.h"

namespace bantam::hub {
namespace {

namespace fs = std::filesystem;

// Field 22 of /proc/PID/stat (proc(5)); 0 when it cannot be read. The name in field 2 may hold anything, so counting
// starts behind its closing parenthesis.
int64_t start_ticks(int pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string text;
  std::getline(file, text);
  const size_t name_end = text.rfind(')');
  if (name_end == text.npos) return 0;
  std::istringstream fields(text.substr(name_end + 1));
  std::string field;
  for (int i = 3; i <= 21; ++i) fields >> field;
  int64_t ticks = 0;
  fields >> ticks;
  return ticks;
}

int64_t int_of(const JsonValue& object, std::string_view key) {
  const JsonValue* value = object.find(key);
  const auto number = value != nullptr ? value->as_int64() : Result<int64_t>(int64_t{0});
  return number.ok() ? *number : 0;
}

std::string text_of(const JsonValue& object, std::string_view key) {
  const JsonValue* value = object.find(key);
  return value != nullptr && value->is_string() ? value->as_string() : "";
}

// The record of a process that still lives; nothing when it does not, or the file is not one.
std::optional<RunRecord> read_live(const std::string& path) {
  const auto text = read_file(path, 1 << 20);
  if (!text.ok()) return std::nullopt;
  const auto json = parse_json(*text, path);
  if (!json.ok() || !json->is_object()) return std::nullopt;
  RunRecord out;
  const int64_t pid = int_of(*json, "pid");
  if (pid <= 0 || pid > INT32_MAX) return std::nullopt;
  out.pid = static_cast<int>(pid);
  if (::kill(out.pid, 0) != 0 && errno == ESRCH) return std::nullopt;
  if (start_ticks(out.pid) != int_of(*json, "ticks")) return std::nullopt;
  out.url = text_of(*json, "url");
  out.started_s = int_of(*json, "started");
  if (const JsonValue* models = json->find("models"); models != nullptr && models->is_array()) {
    for (const JsonValue& model : models->items())
      out.models.push_back({text_of(model, "name"), int_of(model, "bytes")});
  }
  return out;
}

}  // namespace

Result<RunFile> RunFile::create(const std::string& folder, RunRecord record) {
  std::error_code error;
  fs::create_directories(fs::path(folder).parent_path(), error);
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return failed("cannot make the folder {}: {}", folder, std::strerror(errno));
  }
  RunFile out;
  out.record_ = std::move(record);
  out.record_.pid = ::getpid();
  out.record_.started_s = static_cast<int64_t>(std::time(nullptr));
  out.path_ = fmt::format("{}/{}.json", folder, out.record_.pid);
  BANTAM_TRY(out.write());
  return out;
}

RunFile::~RunFile() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

Status RunFile::update(std::vector<RunningModel> models) {
  record_.models = std::move(models);
  return write();
}

Status RunFile::write() const {
  JsonValue models = JsonValue::array();
  for (const RunningModel& model : record_.models) {
    models.items().push_back(
        JsonValue::object({{"name", JsonValue::string(model.name)}, {"bytes", JsonValue::number(model.bytes)}}));
  }
  const JsonValue json = JsonValue::object({{"pid", JsonValue::number(int64_t{record_.pid})},
                                            {"ticks", JsonValue::number(start_ticks(record_.pid))},
                                            {"url", JsonValue::string(record_.url)},
                                            {"started", JsonValue::number(record_.started_s)},
                                            {"models", std::move(models)}});
  BANTAM_TRY_ASSIGN(AtomicFile file, AtomicFile::create(path_));
  BANTAM_TRY(file.write(to_json(json) + "\n"));
  return file.commit(AtomicFile::Sync::kSkip);
}

std::vector<RunRecord> list_runs(const std::string& folder) {
  std::vector<RunRecord> out;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const std::string path = entry.path();
    if (!path.ends_with(".json")) continue;
    if (auto record = read_live(path)) {
      out.push_back(std::move(*record));
    } else {
      ::unlink(path.c_str());
    }
  }
  std::sort(out.begin(), out.end(), [](const RunRecord& a, const RunRecord& b) {
    return std::pair(a.started_s, a.pid) < std::pair(b.started_s, b.pid);
  });
  return out;
}

}  // namespace bantam::hub
