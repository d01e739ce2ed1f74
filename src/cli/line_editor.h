// A line of input with editing and history on a terminal (libedit), plainly read otherwise. One at a time.
#pragma once

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
  bool interactive_;
  std::string history_file_;
};

}  // namespace bantam::cli
