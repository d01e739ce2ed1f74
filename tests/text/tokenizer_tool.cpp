// tokenizer_tool: the tokenizer on standard input and output, for the differentials and the speed comparison under
// tools/oracles. Lines of JSON in, lines of JSON out, as `bantam tokenize --jsonl` and `detokenize --jsonl` have them.
//   tokenizer_tool tokenize FOLDER     {"text": s, "special": bool} -> {"ids": [...]}
//   tokenizer_tool detokenize FOLDER   {"ids": [...]} -> {"text": s, "streamed": s}
//   tokenizer_tool words               {"text": s} -> {"words": [...]}, the split of the NFC form
//   tokenizer_tool bench FOLDER FILE.. one line per file: bytes, ids, best seconds (processor time) of a few encodings;
//   first the load
#include <time.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/mmap.h"
#include "text/nfc.h"
#include "text/pre_tokenizer.h"
#include "text/stream_decoder.h"
#include "text/tokenizer_loader.h"

namespace {

using bantam::JsonValue;
using bantam::text::Tokenizer;

[[noreturn]] void fail(std::string_view message) {
  std::fprintf(stderr, "tokenizer_tool: %.*s\n", static_cast<int>(message.size()), message.data());
  std::exit(1);
}

Tokenizer load(const std::string& folder) {
  auto loaded = bantam::text::load_tokenizer_folder(folder);
  if (!loaded.ok()) fail(loaded.status().message());
  return std::move(loaded).value();
}

std::string tokenize(const Tokenizer& tokenizer, const JsonValue& request) {
  const JsonValue* special = request.find("special");
  std::string out = "{\"ids\":[";
  const char* comma = "";
  for (const int32_t id :
       tokenizer.encode(request.find("text")->as_string(), special != nullptr && special->as_bool())) {
    out += fmt::format("{}{}", comma, id);
    comma = ",";
  }
  return out + "]}";
}

std::string detokenize(const Tokenizer& tokenizer, const JsonValue& request) {
  std::vector<int32_t> ids;
  for (const JsonValue& id : request.find("ids")->items()) ids.push_back(static_cast<int32_t>(id.as_int64().value()));
  bantam::text::StreamDecoder stream(tokenizer);
  std::string streamed;
  for (const int32_t id : ids) streamed += stream.push(id);
  streamed += stream.finish();
  std::string out = "{\"text\":";
  bantam::append_json_string(&out, tokenizer.decode(ids));
  out += ",\"streamed\":";
  bantam::append_json_string(&out, streamed);
  return out + "}";
}

std::string words(const JsonValue& request) {
  std::string buffer;
  const std::string_view text = bantam::text::to_nfc(request.find("text")->as_string(), &buffer);
  std::string out = "{\"words\":[";
  for (size_t at = 0; at < text.size();) {
    const size_t end = bantam::text::word_end(text, at);
    if (at > 0) out += ',';
    bantam::append_json_string(&out, text.substr(at, end - at));
    at = end;
  }
  return out + "]}";
}

template <class Answer>
int each_line(Answer answer) {
  std::ios::sync_with_stdio(false);
  std::string line;
  while (std::getline(std::cin, line)) {
    auto request = bantam::parse_json(line, "line");
    if (!request.ok()) fail(request.status().message());
    std::cout << answer(request.value()) << '\n';
  }
  return 0;
}

// Processor time, so that a busy machine does not count.
template <class Work>
double seconds(Work work) {
  const auto now = [] {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
  };
  const double begin = now();
  work();
  return now() - begin;
}

int bench(const std::string& folder, std::span<char*> files) {
  std::printf("{\"load_s\":%.6f}\n", seconds([&] { load(folder); }));
  const Tokenizer tokenizer = load(folder);
  for (const char* file : files) {
    auto text = bantam::read_file(file);
    if (!text.ok()) fail(text.status().message());
    size_t ids = 0;
    double best = 1e9;
    for (int i = 0; i < 5; ++i) {
      best = std::min(best, seconds([&] { ids = tokenizer.encode(text.value(), true).size(); }));
    }
    std::printf("{\"file\":\"%s\",\"bytes\":%zu,\"ids\":%zu,\"s\":%.6f}\n", file, text.value().size(), ids, best);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "";
  if (verb == "words") return each_line(words);
  if (argc < 3) fail("expected: tokenize|detokenize FOLDER, words, or bench FOLDER FILE...");
  if (verb == "bench") return bench(argv[2], std::span(argv + 3, static_cast<size_t>(argc - 3)));
  const Tokenizer tokenizer = load(argv[2]);
  if (verb == "tokenize") return each_line([&](const JsonValue& v) { return tokenize(tokenizer, v); });
  if (verb == "detokenize") return each_line([&](const JsonValue& v) { return detokenize(tokenizer, v); });
  fail("unknown verb");
}
