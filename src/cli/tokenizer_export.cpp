// See tokenizer_export.h. GGUF keys: tokenizer.ggml.{model,pre,tokens,token_type,merges,eos_token_id,...} and
// tokenizer.chat_template; token types 1 normal, 3 control, 4 user defined, 5 unused.
#include "cli/tokenizer_export.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/json.h"
#include "formats/tensor_writer.h"

namespace bantam::cli {
namespace {

constexpr int32_t kNormal = 1, kControl = 3, kUserDefined = 4, kUnused = 5;
constexpr int64_t kMaxRows = int64_t{1} << 24;

struct Vocabulary {
  std::vector<std::string> tokens;  // by id
  std::vector<int32_t> types;
  std::vector<std::string> merges;
};

Status put(Vocabulary* out, int64_t rows, const std::string& token, const JsonValue& id_value, int32_t type) {
  BANTAM_TRY_ASSIGN(const int64_t id, id_value.as_int64());
  if (id < 0 || id >= rows) return bad_input("tokenizer: token {:?} has id {}, the model has {} rows", token, id, rows);
  out->tokens[static_cast<size_t>(id)] = token;
  out->types[static_cast<size_t>(id)] = type;
  return {};
}

bool is_special(const JsonValue& added) {
  const JsonValue* special = added.find("special");
  return special != nullptr && special->is_bool() && special->as_bool();
}

Status read_vocab(const JsonValue& vocab, int64_t rows, Vocabulary* out) {
  if (!vocab.is_object())
    return bad_input("tokenizer: expected the vocabulary as an object, got {}", vocab.kind_name());
  for (const auto& [token, id] : vocab.members()) BANTAM_TRY(put(out, rows, token, id, kNormal));
  return {};
}

Status read_tokenizer_json(std::string_view text, int64_t rows, Vocabulary* out) {
  BANTAM_TRY_ASSIGN(const JsonValue json, parse_json(text, "tokenizer.json"));
  const JsonValue* bpe = json.find("model");
  const JsonValue* vocab = bpe ? bpe->find("vocab") : nullptr;
  const JsonValue* merges = bpe ? bpe->find("merges") : nullptr;
  if (vocab == nullptr || merges == nullptr || !merges->is_array()) {
    return bad_input("tokenizer.json: expected model.vocab and model.merges");
  }
  BANTAM_TRY(read_vocab(*vocab, rows, out));
  for (const JsonValue& merge : merges->items()) {
    if (merge.is_string()) {
      out->merges.push_back(merge.as_string());
    } else if (merge.is_array() && merge.items().size() == 2 && merge.items()[0].is_string() &&
               merge.items()[1].is_string()) {
      out->merges.push_back(merge.items()[0].as_string() + " " + merge.items()[1].as_string());
    } else {
      return bad_input("tokenizer.json: merge {}: expected a pair of strings", out->merges.size());
    }
  }
  const JsonValue* added = json.find("added_tokens");
  if (added == nullptr || !added->is_array()) return {};
  for (const JsonValue& token : added->items()) {
    const JsonValue* content = token.find("content");
    const JsonValue* id = token.find("id");
    if (content == nullptr || !content->is_string() || id == nullptr) {
      return bad_input("tokenizer.json: added_tokens: expected objects with id and content");
    }
    BANTAM_TRY(put(out, rows, content->as_string(), *id, is_special(token) ? kControl : kUserDefined));
  }
  return {};
}

Status read_split_files(const formats::Checkpoint& folder, int64_t rows, Vocabulary* out) {
  BANTAM_TRY_ASSIGN(const JsonValue vocab, parse_json(*folder.text("vocab.json"), "vocab.json"));
  BANTAM_TRY(read_vocab(vocab, rows, out));
  std::string_view merges = *folder.text("merges.txt");
  while (!merges.empty()) {
    const size_t end = std::min(merges.find('\n'), merges.size());
    std::string_view line = merges.substr(0, end);
    merges.remove_prefix(std::min(end + 1, merges.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty() && !line.starts_with("#version")) out->merges.emplace_back(line);
  }
  const auto config_text = folder.text("tokenizer_config.json");
  if (!config_text) return {};
  BANTAM_TRY_ASSIGN(const JsonValue config, parse_json(*config_text, "tokenizer_config.json"));
  const JsonValue* added = config.find("added_tokens_decoder");
  if (added == nullptr || !added->is_object()) return {};
  for (const auto& [id, token] : added->members()) {
    const JsonValue* content = token.find("content");
    if (content == nullptr || !content->is_string())
      return bad_input("tokenizer_config.json: added token {} has no content", id);
    BANTAM_TRY(
        put(out, rows, content->as_string(), JsonValue::number(id), is_special(token) ? kControl : kUserDefined));
  }
  return {};
}

void set_vocabulary(const Vocabulary& vocabulary, formats::GgufMetadataBuilder* out) {
  const std::vector<std::string_view> tokens(vocabulary.tokens.begin(), vocabulary.tokens.end());
  const std::vector<std::string_view> merges(vocabulary.merges.begin(), vocabulary.merges.end());
  out->set_string("tokenizer.ggml.model", "gpt2");
  out->set_string("tokenizer.ggml.pre", "qwen2");
  out->set_strings("tokenizer.ggml.tokens", tokens);
  out->set_i32s("tokenizer.ggml.token_type", vocabulary.types);
  out->set_strings("tokenizer.ggml.merges", merges);
  out->set_bool("tokenizer.ggml.add_bos_token", false);
}

// The id of a token named by a string in tokenizer_config.json ("eos_token").
void set_named_id(const JsonValue& config, std::string_view key, std::string_view gguf_key,
                  const Vocabulary& vocabulary, formats::GgufMetadataBuilder* out) {
  const JsonValue* name = config.find(key);
  if (name != nullptr && name->is_object()) name = name->find("content");
  if (name == nullptr || !name->is_string()) return;
  const auto at = std::find(vocabulary.tokens.begin(), vocabulary.tokens.end(), name->as_string());
  if (at != vocabulary.tokens.end()) out->set_u32(gguf_key, static_cast<uint32_t>(at - vocabulary.tokens.begin()));
}

}  // namespace

Status tokenizer_to_gguf(const formats::Checkpoint& folder, int64_t rows, formats::GgufMetadataBuilder* out) {
  const bool joined = folder.text("tokenizer.json").has_value();
  if (!joined && !(folder.text("vocab.json") && folder.text("merges.txt"))) {
    out->set_string("tokenizer.ggml.model", "no_vocab");
    return {};
  }
  Vocabulary vocabulary;
  vocabulary.tokens.resize(static_cast<size_t>(rows));
  vocabulary.types.assign(static_cast<size_t>(rows), kUnused);
  BANTAM_TRY(joined ? read_tokenizer_json(*folder.text("tokenizer.json"), rows, &vocabulary)
                    : read_split_files(folder, rows, &vocabulary));
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    if (vocabulary.types[i] == kUnused) vocabulary.tokens[i] = fmt::format("[PAD{}]", i);
  }
  set_vocabulary(vocabulary, out);
  std::string chat_template(folder.text("chat_template.jinja").value_or(std::string_view()));
  if (const auto text = folder.text("tokenizer_config.json")) {
    BANTAM_TRY_ASSIGN(const JsonValue config, parse_json(*text, "tokenizer_config.json"));
    set_named_id(config, "eos_token", "tokenizer.ggml.eos_token_id", vocabulary, out);
    set_named_id(config, "pad_token", "tokenizer.ggml.padding_token_id", vocabulary, out);
    const JsonValue* own = config.find("chat_template");
    if (chat_template.empty() && own != nullptr && own->is_string()) chat_template = own->as_string();
  }
  if (!chat_template.empty()) out->set_string("tokenizer.chat_template", chat_template);
  return {};
}

namespace {

JsonValue text_value(std::string_view text) {
  return JsonValue::string(std::string(text));
}

// The parts of tokenizer.json that are the same for the whole family.
constexpr std::string_view kTokenizerShape =
    R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":{"type":"NFC"},
"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":
"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},
"behavior":"Isolated","invert":false},{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":false,"use_regex":false}]},
"post_processor":{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":false,"use_regex":false},
"decoder":{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":false,"use_regex":false},
"model":{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":"","end_of_word_suffix":"",
"fuse_unk":false,"byte_fallback":false,"ignore_merges":false,"vocab":{},"merges":[]}})";

JsonValue added_token(size_t id, std::string_view content, bool special, bool with_id) {
  JsonValue token = JsonValue::object();
  if (with_id) token.set("id", JsonValue::number(static_cast<int64_t>(id)));
  token.set("content", text_value(content));
  for (const char* flag : {"single_word", "lstrip", "rstrip", "normalized"}) token.set(flag, JsonValue::boolean(false));
  token.set("special", JsonValue::boolean(special));
  return token;
}

}  // namespace

Status tokenizer_to_folder(const formats::GgufMetadata& gguf, const std::string& folder) {
  if (!gguf.has("tokenizer.ggml.tokens")) return {};
  BANTAM_TRY_ASSIGN(const auto tokens, gguf.strings("tokenizer.ggml.tokens"));
  BANTAM_TRY_ASSIGN(const auto merges, gguf.strings("tokenizer.ggml.merges"));
  BANTAM_TRY_ASSIGN(const auto types, gguf.i32s("tokenizer.ggml.token_type"));
  if (types.size() != tokens.size() || static_cast<int64_t>(tokens.size()) > kMaxRows) {
    return bad_input("tokenizer.ggml.token_type: expected {} entries, got {}", tokens.size(), types.size());
  }
  BANTAM_TRY_ASSIGN(JsonValue json, parse_json(kTokenizerShape, "tokenizer shape"));
  std::vector<JsonValue::Member> vocab;
  JsonValue added = JsonValue::array(), decoder = JsonValue::object();
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (types[id] == kNormal) vocab.emplace_back(std::string(tokens[id]), JsonValue::number(static_cast<int64_t>(id)));
    if (types[id] != kControl && types[id] != kUserDefined) continue;
    const bool special = types[id] == kControl;
    added.items().push_back(added_token(id, tokens[id], special, true));
    decoder.members().emplace_back(std::to_string(id), added_token(id, tokens[id], special, false));
  }
  std::vector<JsonValue> merge_list;
  merge_list.reserve(merges.size());
  for (std::string_view merge : merges) merge_list.push_back(text_value(merge));
  JsonValue bpe = *json.find("model");
  bpe.set("vocab", JsonValue::object(std::move(vocab)));
  bpe.set("merges", JsonValue::array(std::move(merge_list)));
  json.set("added_tokens", std::move(added));
  json.set("model", std::move(bpe));
  BANTAM_TRY(formats::write_whole_file(folder + "/tokenizer.json", to_json(json)));

  JsonValue config = JsonValue::object();
  config.set("added_tokens_decoder", std::move(decoder));
  if (gguf.has("tokenizer.chat_template")) {
    BANTAM_TRY_ASSIGN(const std::string_view text, gguf.string("tokenizer.chat_template"));
    config.set("chat_template", text_value(text));
  }
  if (gguf.has("tokenizer.ggml.eos_token_id")) {
    BANTAM_TRY_ASSIGN(const int64_t eos, gguf.integer("tokenizer.ggml.eos_token_id"));
    if (eos >= 0 && eos < static_cast<int64_t>(tokens.size()))
      config.set("eos_token", text_value(tokens[static_cast<size_t>(eos)]));
  }
  config.set("tokenizer_class", text_value("Qwen2Tokenizer"));
  return formats::write_whole_file(folder + "/tokenizer_config.json", to_pretty_json(config) + "\n");
}

}  // namespace bantam::cli
