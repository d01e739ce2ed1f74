// Folder and in-memory loading of text/tokenizer_loader.h: chooses between the kinds of files and reads
// tokenizer_config.json.
#include "text/tokenizer_loader.h"

#include "base/json.h"
#include "base/mmap.h"
#include "text/tokenizer_readers.h"

namespace bantam::text {
namespace {

constexpr std::string_view kConfig = "tokenizer_config.json";

Result<bool> config_flag(const JsonValue& object, std::string_view key, std::string_view where) {
  const JsonValue* value = object.find(key);
  if (value == nullptr || value->is_null()) return false;
  if (!value->is_bool()) return bad_input("{}: {}: expected a flag, got {}", where, key, value->kind_name());
  return value->as_bool();
}

// added_tokens_decoder: {"151643": {"content": ...}, ...}.
Status read_added_tokens(const JsonValue& config, TokenizerData* data) {
  const JsonValue* decoder = config.find("added_tokens_decoder");
  if (decoder == nullptr || decoder->is_null()) return {};
  if (!decoder->is_object()) {
    return bad_input("{}: added_tokens_decoder: expected an object, got {}", kConfig, decoder->kind_name());
  }
  for (const auto& [key, value] : decoder->members()) {
    const std::string where = fmt::format("{}: added_tokens_decoder: \"{}\"", kConfig, key.substr(0, 40));
    const bool is_id = !key.empty() && key.size() <= 7 && key.find_first_not_of("0123456789") == std::string::npos;
    if (!is_id) return bad_input("{}: expected an id", where);
    const JsonValue* content = value.find("content");
    if (content == nullptr || !content->is_string()) return bad_input("{}: expected a string named content", where);
    AddedToken token;
    for (const char digit : key) token.id = (token.id < 0 ? 0 : token.id) * 10 + (digit - '0');
    token.content = content->as_string();
    BANTAM_TRY_ASSIGN(token.special, config_flag(value, "special", where));
    BANTAM_TRY_ASSIGN(token.lstrip, config_flag(value, "lstrip", where));
    BANTAM_TRY_ASSIGN(token.rstrip, config_flag(value, "rstrip", where));
    BANTAM_TRY_ASSIGN(token.normalized, config_flag(value, "normalized", where));
    BANTAM_TRY_ASSIGN(const bool single_word, config_flag(value, "single_word", where));
    if (single_word) return bad_input("{}: single_word: expected false, as in every Qwen tokenizer, got true", where);
    data->added.push_back(std::move(token));
  }
  return {};
}

// chat_template is a string or a list of {"name", "template"} of which "default" counts.
std::string config_template(const JsonValue& config) {
  const JsonValue* value = config.find("chat_template");
  if (value == nullptr) return {};
  if (value->is_string()) return value->as_string();
  if (!value->is_array()) return {};
  for (const JsonValue& item : value->items()) {
    const JsonValue* name = item.find("name");
    const JsonValue* text = item.find("template");
    if (name != nullptr && text != nullptr && name->is_string() && text->is_string() &&
        name->as_string() == "default") {
      return text->as_string();
    }
  }
  return {};
}

// eos_token is a string or an added token's object.
std::string config_eos(const JsonValue& config) {
  const JsonValue* value = config.find("eos_token");
  if (value != nullptr && value->is_object()) value = value->find("content");
  return value != nullptr && value->is_string() ? value->as_string() : std::string();
}

Status check_class(const JsonValue& config) {
  const JsonValue* value = config.find("tokenizer_class");
  if (value == nullptr || !value->is_string()) return {};
  const std::string& name = value->as_string();
  if (name == "Qwen2Tokenizer" || name == "Qwen2TokenizerFast") return {};
  return bad_input("{}: tokenizer_class: expected Qwen2Tokenizer, got {}", kConfig, name.substr(0, 80));
}

Status read_config(const TokenizerFiles& files, TokenizerData* data) {
  data->chat_template = files.chat_template_jinja;
  if (files.tokenizer_config_json.empty()) return {};
  BANTAM_TRY_ASSIGN(const JsonValue config, parse_json(files.tokenizer_config_json, kConfig));
  if (!config.is_object()) return bad_input("{}: expected an object, got {}", kConfig, config.kind_name());
  if (data->chat_template.empty()) data->chat_template = config_template(config);
  data->eos_token = config_eos(config);
  if (!files.tokenizer_json.empty()) return {};  // tokenizer.json says itself what it is and what is added
  BANTAM_TRY(check_class(config));
  return read_added_tokens(config, data);
}

}  // namespace

Result<Tokenizer> load_tokenizer(const TokenizerFiles& files) {
  TokenizerData data;
  simdjson::dom::parser parser;
  BANTAM_TRY(read_config(files, &data));
  if (!files.tokenizer_json.empty()) {
    BANTAM_TRY(read_tokenizer_json(files.tokenizer_json, &parser, &data));
  } else if (!files.vocab_json.empty() && !files.merges_txt.empty()) {
    BANTAM_TRY(read_vocab_files(files.vocab_json, files.merges_txt, &parser, &data));
  } else {
    return bad_input("tokenizer: expected tokenizer.json, or vocab.json and merges.txt, got neither");
  }
  Result<Tokenizer> made = make_tokenizer(std::move(data));
  if (!made.ok()) return std::move(made).status().with_context("tokenizer");
  return made;
}

Result<Tokenizer> load_tokenizer_folder(const std::string& folder) {
  const auto read = [&](const char* name, std::string* text) -> Status {
    const std::string path = folder + "/" + name;
    if (!file_exists(path)) return {};
    BANTAM_TRY_ASSIGN(*text, read_file(path));
    return {};
  };
  if (!is_directory(folder)) return bad_input("{}: expected a folder with a tokenizer, got none", folder);
  std::string tokenizer_json, vocab_json, merges_txt, config, chat_template;
  BANTAM_TRY(read("tokenizer.json", &tokenizer_json));
  if (tokenizer_json.empty()) {
    BANTAM_TRY(read("vocab.json", &vocab_json));
    BANTAM_TRY(read("merges.txt", &merges_txt));
  }
  BANTAM_TRY(read("tokenizer_config.json", &config));
  BANTAM_TRY(read("chat_template.jinja", &chat_template));
  Result<Tokenizer> loaded =
      load_tokenizer(TokenizerFiles{tokenizer_json, vocab_json, merges_txt, config, chat_template});
  if (!loaded.ok()) return std::move(loaded).status().with_context(folder);
  return loaded;
}

}  // namespace bantam::text
