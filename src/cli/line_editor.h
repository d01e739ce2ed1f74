// A line of input with editing and history on a terminal (libedit), plainly read otherwise. A paste of several lines
// arrives as one entry (bracketed paste). One at a time.
#pragma once

#include <memory>
#include <string>

#include "cli/line_reader.h"

namespace bantam::cli {

class LineEditor {
 public:
  // interactive: prompts and edits on the terminal; else reads `input` silently. history_file "" keeps history in
  // memory only.
  LineEditor(bool interactive, LineReader input, std::string history_file);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  enum class Outcome { kLine, kEnd, kInterrupted };  // kInterrupted: Ctrl+C at the prompt
  Outcome read(const std::string& prompt, std::string* line);
  void remember(const std::string& entry);

 private:
  struct Terminal;  // libedit's objects
  LineReader input_;
  std::unique_ptr<Terminal> terminal_;  // null when not interactive
  std::string history_file_;
};

}  // namespace bantam::cli
