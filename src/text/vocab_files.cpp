// read_vocab_files, read_vocabulary and split_merge of text/tokenizer_readers.h.
#include "text/simdjson_fields.h"
#include "text/tokenizer_readers.h"

namespace bantam::text {

Status read_vocabulary(const JsonObject& vocabulary, size_t added, std::string_view where, TokenizerData* data) {
  const size_t count = vocabulary.size();
  data->tokens.reserve(count);
  for (const auto& [spelling, element] : vocabulary) {
    int64_t id;
    if (element.get(id) != simdjson::SUCCESS) {
      return bad_input("{}: \"{}\": expected an integer id, got {}", where, spelling.substr(0, 40), kind_name(element));
    }
    BANTAM_TRY(check_id(id, count + added, where));
    if (spelling.empty()) return bad_input("{}: id {}: expected a token, got an empty one", where, id);
    const auto at = static_cast<size_t>(id);
    if (at >= data->tokens.size()) data->tokens.resize(at + 1);
    if (!data->tokens[at].empty()) return bad_input("{}: id {} occurs twice", where, id);
    data->tokens[at] = spelling;
  }
  return {};
}

Status split_merge(std::string_view text, size_t rank, std::string_view where, TokenizerData* data) {
  const size_t space = text.find(' ');
  if (space == 0 || space == std::string_view::npos || space + 1 == text.size() ||
      text.find(' ', space + 1) != std::string_view::npos) {
    return bad_input("{}: merge {}: expected two tokens and a space between, got \"{}\"", where, rank,
                     text.substr(0, 80));
  }
  data->merges.push_back({text.substr(0, space), text.substr(space + 1)});
  return {};
}

Status read_vocab_files(std::string_view vocab_json, std::string_view merges_txt, simdjson::dom::parser* parser,
                        TokenizerData* data) {
  BANTAM_TRY_ASSIGN(const JsonObject vocabulary, parse_object(parser, vocab_json, "vocab.json"));
  BANTAM_TRY(read_vocabulary(vocabulary, data->added.size(), "vocab.json", data));
  while (!merges_txt.empty()) {
    const size_t line_end = std::min(merges_txt.find('\n'), merges_txt.size());
    std::string_view line = merges_txt.substr(0, line_end);
    merges_txt.remove_prefix(std::min(line_end + 1, merges_txt.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with("#version")) continue;
    BANTAM_TRY(split_merge(line, data->merges.size(), "merges.txt", data));
  }
  return {};
}

}  // namespace bantam::text
