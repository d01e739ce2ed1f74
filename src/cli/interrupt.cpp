// See interrupt.h. The handler writes a byte into a pipe: a wait that polls the pipe too hears a signal that came just
// before it, on whichever thread.
#include "cli/interrupt.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace bantam::cli {
namespace {

std::atomic<bool> g_interrupted{false};
std::atomic<int> g_presses{0}, g_limit{2};
int g_wake[2] = {-1, -1};  // read end, write end

// One more Ctrl+C than is heard ends the program at once.
extern "C" void on_interrupt(int signal) {
  const int saved = errno;
  g_interrupted = true;
  if (++g_presses >= g_limit) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
  // A full pipe wakes as well as one more byte in it.
  if (const char byte = 0; ::write(g_wake[1], &byte, 1) < 0) errno = saved;
  errno = saved;
}

}  // namespace

void install_signal_handlers() {
  if (::pipe2(g_wake, O_CLOEXEC | O_NONBLOCK) != 0) g_wake[0] = g_wake[1] = -1;
  std::signal(SIGINT, on_interrupt);
  std::signal(SIGTERM, on_interrupt);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

std::atomic<bool>& interrupted() {
  return g_interrupted;
}

bool take_interrupt() {
  char bytes[64];
  while (::read(g_wake[0], bytes, sizeof bytes) > 0) {
  }
  g_presses = 0;
  return g_interrupted.exchange(false);
}

void set_interrupt_limit(int presses) {
  g_limit = presses;
}

Status interrupted_status() {
  return make_error(ErrorCode::kCancelled, "interrupted");
}

bool wait_for_input(int fd) {
  while (!interrupted()) {
    struct pollfd wait[2] = {{.fd = fd, .events = POLLIN, .revents = 0},
                             {.fd = g_wake[0], .events = POLLIN, .revents = 0}};
    if (::poll(wait, 2, -1) < 0 && errno != EINTR) break;
    if (wait[0].revents != 0) break;
  }
  return !interrupted();
}

}  // namespace bantam::cli
