// A line of input with editing and history on a terminal (libedit), plainly read otherwise. A paste of several lines
// arrives as one entry (bracketed paste). One at a time.
#pragma once

#include <memory>
#include <string>

namespace bantam::cli {

class LineEditor {
 public:
  // interactive: prompts and edits; else reads stdin silently. history_file "" keeps history in memory only.
  LineEditor(bool interactive, std::string history_file);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  enum class Outcome { kLine, kEnd, kInterrupted };  // kInterrupted: Ctrl+C at the prompt
  Outcome read(const std::string& prompt, std::string* line);
  void remember(const std::string& entry);

 private:
  struct Terminal;                      // libedit's objects
  std::unique_ptr<Terminal> terminal_;  // null when not interactive
  std::string history_file_;
};

}  // namespace bantam::cli
