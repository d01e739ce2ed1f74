// bantam tokenize, detokenize: text to ids and back. Need only the tokenizer files of MODEL.
#include <cstdio>
#include <optional>

#include "base/json.h"
#include "base/mmap.h"
#include "cli/command.h"
#include "cli/jsonl.h"
#include "cli/model_catalogue.h"
#include "cli/options.h"
#include "cli/terminal.h"

namespace bantam::cli {
namespace {

struct TokenizeOptions {
  ModelWords words;  // [MODEL] TEXT
  std::string jsonl;
  CLI::Option* jsonl_given = nullptr;
  bool special = false;
  OutputOptions output;
};

bool names_a_model(const std::string& word) {
  return is_directory(word) || (word.ends_with(".gguf") && file_exists(word));
}

// [MODEL] [TEXT]: a single word is the model when the text comes from elsewhere or a folder or .gguf file of that name
// is there; else it is the text.
struct Words {
  std::string model;
  std::optional<std::string> text;
};
Words split_words(const ModelWords& words, bool text_elsewhere) {
  if (words.count() == 2) return {words.first, words.second};
  if (words.count() == 0) return {};
  if (text_elsewhere || names_a_model(words.first)) return {words.first, std::nullopt};
  return {"", words.first};
}

// A token's bytes for people: control characters and broken UTF-8 escaped.
std::string visible(std::string_view bytes) {
  std::string json;
  append_json_string(&json, bytes);
  return json.substr(1, json.size() - 2);
}

void print_picture(const text::Tokenizer& tokenizer, std::span<const int32_t> ids, bool color) {
  constexpr const char* kBackgrounds[] = {"\033[48;5;153m", "\033[48;5;194m", "\033[48;5;224m", "\033[48;5;229m"};
  if (color) {
    std::string line;
    for (size_t i = 0; i < ids.size(); ++i) {
      line += fmt::format("{}\033[38;5;16m{}\033[0m", kBackgrounds[i % 4], visible(tokenizer.token_bytes(ids[i])));
    }
    fmt::print("{}\n\n", line);
  }
  for (int32_t id : ids) {
    fmt::print("{:>8}  {}{}\n", id, visible(tokenizer.token_bytes(id)),
               tokenizer.is_added(id) ? "   (added token)" : "");
  }
}

Result<std::string> tokenize_line(const text::Tokenizer& tokenizer, const JsonValue& request) {
  BANTAM_TRY_ASSIGN(const std::string text, string_field(request, "text"));
  BANTAM_TRY_ASSIGN(const bool special, bool_field(request, "special", false));
  return "{\"ids\":" + ids_json(tokenizer.encode(text, special)) + "}";
}

Status tokenize(TokenizeOptions& options) {
  const bool lines = options.jsonl_given->count() > 0;
  auto [model, given] = split_words(options.words, lines);
  if (lines) settle_jsonl_arguments(&model, &options.jsonl);
  auto opened = open_tokenizer(model);
  if (!opened.ok() && given && !names_a_model(model)) {
    return std::move(opened).status().with_context(
        "tokenize takes [MODEL] TEXT (a text of several words needs quotes)");
  }
  BANTAM_TRY_ASSIGN(const text::Tokenizer tokenizer, std::move(opened));
  if (lines) return run_jsonl(options.jsonl, [&](const JsonValue& r) { return tokenize_line(tokenizer, r); });
  if (!given) {
    BANTAM_TRY_ASSIGN(given, read_stdin(options.output, "the text"));
  }
  const std::string& text = *given;
  const std::vector<int32_t> ids = tokenizer.encode(text, options.special);
  if (options.output.json) {
    std::string pieces;
    for (int32_t id : ids) {
      if (!pieces.empty()) pieces += ',';
      append_json_string(&pieces, tokenizer.token_bytes(id));
    }
    fmt::print("{{\"ids\":{},\"pieces\":[{}]}}\n", ids_json(ids), pieces);
    return {};
  }
  if (!stdout_is_tty()) {
    fmt::print("{}\n", fmt::join(ids, " "));
    return {};
  }
  print_picture(tokenizer, ids, use_color(options.output, true));
  note(options.output, fmt::format("{} tokens, {} bytes", ids.size(), text.size()));
  return {};
}

struct DetokenizeOptions {
  std::vector<std::string> words;  // [MODEL] ID...
  std::string jsonl;
  CLI::Option* jsonl_given = nullptr;
  OutputOptions output;
};

Status check_have_text(const text::Tokenizer& tokenizer, std::span<const int32_t> ids) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (!tokenizer.has_text(ids[i])) {
      return bad_input("ids[{}]: expected an id that has text (below {}), got {}", i, tokenizer.size(), ids[i]);
    }
  }
  return {};
}

Result<std::string> detokenize_line(const text::Tokenizer& tokenizer, const JsonValue& request) {
  BANTAM_TRY_ASSIGN(const std::vector<int32_t> ids, ids_field(request, "ids"));
  BANTAM_TRY(check_have_text(tokenizer, ids));
  std::string reply = "{\"text\":";
  append_json_string(&reply, tokenizer.decode(ids));
  return reply + "}";
}

Status parse_ids(const std::string& words, std::vector<int32_t>* ids) {
  size_t at = 0;
  constexpr std::string_view kSeparators = " \t\r\n,[]";
  while ((at = words.find_first_not_of(kSeparators, at)) != std::string::npos) {
    const size_t end = std::min(words.find_first_of(kSeparators, at), words.size());
    auto id = JsonValue::number(words.substr(at, end - at)).as_int64();
    if (!id.ok() || *id < 0 || *id > INT32_MAX)
      return usage_error("expected token ids, got {:?}", words.substr(at, end - at));
    ids->push_back(static_cast<int32_t>(*id));
    at = end;
  }
  return {};
}

Status detokenize(DetokenizeOptions& options) {
  const bool lines = options.jsonl_given->count() > 0;
  std::string model, words;
  for (const std::string& word : options.words) {
    const bool number = word.find_first_not_of("0123456789,[] ") == std::string::npos;
    if (!number && model.empty() && words.empty()) {
      model = word;
    } else {
      words += word + " ";
    }
  }
  if (lines) settle_jsonl_arguments(&model, &options.jsonl);
  BANTAM_TRY_ASSIGN(const text::Tokenizer tokenizer, open_tokenizer(model));
  if (lines) return run_jsonl(options.jsonl, [&](const JsonValue& r) { return detokenize_line(tokenizer, r); });
  std::vector<int32_t> ids;
  if (words.empty()) {
    BANTAM_TRY_ASSIGN(words, read_stdin(options.output, "the ids"));
  }
  BANTAM_TRY(parse_ids(words, &ids));
  BANTAM_TRY(check_have_text(tokenizer, ids));
  if (options.output.json) {
    std::string text;
    append_json_string(&text, tokenizer.decode(ids));
    fmt::print("{{\"text\":{}}}\n", text);
  } else {
    fmt::print("{}{}", tokenizer.decode(ids), stdout_is_tty() ? "\n" : "");
  }
  return {};
}

}  // namespace

void add_tokenize(CLI::App& app, Dispatch& dispatch) {
  auto* command = app.add_subcommand("tokenize", "text to token ids; a picture of the split on a terminal");
  auto& options = declare<TokenizeOptions>(*command, dispatch, tokenize);
  add_model_words(*command, &options.words, "TEXT", "the text; without it stdin is read");
  options.jsonl_given =
      command->add_option("--jsonl", options.jsonl, "lines {\"text\": s, \"special\": bool} from FILE or stdin")
          ->expected(0, 1);
  command->add_flag("--special", options.special, "recognise added tokens such as <|im_end|> in the text");
  add_output_options(*command, &options.output, true);
  command->footer(
      "Examples:\n"
      "  bantam tokenize 'How many tokens is this?'\n"
      "  bantam tokenize ./Qwen3-4B 'a text' --json\n"
      "  bantam tokenize ./Qwen3-4B --jsonl texts.jsonl > ids.jsonl");
}

void add_detokenize(CLI::App& app, Dispatch& dispatch) {
  auto* command = app.add_subcommand("detokenize", "token ids to text");
  auto& options = declare<DetokenizeOptions>(*command, dispatch, detokenize);
  command->add_option("MODEL_IDS", options.words, "[MODEL] ID...; without ids, stdin is read");
  options.jsonl_given =
      command->add_option("--jsonl", options.jsonl, "lines {\"ids\": [...]} from FILE or stdin")->expected(0, 1);
  add_output_options(*command, &options.output, true);
  command->footer(
      "Examples:\n"
      "  bantam detokenize 2455 485\n"
      "  echo '{\"ids\": [2455, 485]}' | bantam detokenize ./Qwen3-4B --jsonl");
}

}  // namespace bantam::cli
