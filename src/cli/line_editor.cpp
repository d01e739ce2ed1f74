// See line_editor.h. libedit's own interface rather than its readline one, which cannot bind a key sequence to a
// function of ours.
#include "cli/line_editor.h"

#include <fcntl.h>
#include <histedit.h>
#include <langinfo.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cwchar>
#include <optional>
#include <string_view>

#include "cli/interrupt.h"

namespace bantam::cli {
namespace {

constexpr int kHistoryEntries = 1000;
constexpr std::wstring_view kPasteEnd = L"\033[201~";

// The next character typed: 1 and the character, 0 at the end, -1 after Ctrl+C and on errors. Bytes that are no UTF-8
// are passed over. The descriptor does not block: a Ctrl+C discards what was typed before it, possibly between the wait
// and the read.
int read_character(int fd, wchar_t* out) {
  std::mbstate_t state{};
  for (;;) {
    char byte;
    if (!wait_for_input(fd)) {
      errno = EINTR;
      return -1;
    }
    const ssize_t n = ::read(fd, &byte, 1);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n <= 0) return static_cast<int>(n);
    const size_t used = std::mbrtowc(out, &byte, 1, &state);
    if (used <= 1) return 1;
    if (used == static_cast<size_t>(-1)) state = {};
  }
}

// Takes what the terminal pastes, up to its end mark, as text: line ends in it do not send the message.
unsigned char on_paste(EditLine* el, int) {
  std::wstring text;
  wchar_t c;
  while (::el_wgetc(el, &c) == 1) {
    if (c == L'\r') c = L'\n';
    text += c;
    if (text.ends_with(kPasteEnd)) {
      text.resize(text.size() - kPasteEnd.size());
      break;
    }
  }
  while (!text.empty() && text.back() == L'\n') text.pop_back();
  if (!text.empty()) ::el_winsertstr(el, text.c_str());
  return CC_REFRESH;
}

// Typed characters are UTF-8 whatever the environment says; without such a locale libedit drops them.
void use_utf8() {
  if (std::setlocale(LC_CTYPE, "") == nullptr || std::strcmp(::nl_langinfo(CODESET), "UTF-8") != 0) {
    std::setlocale(LC_CTYPE, "C.UTF-8");
  }
}

void bracketed_paste(bool supported, const char* sequence) {
  if (!supported) return;
  std::fputs(sequence, stdout);
  std::fflush(stdout);
}

}  // namespace

struct LineEditor::Terminal {
  EditLine* el = nullptr;
  History* history = nullptr;
  std::string prompt;
  // Of stdin's terminal, opened once more because not blocking is a setting that all holders of a descriptor share.
  int fd = ::open("/proc/self/fd/0", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

  static Terminal& of(EditLine* el) {
    void* self = nullptr;
    ::el_get(el, EL_CLIENTDATA, &self);
    return *static_cast<Terminal*>(self);
  }
  static char* get_prompt(EditLine* el) { return of(el).prompt.data(); }
  static int get_character(EditLine* el, wchar_t* out) {
    const int own = of(el).fd;
    return read_character(own >= 0 ? own : STDIN_FILENO, out);
  }

  Terminal() {
    use_utf8();
    el = ::el_init("bantam", stdin, stdout, stderr);
    history = ::history_init();
    HistEvent event;
    ::history(history, &event, H_SETSIZE, kHistoryEntries);
    ::history(history, &event, H_SETUNIQUE, 1);
    if (el == nullptr) return;
    ::el_set(el, EL_CLIENTDATA, this);
    ::el_set(el, EL_PROMPT, &Terminal::get_prompt);
    ::el_set(el, EL_EDITOR, "emacs");
    ::el_set(el, EL_GETCFN, &Terminal::get_character);
    ::el_set(el, EL_HIST, ::history, history);
    ::el_set(el, EL_ADDFN, "bantam-paste", "insert pasted text", &on_paste);
    constexpr const char* kKeys[][2] = {
        {"\\e[200~", "bantam-paste"}, {"^R", "em-inc-search-prev"}, {"\\e[3~", "ed-delete-next-char"},
        {"\\e[1~", "ed-move-to-beg"}, {"\\e[4~", "ed-move-to-end"}, {"\\e[H", "ed-move-to-beg"},
        {"\\e[F", "ed-move-to-end"},  {"\\e[1;5C", "em-next-word"}, {"\\e[1;5D", "ed-prev-word"},
    };
    for (const auto& [keys, action] : kKeys) ::el_set(el, EL_BIND, keys, action, nullptr);
    ::el_source(el, nullptr);  // the user's ~/.editrc
  }
  std::optional<std::string> edit(const std::string& with_prompt);

  ~Terminal() {
    if (fd >= 0) ::close(fd);
    if (el != nullptr) ::el_end(el);
    ::history_end(history);
  }
};

LineEditor::LineEditor(bool interactive, LineReader input, std::string history_file)
    : input_(std::move(input)), history_file_(std::move(history_file)) {
  if (!interactive) return;
  terminal_ = std::make_unique<Terminal>();
  if (terminal_->el == nullptr) {
    terminal_.reset();
    return;
  }
  HistEvent event;
  if (!history_file_.empty()) ::history(terminal_->history, &event, H_LOAD, history_file_.c_str());
}

LineEditor::~LineEditor() {
  if (!terminal_ || history_file_.empty()) return;
  HistEvent event;
  ::history(terminal_->history, &event, H_SAVE, history_file_.c_str());
}

// The line typed, nothing at the end of the input or after Ctrl+C.
std::optional<std::string> LineEditor::Terminal::edit(const std::string& with_prompt) {
  prompt = with_prompt;
  ::el_resize(el);
  // Before the prompt is printed: a Ctrl+D pressed on seeing it would mean nothing to the line-wise terminal.
  ::el_set(el, EL_PREP_TERM, 1);
  const char* term = std::getenv("TERM");
  const bool pastes = term != nullptr && std::strcmp(term, "dumb") != 0;
  bracketed_paste(pastes, "\033[?2004h");
  int size = 0;
  const char* text = ::el_gets(el, &size);
  bracketed_paste(pastes, "\033[?2004l");
  ::el_set(el, EL_PREP_TERM, 0);
  if (text == nullptr || size <= 0) return std::nullopt;
  std::string line(text, static_cast<size_t>(size));
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
  return line;
}

LineEditor::Outcome LineEditor::read(const std::string& prompt, std::string* line) {
  line->clear();
  bool ended;
  if (terminal_) {
    std::optional<std::string> typed = terminal_->edit(prompt);
    ended = !typed;
    if (typed) *line = std::move(*typed);
  } else {
    ended = !input_.next(line);
  }
  if (take_interrupt()) {
    if (terminal_) std::fputs("\n", stdout);
    return Outcome::kInterrupted;
  }
  return ended ? Outcome::kEnd : Outcome::kLine;
}

void LineEditor::remember(const std::string& entry) {
  if (!terminal_ || entry.empty()) return;
  HistEvent event;
  ::history(terminal_->history, &event, H_ENTER, entry.c_str());
}

}  // namespace bantam::cli
