// read_tokenizer_json of text/tokenizer_readers.h.
#include "text/pre_tokenizer.h"
#include "text/simdjson_fields.h"
#include "text/tokenizer_readers.h"

namespace bantam::text {
namespace {

constexpr std::string_view kFile = "tokenizer.json";

Status check_normalizer(const JsonObject& file) {
  BANTAM_TRY_ASSIGN(const JsonObject normalizer, object_member(file, "normalizer", kFile));
  return expect_string(normalizer, "type", "NFC", "tokenizer.json: normalizer");
}

Status check_split(const JsonElement& element) {
  constexpr std::string_view kWhere = "tokenizer.json: pre_tokenizer: first of the sequence";
  JsonObject split;
  if (element.get(split) != simdjson::SUCCESS) {
    return bad_input("{}: expected an object, got {}", kWhere, kind_name(element));
  }
  BANTAM_TRY(expect_string(split, "type", "Split", kWhere));
  BANTAM_TRY(expect_string(split, "behavior", "Isolated", kWhere));
  BANTAM_TRY(expect_flag(split, "invert", false, kWhere));
  BANTAM_TRY_ASSIGN(const JsonObject pattern, object_member(split, "pattern", kWhere));
  return expect_string(pattern, "Regex", kSplitPattern, kWhere);
}

Status check_byte_level(const JsonElement& element) {
  constexpr std::string_view kWhere = "tokenizer.json: pre_tokenizer: second of the sequence";
  JsonObject byte_level;
  if (element.get(byte_level) != simdjson::SUCCESS) {
    return bad_input("{}: expected an object, got {}", kWhere, kind_name(element));
  }
  BANTAM_TRY(expect_string(byte_level, "type", "ByteLevel", kWhere));
  BANTAM_TRY(expect_flag(byte_level, "add_prefix_space", false, kWhere));
  // The reference's default for use_regex is true, so an absent one is another split.
  JsonElement use_regex;
  if (!has_member(byte_level, "use_regex", &use_regex)) {
    return bad_input("{}: use_regex: expected false, got none", kWhere);
  }
  return expect_flag(byte_level, "use_regex", false, kWhere);
}

Status check_pre_tokenizer(const JsonObject& file) {
  constexpr std::string_view kWhere = "tokenizer.json: pre_tokenizer";
  BANTAM_TRY_ASSIGN(const JsonObject pre_tokenizer, object_member(file, "pre_tokenizer", kFile));
  BANTAM_TRY(expect_string(pre_tokenizer, "type", "Sequence", kWhere));
  BANTAM_TRY_ASSIGN(const JsonArray sequence, array_member(pre_tokenizer, "pretokenizers", kWhere));
  if (sequence.size() != 2) return bad_input("{}: expected a sequence of 2, got {}", kWhere, sequence.size());
  BANTAM_TRY(check_split(sequence.at(0)));
  return check_byte_level(sequence.at(1));
}

// A post-processor other than ByteLevel, which moves no ids, would add tokens around every text.
Status check_ends(const JsonObject& file) {
  BANTAM_TRY_ASSIGN(const JsonObject decoder, object_member(file, "decoder", kFile));
  BANTAM_TRY(expect_string(decoder, "type", "ByteLevel", "tokenizer.json: decoder"));
  JsonElement post_processor;
  if (!has_member(file, "post_processor", &post_processor)) return {};
  BANTAM_TRY_ASSIGN(const JsonObject object, object_member(file, "post_processor", kFile));
  return expect_string(object, "type", "ByteLevel", "tokenizer.json: post_processor");
}

Status check_model(const JsonObject& model) {
  constexpr std::string_view kWhere = "tokenizer.json: model";
  BANTAM_TRY(expect_string(model, "type", "BPE", kWhere));
  for (const std::string_view key :
       {"dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges"}) {
    BANTAM_TRY(expect_off(model, key, kWhere));
  }
  return {};
}

Result<AddedToken> read_added(const JsonElement& element, size_t index) {
  const std::string where = fmt::format("tokenizer.json: added_tokens {}", index);
  JsonObject object;
  if (element.get(object) != simdjson::SUCCESS) {
    return bad_input("{}: expected an object, got {}", where, kind_name(element));
  }
  AddedToken token;
  int64_t id;
  if (object["id"].get(id) != simdjson::SUCCESS) return bad_input("{}: expected an integer named id", where);
  // The caller bounds ids by what the whole file holds; this much keeps the narrowing honest.
  if (id < 0 || id >= kMaxTokenIds) return bad_input("{}: expected an id below {}, got {}", where, kMaxTokenIds, id);
  token.id = static_cast<int32_t>(id);
  BANTAM_TRY_ASSIGN(const std::string_view content, string_member(object, "content", where));
  token.content = content;
  BANTAM_TRY_ASSIGN(token.special, flag_member(object, "special", where));
  BANTAM_TRY_ASSIGN(token.lstrip, flag_member(object, "lstrip", where));
  BANTAM_TRY_ASSIGN(token.rstrip, flag_member(object, "rstrip", where));
  BANTAM_TRY_ASSIGN(token.normalized, flag_member(object, "normalized", where));
  BANTAM_TRY(expect_off(object, "single_word", where));
  return token;
}

Status read_merges(const JsonArray& merges, TokenizerData* data) {
  data->merges.reserve(merges.size());
  for (const JsonElement element : merges) {
    const size_t rank = data->merges.size();
    if (std::string_view text; element.get(text) == simdjson::SUCCESS) {
      BANTAM_TRY(split_merge(text, rank, kFile, data));
      continue;
    }
    JsonArray pair;
    std::string_view left, right;
    if (element.get(pair) != simdjson::SUCCESS || pair.size() != 2 || pair.at(0).get(left) != simdjson::SUCCESS ||
        pair.at(1).get(right) != simdjson::SUCCESS) {
      return bad_input("tokenizer.json: merge {}: expected two strings, got {}", rank, kind_name(element));
    }
    data->merges.push_back({left, right});
  }
  return {};
}

}  // namespace

Status read_tokenizer_json(std::string_view text, simdjson::dom::parser* parser, TokenizerData* data) {
  BANTAM_TRY_ASSIGN(const JsonObject file, parse_object(parser, text, kFile));
  BANTAM_TRY_ASSIGN(const JsonObject model, object_member(file, "model", kFile));
  BANTAM_TRY(check_model(model));
  BANTAM_TRY(check_normalizer(file));
  BANTAM_TRY(check_pre_tokenizer(file));
  BANTAM_TRY(check_ends(file));
  JsonElement element;
  if (has_member(file, "added_tokens", &element)) {
    BANTAM_TRY_ASSIGN(const JsonArray added, array_member(file, "added_tokens", kFile));
    for (const JsonElement token : added) {
      BANTAM_TRY_ASSIGN(AddedToken read, read_added(token, data->added.size()));
      data->added.push_back(std::move(read));
    }
  }
  BANTAM_TRY_ASSIGN(const JsonObject vocabulary, object_member(model, "vocab", "tokenizer.json: model"));
  BANTAM_TRY(read_vocabulary(vocabulary, data->added.size(), "tokenizer.json: vocab", data));
  BANTAM_TRY_ASSIGN(const JsonArray merges, array_member(model, "merges", "tokenizer.json: model"));
  return read_merges(merges, data);
}

}  // namespace bantam::text
