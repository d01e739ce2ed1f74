// See line_editor.h.
#include "cli/line_editor.h"

#include <editline/readline.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "cli/command.h"

namespace bantam::cli {
namespace {

constexpr int kHistoryEntries = 1000;

// readline() must come back from a Ctrl+C, so the handler is installed without SA_RESTART while it waits.
class InterruptibleRead {
 public:
  InterruptibleRead() {
    ::sigaction(SIGINT, nullptr, &previous_);
    struct sigaction action = previous_;
    action.sa_flags &= ~SA_RESTART;
    ::sigaction(SIGINT, &action, nullptr);
  }
  ~InterruptibleRead() { ::sigaction(SIGINT, &previous_, nullptr); }

 private:
  struct sigaction previous_ {};
};

}  // namespace

LineEditor::LineEditor(bool interactive, std::string history_file)
    : interactive_(interactive), history_file_(std::move(history_file)) {
  if (!interactive_) return;
  static char name[] = "bantam";
  rl_readline_name = name;
  ::using_history();
  ::stifle_history(kHistoryEntries);
  if (!history_file_.empty()) ::read_history(history_file_.c_str());
}

LineEditor::~LineEditor() {
  if (interactive_ && !history_file_.empty()) ::write_history(history_file_.c_str());
}

LineEditor::Outcome LineEditor::read(const std::string& prompt, std::string* line) {
  const InterruptibleRead interruptible;
  char* text = nullptr;
  if (interactive_) {
    text = ::readline(prompt.c_str());
    if (text != nullptr) line->assign(text);
  } else {
    size_t capacity = 0;
    const ssize_t n = ::getline(&text, &capacity, stdin);
    if (n < 0) {
      std::free(text);
      text = nullptr;
    } else {
      line->assign(text, static_cast<size_t>(n));
      while (!line->empty() && (line->back() == '\n' || line->back() == '\r')) line->pop_back();
    }
  }
  if (interrupted().exchange(false)) {
    std::free(text);
    std::clearerr(stdin);
    if (interactive_) std::fputs("\n", stdout);
    return Outcome::kInterrupted;
  }
  if (text == nullptr) return Outcome::kEnd;
  std::free(text);
  return Outcome::kLine;
}

void LineEditor::remember(const std::string& entry) {
  if (interactive_ && !entry.empty()) ::add_history(entry.c_str());
}

}  // namespace bantam::cli
