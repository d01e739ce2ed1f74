// What the loaders accept and refuse: GGUF metadata, other shapes of tokenizer.json, damaged files.
#include "text/tokenizer_loader.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "base/json.h"
#include "text/tokenizer_files.h"

namespace bantam::text {
namespace {

using testing::HasSubstr;

std::string error_of(const TokenizerFiles& files) {
  auto loaded = load_tokenizer(files);
  return loaded.ok() ? "loaded" : std::string(loaded.status().message());
}

std::string error_of_json(const std::string& json) {
  return error_of(TokenizerFiles{.tokenizer_json = json});
}

// tokenizer.json with the first `from` replaced.
std::string edited(const std::string& from, const std::string& to) {
  std::string json = golden_file("tokenizer.json");
  const size_t at = json.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? json : json.replace(at, from.size(), to);
}

TEST(TokenizerLoader, OtherShapesOfTokenizerJsonAreNamed) {
  const struct {
    const char *from, *to, *message;
  } cases[] = {
      {R"("type":"BPE")", R"("type":"Unigram")", R"(model: type: expected "BPE", got "Unigram")"},
      {R"("type":"NFC")", R"("type":"NFKC")", R"(normalizer: type: expected "NFC", got "NFKC")"},
      {R"("normalizer":{"type":"NFC"})", R"("normalizer":null)", "normalizer: expected an object, got null"},
      {R"("byte_fallback":false)", R"("byte_fallback":true)", "byte_fallback: expected it to be off"},
      {R"("ignore_merges":false)", R"("ignore_merges":true)", "ignore_merges"},
      {R"("dropout":null)", R"("dropout":0.1)", "dropout: expected it to be off, as in every Qwen tokenizer, got 0.1"},
      {R"("continuing_subword_prefix":null)", R"("continuing_subword_prefix":"##")", "continuing_subword_prefix"},
      {R"("type":"Sequence")", R"("type":"Metaspace")", R"(pre_tokenizer: type: expected "Sequence", got "Metaspace")"},
      {R"(|\\p{N}|)", R"(|\\p{N}{1,3}|)", "Regex: expected"},
      {R"("behavior":"Isolated")", R"("behavior":"Removed")", "behavior"},
      {R"("invert":false)", R"("invert":true)", "invert: expected false, got true"},
      {R"("use_regex":false)", R"("use_regex":true)", "use_regex: expected false, got true"},
      {R"("single_word":false)", R"("single_word":true)", "added_tokens 0: single_word"},
      {R"("post_processor":{"type":"ByteLevel")", R"("post_processor":{"type":"TemplateProcessing")", "post_processor"},
      {R"("decoder":{"type":"ByteLevel")", R"("decoder":{"type":"Fuse")", "decoder"},
      {R"("id":640)", R"("id":641)", "this id occurs twice"},
      {R"("id":640)", R"("id":-1)", "expected an id"},
      {R"("id":640)", R"("id":900000)", "expected an id from 0 to"},
      {R"("content":"<think>")", R"("content":"</think>")", "this content occurs twice"},
      {R"("content":"<think>")", R"("content":"")", "expected 1 to 1024 bytes of content, got 0"},
      {R"("!":0)", R"("!":1)", "id 1 occurs twice"},
      {R"("!":0)", R"("!":"0")", "expected an integer id, got a string"},
      {R"("!":0)", R"("!!!!!!!":0)", "expected a token for every byte, got none for 0x21"},
      {R"("!":0)", R"("!":99999999)", "expected an id from 0 to"},
      {R"("merges":[[)", R"("merges":[["a","zzzz"],[)", "merge 0: expected two tokens that make a third"},
      {R"("merges":[[)", R"("merges":[["a"],[)", "merge 0: expected two strings"},
      {R"("merges":[[)", R"("merges":["a b c",[)", "merge 0: expected two tokens and a space between"},
  };
  for (const auto& c : cases) EXPECT_THAT(error_of_json(edited(c.from, c.to)), HasSubstr(c.message)) << c.from;
}

TEST(TokenizerLoader, DamagedFilesAreErrors) {
  EXPECT_THAT(error_of_json("{"), HasSubstr("tokenizer.json: not valid JSON"));
  EXPECT_THAT(error_of_json("[]"), HasSubstr("expected an object, got an array"));
  EXPECT_THAT(error_of_json("{}"), HasSubstr("expected an object named model, got none"));
  EXPECT_THAT(error_of_json(std::string(100000, '[')), HasSubstr("not valid JSON"));
  EXPECT_THAT(error_of({}), HasSubstr("expected tokenizer.json, or vocab.json and merges.txt"));
  EXPECT_THAT(error_of({.vocab_json = "{}", .merges_txt = "#version: 0.2\n"}), HasSubstr("a token for every byte"));
  const std::string vocab = golden_file("vocab.json");
  EXPECT_THAT(error_of({.vocab_json = vocab, .merges_txt = "one two three\n"}), HasSubstr("merges.txt: merge 0"));
  EXPECT_THAT(error_of({.vocab_json = vocab, .merges_txt = "# nothing\n\n"}), HasSubstr("merge 0"));
  EXPECT_EQ(error_of({.vocab_json = vocab, .merges_txt = "#version: 0.2\r\n\r\nä ¸\r\n"}), "loaded");
  EXPECT_THAT(error_of({.vocab_json = vocab,
                        .merges_txt = "t h",
                        .tokenizer_config_json = R"({"tokenizer_class":"LlamaTokenizer"})"}),
              HasSubstr("tokenizer_class: expected Qwen2Tokenizer, got LlamaTokenizer"));
  EXPECT_THAT(
      error_of(
          {.vocab_json = vocab, .merges_txt = "t h", .tokenizer_config_json = R"({"added_tokens_decoder":{"x":{}}})"}),
      HasSubstr("\"x\": expected an id"));
}

TEST(TokenizerLoader, WhereTheTemplateComesFrom) {
  const std::string json = golden_file("tokenizer.json");
  const auto chat_template = [&](std::string_view config, std::string_view jinja) {
    auto loaded = load_tokenizer(
        TokenizerFiles{.tokenizer_json = json, .tokenizer_config_json = config, .chat_template_jinja = jinja});
    return loaded.ok() ? std::string(loaded.value().chat_template()) : "error";
  };
  EXPECT_EQ(chat_template("", ""), "");
  EXPECT_EQ(chat_template(R"({"chat_template":"config"})", ""), "config");
  EXPECT_EQ(chat_template(R"({"chat_template":"config"})", "file"), "file");
  EXPECT_EQ(
      chat_template(R"({"chat_template":[{"name":"tool_use","template":"a"},{"name":"default","template":"b"}]})", ""),
      "b");
  EXPECT_EQ(chat_template(R"({"chat_template":7})", ""), "");
}

TEST(TokenizerLoader, AFolder) {
  const std::string folder = testing::TempDir() + "bantam_tokenizer_folder";
  std::filesystem::create_directories(folder);
  const auto write = [&](const std::string& name) { std::ofstream(folder + "/" + name) << golden_file(name); };
  EXPECT_FALSE(load_tokenizer_folder(folder).ok());
  write("vocab.json");
  write("merges.txt");
  write("tokenizer_config.json");
  auto from_vocab = load_tokenizer_folder(folder);
  ASSERT_TRUE(from_vocab.ok()) << from_vocab.status().message();
  write("tokenizer.json");
  auto from_json = load_tokenizer_folder(folder);
  ASSERT_TRUE(from_json.ok());
  EXPECT_EQ(from_json->size(), from_vocab->size());
  EXPECT_EQ(from_json->eos_id(), from_vocab->eos_id());
  std::filesystem::remove_all(folder);
  EXPECT_THAT(std::string(load_tokenizer_folder(folder).status().message()), HasSubstr("expected a folder"));
}

// The golden tokenizer as GGUF metadata has it: padding rows at the end, control and user-defined tokens by type.
class Gguf : public testing::Test {
 protected:
  Gguf() {
    const JsonValue vocab = parse_json(golden_file("vocab.json")).value();
    texts_.resize(vocab.members().size());
    for (const auto& [text, id] : vocab.members()) texts_[static_cast<size_t>(id.as_int64().value())] = text;
    types_.assign(texts_.size(), 1);
    for (const AddedToken& token : json_.added_tokens()) {
      texts_.push_back(token.content);
      types_.push_back(token.special ? 3 : 4);
    }
    for (int i = 0; i < 9; ++i) {
      texts_.push_back(fmt::format("[PAD{}]", texts_.size()));
      types_.push_back(5);
    }
    merges_text_ = golden_file("merges.txt");
    for (size_t at = merges_text_.find('\n') + 1; at < merges_text_.size();) {
      const size_t end = merges_text_.find('\n', at);
      merges_.push_back(std::string_view(merges_text_).substr(at, end - at));
      at = end + 1;
    }
  }
  Result<Tokenizer> load() {
    tokens_.assign(texts_.begin(), texts_.end());
    return load_tokenizer(GgufTokenizer{model_, pre_, tokens_, merges_, types_, "template", eos_});
  }
  std::string error() {
    auto loaded = load();
    return loaded.ok() ? "loaded" : std::string(loaded.status().message());
  }
  Tokenizer json_ = golden_tokenizer();
  std::string model_ = "gpt2", pre_ = "qwen2", merges_text_;
  std::vector<std::string> texts_;
  std::vector<std::string_view> tokens_, merges_;
  std::vector<int32_t> types_;
  std::optional<int64_t> eos_ = 642;
};

TEST_F(Gguf, EqualsTokenizerJson) {
  auto loaded = load();
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  EXPECT_EQ(loaded->size(), json_.size());
  EXPECT_EQ(loaded->eos_id(), json_.eos_id());
  EXPECT_EQ(loaded->chat_template(), "template");
  for (int32_t id = 0; id < json_.size() + 20; ++id) {
    if (id != json_.find_added("cafe\u0301x") &&
        id != json_.find_added("<normal\u00e9>")) {  // GGUF knows no `normalized`
      EXPECT_EQ(loaded->token_bytes(id), json_.token_bytes(id)) << id;
    }
    EXPECT_EQ(loaded->has_text(id), json_.has_text(id)) << id;
    EXPECT_EQ(loaded->is_special(id), json_.is_special(id)) << id;
  }
  const std::string text = "<|im_start|>user\nthe tokenizer doesn't mind: 的人 é <think> [PAD660]<|im_end|>\n";
  EXPECT_EQ(loaded->encode(text, true), json_.encode(text, true));
  EXPECT_EQ(loaded->encode(text, false), json_.encode(text, false));
}

TEST_F(Gguf, OtherShapesAreNamed) {
  pre_ = "llama-bpe";
  EXPECT_THAT(error(), HasSubstr(R"(tokenizer.ggml.pre: expected "qwen2", got "llama-bpe")"));
  pre_ = "qwen2";
  model_ = "llama";
  EXPECT_THAT(error(), HasSubstr(R"(expected "gpt2", got "llama")"));
  model_ = "gpt2";
  types_[3] = 2;
  EXPECT_THAT(error(), HasSubstr("token_type: 3: expected"));
  types_[3] = 1;
  types_.pop_back();
  EXPECT_THAT(error(), HasSubstr("token_type: expected 664 entries"));
  types_.push_back(5);
  eos_ = 664;
  EXPECT_THAT(error(), HasSubstr("eos_token_id"));
  eos_.reset();
  texts_[5] = texts_[6];
  EXPECT_THAT(error(), HasSubstr("occurs twice"));
  texts_[5] = "";
  EXPECT_THAT(error(), HasSubstr("tokens: 5: expected text"));
  types_[5] = 5;
  EXPECT_THAT(error(), HasSubstr("a token for every byte"));
}

}  // namespace
}  // namespace bantam::text
