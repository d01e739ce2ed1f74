// A conversation in the terminal: the messages, the settings, and the slash commands that change them. Owned by the
// chat command; one thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "cli/loaded_model.h"

namespace bantam::cli {

enum class ThinkingView : uint8_t { kShow, kCollapse, kHide };

struct ChatState {
  LoadedModel& model;
  Session& session;
  text::TemplateKind kind;
  const OutputOptions& output;
  SamplingFlags sampling;
  std::optional<bool> thinking;  // unset: the model's default
  ThinkingView view = ThinkingView::kShow;
  JsonValue messages = JsonValue::array();  // the system message, if any, is the first
  std::string last_thinking;
  std::vector<int32_t> last_answer_ids;

  void set_system(const std::string& text);
  void add(std::string_view role, const std::string& content, const std::string& reasoning = {});
  // Drops the last user message and all after it; false when there is none.
  bool undo(std::string* dropped_user_text);
  // Drops the oldest exchange (user message up to the next one); false when fewer than two are there.
  bool drop_oldest();
  Result<engine::Prompt> prompt() const;
};

enum class ChatAction : uint8_t { kNone, kQuit, kAnswer };  // kAnswer: generate for the messages as they stand

// Runs "/name arguments". Problems are told on stderr; the conversation goes on.
ChatAction run_chat_command(ChatState& state, std::string_view line);

}  // namespace bantam::cli
