// The slash commands of bantam chat; see chat_state.h.
#include <algorithm>
#include <charconv>
#include <functional>

#include "base/mmap.h"
#include "cli/chat_state.h"
#include "cli/terminal.h"

namespace bantam::cli {
namespace {

constexpr std::string_view kHelp =
    R"(  /help              this list
  /set NAME VALUE    a setting: temperature top-k top-p min-p presence-penalty frequency-penalty
                     repetition-penalty seed max-tokens budget (tokens of thinking) thinking (show, collapse,
                     hide); /set alone lists them
  /system TEXT       set the system message (nothing: remove it)
  /think  /nothink   switch the model's thinking on or off
  /expand            show the last answer's thinking
  /regen             answer the last message again
  /undo              take the last message and its answer back
  /drop              drop the oldest exchange, to make room
  /clear             start over (the system message stays)
  /save FILE [--kv]  write the conversation, with --kv what was read of it too, so that /load FILE need not read it
                     again; /load FILE reads one
  /tokens            the last answer, token by token
  /ctx               how full the context is
  /quit              leave (also Ctrl+D)
Several lines: end a line with \ or put """ before and after. Ctrl+C stops an answer, not the program.)";

bool is_user(const JsonValue& message) {
  const JsonValue* role = message.find("role");
  return role != nullptr && role->is_string() && role->as_string() == "user";
}

bool has_system(const JsonValue& messages) {
  const JsonValue* role = messages.items().empty() ? nullptr : messages.items()[0].find("role");
  return role != nullptr && role->is_string() && role->as_string() == "system";
}

template <class T>
bool parse_in(std::string_view text, T low, T high, std::optional<T>* out) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value >= low && value <= high)) {
    return false;  // NaN is in no range
  }
  *out = value;
  return true;
}

void print_settings(const ChatState& state) {
  const bool thinking = engine::will_think(state.kind, state.thinking);
  const auto sampling = sampling_for(state.sampling, state.model.engine.info(), thinking, text::is_hybrid(state.kind));
  if (!sampling.ok()) return;
  constexpr const char* kViews[] = {"show", "collapse", "hide"};
  fmt::print(stderr,
             "temperature {}  top-k {}  top-p {}  min-p {}\npresence-penalty {}  frequency-penalty {}  "
             "repetition-penalty {}\nseed {}  max-tokens {}  budget {}\nthinking {} ({})  template {}\n",
             sampling->temperature, sampling->top_k, sampling->top_p, sampling->min_p, sampling->presence_penalty,
             sampling->frequency_penalty, sampling->repetition_penalty,
             state.sampling.seed ? std::to_string(*state.sampling.seed) : "random",
             state.sampling.max_tokens ? std::to_string(*state.sampling.max_tokens) : "unlimited",
             state.sampling.thinking_budget ? std::to_string(*state.sampling.thinking_budget) : "unlimited",
             thinking ? "on" : "off", kViews[static_cast<int>(state.view)], text::template_name(state.kind));
}

bool set_one(ChatState& state, std::string_view name, std::string_view value) {
  SamplingFlags& s = state.sampling;
  if (name == "temperature") return parse_in(value, 0.0, 100.0, &s.temperature);
  if (name == "top-k") return parse_in(value, 0, 1 << 20, &s.top_k);
  if (name == "top-p") return parse_in(value, 0.0, 1.0, &s.top_p);
  if (name == "min-p") return parse_in(value, 0.0, 1.0, &s.min_p);
  if (name == "presence-penalty") return parse_in(value, -100.0, 100.0, &s.presence_penalty);
  if (name == "frequency-penalty") return parse_in(value, -100.0, 100.0, &s.frequency_penalty);
  if (name == "repetition-penalty") return parse_in(value, 0.01, 100.0, &s.repetition_penalty);
  if (name == "seed") return parse_in(value, uint64_t{0}, UINT64_MAX, &s.seed);
  if (name == "max-tokens") return parse_in(value, int64_t{0}, int64_t{1} << 30, &s.max_tokens);
  if (name == "budget") return parse_in(value, int64_t{0}, int64_t{1} << 30, &s.thinking_budget);
  if (name == "thinking") {
    constexpr std::string_view kViews[] = {"show", "collapse", "hide"};
    for (int i = 0; i < 3; ++i) {
      if (value == kViews[i]) {
        state.view = static_cast<ThinkingView>(i);
        return true;
      }
    }
  }
  return false;
}

void set(ChatState& state, std::string_view arguments) {
  const size_t space = arguments.find(' ');
  if (arguments.empty()) return print_settings(state);
  if (space == std::string_view::npos ||
      !set_one(state, arguments.substr(0, space), arguments.substr(arguments.find_last_of(' ') + 1))) {
    fmt::print(stderr, "cannot set that; /set alone lists the settings, /help says more\n");
  }
}

std::string kv_path(const std::string& path) {
  return path + ".kv";
}

Status save(const ChatState& state, std::string path) {
  constexpr std::string_view kWithKv = " --kv";
  const bool with_kv = path.ends_with(kWithKv);
  if (with_kv) path.resize(path.size() - kWithKv.size());
  if (path.empty()) return usage_error("expected /save FILE, or /save FILE --kv");
  JsonValue out = JsonValue::object();
  out.set("model", JsonValue::string(state.model.name));
  out.set("messages", state.messages);
  BANTAM_TRY_ASSIGN(AtomicFile file, AtomicFile::create(path));
  BANTAM_TRY(file.write(to_pretty_json(out) + "\n"));
  BANTAM_TRY(file.commit());
  fmt::print(stderr, "saved {} messages to {}\n", state.messages.items().size(), path);
  if (!with_kv) return {};
  BANTAM_TRY_ASSIGN(const int64_t tok, state.session.save(kv_path(path)));
  fmt::print(stderr, "saved {} tokens as they were read to {}\n", with_commas(tok), kv_path(path));
  return {};
}

Status load(ChatState& state, const std::string& path) {
  if (path.empty()) return usage_error("expected /load FILE");
  BANTAM_TRY_ASSIGN(const std::string text, read_file(path));
  BANTAM_TRY_ASSIGN(const JsonValue saved, parse_json(text, path));
  const JsonValue* messages = saved.find("messages");
  if (messages == nullptr || !messages->is_array()) return bad_input("{}: expected {{\"messages\": [...]}}", path);
  for (const JsonValue& message : messages->items()) {
    const JsonValue* role = message.find("role");
    const JsonValue* content = message.find("content");
    if (role == nullptr || !role->is_string() || content == nullptr || !content->is_string()) {
      return bad_input("{}: expected messages with a role and a text content", path);
    }
  }
  state.messages = *messages;
  fmt::print(stderr, "{} messages from {}\n", messages->items().size(), path);
  if (!file_exists(kv_path(path))) return {};
  const auto tok = state.session.restore(kv_path(path));
  if (tok.ok()) {
    fmt::print(stderr, "{} tokens need not be read again\n", with_commas(*tok));
  } else {
    fmt::print(stderr, "the conversation will be read again: {}\n", tok.status().message());
  }
  return {};
}

void print_tokens(const ChatState& state) {
  for (int32_t id : state.last_answer_ids) {
    std::string text;
    append_json_string(&text, state.model.tokenizer.token_bytes(id));
    fmt::print(stderr, "{:>8} {}\n", id, text);
  }
  fmt::print(stderr, "{} tokens in the last answer\n", state.last_answer_ids.size());
}

void print_context(const ChatState& state) {
  const auto prompt = state.prompt();
  const int64_t limit = state.session.capacity();
  const int64_t used = prompt.ok() && !state.messages.items().empty() ? static_cast<int64_t>(prompt->ids.size()) : 0;
  fmt::print(stderr, "{} of {} tokens used ({:.1f} %), {} kept from the last turn, {} per token of context\n",
             with_commas(used), with_commas(limit), 100.0 * static_cast<double>(used) / static_cast<double>(limit),
             with_commas(state.session.size()), human_bytes(state.model.engine.info().kv_bytes_per_tok));
}

void switch_thinking(ChatState& state, bool on) {
  if (!text::is_hybrid(state.kind)) {
    fmt::print(stderr, "the {} template has no thinking switch\n", text::template_name(state.kind));
    return;
  }
  state.thinking = on;
  fmt::print(stderr, "thinking {}\n", on ? "on" : "off");
}

ChatAction regenerate(ChatState& state) {
  auto& items = state.messages.items();
  while (!items.empty() && !is_user(items.back()) && !(items.size() == 1 && has_system(state.messages)))
    items.pop_back();
  if (items.empty() || !is_user(items.back())) {
    fmt::print(stderr, "nothing to answer yet\n");
    return ChatAction::kNone;
  }
  return ChatAction::kAnswer;
}

}  // namespace

void ChatState::set_system(const std::string& text) {
  auto& items = messages.items();
  if (has_system(messages)) items.erase(items.begin());
  if (text.empty()) return;
  items.insert(items.begin(),
               JsonValue::object({{"role", JsonValue::string("system")}, {"content", JsonValue::string(text)}}));
}

void ChatState::add(std::string_view role, const std::string& content, const std::string& reasoning) {
  JsonValue message =
      JsonValue::object({{"role", JsonValue::string(std::string(role))}, {"content", JsonValue::string(content)}});
  if (!reasoning.empty()) message.set("reasoning_content", JsonValue::string(reasoning));
  messages.items().push_back(std::move(message));
}

bool ChatState::undo(std::string* dropped_user_text) {
  auto& items = messages.items();
  for (size_t i = items.size(); i-- > 0;) {
    if (!is_user(items[i])) continue;
    *dropped_user_text = items[i].find("content")->as_string();
    items.resize(i);
    return true;
  }
  return false;
}

bool ChatState::drop_oldest() {
  auto& items = messages.items();
  const auto first = std::find_if(items.begin(), items.end(), is_user);
  if (first == items.end()) return false;
  const auto second = std::find_if(first + 1, items.end(), is_user);
  if (second == items.end()) return false;
  items.erase(first, second);
  return true;
}

Result<engine::Prompt> ChatState::prompt() const {
  return engine::render_prompt(model.tokenizer, kind, messages, nullptr, thinking);
}

ChatAction run_chat_command(ChatState& state, std::string_view line) {
  const size_t space = std::min(line.find(' '), line.size());
  const std::string_view name = line.substr(0, space);
  std::string_view rest = line.substr(std::min(space + 1, line.size()));
  while (!rest.empty() && rest.back() == ' ') rest.remove_suffix(1);
  const std::string arguments(rest);
  const auto report = [](const Status& status) {
    if (!status.ok()) fmt::print(stderr, "{}\n", status.message());
  };
  if (name == "/help" || name == "/?")
    fmt::print(stderr, "{}\n", kHelp);
  else if (name == "/quit" || name == "/exit" || name == "/bye")
    return ChatAction::kQuit;
  else if (name == "/set")
    set(state, rest);
  else if (name == "/system")
    state.set_system(arguments);
  else if (name == "/think")
    switch_thinking(state, true);
  else if (name == "/nothink")
    switch_thinking(state, false);
  else if (name == "/expand")
    fmt::print(stderr, "{}\n", state.last_thinking.empty() ? "no thinking" : state.last_thinking);
  else if (name == "/regen")
    return regenerate(state);
  else if (name == "/tokens")
    print_tokens(state);
  else if (name == "/ctx")
    print_context(state);
  else if (name == "/save")
    report(save(state, arguments));
  else if (name == "/load")
    report(load(state, arguments));
  else if (name == "/undo") {
    std::string dropped;
    fmt::print(stderr, "{}\n", state.undo(&dropped) ? "took back: " + dropped : "nothing to take back");
  } else if (name == "/drop") {
    fmt::print(stderr, "{}\n", state.drop_oldest() ? "dropped the oldest exchange" : "only one exchange is there");
  } else if (name == "/clear") {
    auto& items = state.messages.items();
    items.resize(has_system(state.messages) ? 1 : 0);
    fmt::print(stderr, "a new conversation\n");
  } else {
    fmt::print(stderr, "no command {}; /help lists them\n", name);
  }
  return ChatAction::kNone;
}

}  // namespace bantam::cli
