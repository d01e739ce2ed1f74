// See child_process.h. fork and exec rather than posix_spawn: only so can the child ask to die with its parent.
#include "cli/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/check.h"
#include "base/clock.h"
#include "cli/interrupt.h"

namespace bantam::cli {
namespace {

constexpr int kPollMs = 20;

struct Pipe {
  int ends[2] = {-1, -1};  // read, write
  Pipe() = default;
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    close_end(0);
    close_end(1);
  }
  bool open() { return pipe2(ends, O_CLOEXEC) == 0; }
  void close_end(int i) {
    if (ends[i] >= 0) close(ends[i]);
    ends[i] = -1;
  }
};

struct Pipes {
  Pipe in, out, err, failure;  // failure carries errno when exec did not happen
  bool open() { return in.open() && out.open() && err.open() && failure.open(); }
};

// In the child, between fork and exec: only async-signal-safe calls.
[[noreturn]] void become(const Pipes& pipes, char* const* argv, pid_t parent) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::signal(SIGPIPE, SIG_DFL);
  if (getppid() == parent && dup2(pipes.in.ends[0], 0) == 0 && dup2(pipes.out.ends[1], 1) == 1 &&
      dup2(pipes.err.ends[1], 2) == 2) {
    execvp(argv[0], argv);
  }
  const int why = errno;
  [[maybe_unused]] const ssize_t written = write(pipes.failure.ends[1], &why, sizeof why);
  _exit(127);
}

// Reads what is there. False at the end of the stream.
bool drain(int fd, std::string* out) {
  char buffer[65536];
  const ssize_t n = read(fd, buffer, sizeof buffer);
  if (n > 0) out->append(buffer, static_cast<size_t>(n));
  return n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN));
}

// A started child; killed, with its process group, when this goes out of scope before it was reaped.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ <= 0) return;
    kill(-pid_, SIGKILL);
    kill(pid_, SIGKILL);  // its group may not exist yet
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  // Whether it has ended; fills exit code and memory.
  bool reap(ChildReport* report) {
    int status = 0;
    rusage usage{};
    if (wait4(pid_, &status, WNOHANG, &usage) != pid_) return false;
    kill(-pid_, SIGKILL);  // what it left behind
    pid_ = 0;
    report->exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    report->peak_rss_bytes = int64_t{usage.ru_maxrss} * 1024;
    return true;
  }

 private:
  pid_t pid_;
};

Status watch(Child& child, Pipes& pipes, const std::string& name, double limit_s, const Stopwatch& clock,
             ChildReport* report) {
  bool out_open = true, err_open = true;
  while (true) {
    pollfd fds[2] = {{out_open ? pipes.out.ends[0] : -1, POLLIN, 0}, {err_open ? pipes.err.ends[0] : -1, POLLIN, 0}};
    poll(fds, 2, kPollMs);
    if (fds[0].revents != 0) {
      out_open = drain(pipes.out.ends[0], &report->out);
      if (report->first_output_ms == 0 && !report->out.empty()) report->first_output_ms = clock.elapsed_ms();
    }
    if (fds[1].revents != 0) err_open = drain(pipes.err.ends[0], &report->err);
    if (report->err.size() > ChildReport::kErrBytes) {
      report->err.erase(0, report->err.size() - ChildReport::kErrBytes);
    }
    if (interrupted()) return interrupted_status();
    if (report->out.size() > ChildReport::kOutBytes) {
      return failed("{}: expected at most {} bytes of output, got more", name, ChildReport::kOutBytes);
    }
    if (fds[0].revents == 0 && fds[1].revents == 0 && child.reap(report)) break;
    if (!out_open && !err_open) usleep(1000 * kPollMs / 10);
    if (clock.elapsed_ms() > 1e3 * limit_s)
      return failed("{}: not done after {:.0f} s; {}", name, limit_s, quote(*report));
  }
  report->wall_ms = clock.elapsed_ms();
  if (report->first_output_ms == 0) report->first_output_ms = report->wall_ms;
  return {};
}

}  // namespace

Result<ChildReport> run_child(const std::vector<std::string>& argv, std::string_view input, double limit_s) {
  BANTAM_CHECK(!argv.empty() && input.size() <= 4096);  // a pipe holds that much without a reader
  std::vector<char*> words;
  for (const std::string& word : argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  Pipes pipes;
  if (!pipes.open()) return failed("cannot start {}: {}", argv[0], std::strerror(errno));
  const pid_t parent = getpid();
  const Stopwatch clock;
  const pid_t pid = fork();
  if (pid < 0) return failed("cannot start {}: {}", argv[0], std::strerror(errno));
  if (pid == 0) become(pipes, words.data(), parent);
  Child child(pid);
  pipes.in.close_end(0);
  pipes.out.close_end(1);
  pipes.err.close_end(1);
  pipes.failure.close_end(1);
  int why = 0;
  if (read(pipes.failure.ends[0], &why, sizeof why) == static_cast<ssize_t>(sizeof why)) {
    return failed("cannot start {}: {}", argv[0], std::strerror(why));
  }
  // A child that reads nothing is no failure: SIGPIPE is ignored in this program.
  [[maybe_unused]] const ssize_t written = write(pipes.in.ends[1], input.data(), input.size());
  pipes.in.close_end(1);
  ChildReport report;
  BANTAM_TRY(watch(child, pipes, argv[0], limit_s, clock, &report));
  return report;
}

std::string quote(const ChildReport& report) {
  std::string_view text = report.err.find_first_not_of(" \n") != std::string::npos ? report.err : report.out;
  text = text.substr(0, text.find_last_not_of(" \n\r") + 1);
  constexpr size_t kShown = 400;
  std::string shown(text.substr(text.size() > kShown ? text.size() - kShown : 0));
  std::replace(shown.begin(), shown.end(), '\n', '|');
  return shown.empty() ? fmt::format("exit code {}, no output", report.exit_code)
                       : fmt::format("exit code {}, its last words: {}", report.exit_code, shown);
}

}  // namespace bantam::cli
