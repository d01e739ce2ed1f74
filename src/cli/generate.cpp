// bantam generate: a file of requests in OpenAI's batch format, answered together. Every answer is the one its request
// gets alone. A run that was stopped goes on where it was: lines that have their answer in OUT are not asked again.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <map>
#include <set>

#include "base/mmap.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/jsonl.h"
#include "cli/loaded_model.h"
#include "cli/terminal.h"
#include "engine/batch_generator.h"
#include "engine/model_files.h"
#include "server/error_reply.h"
#include "server/openai_request.h"
#include "server/openai_response.h"

namespace bantam::cli {
namespace {

struct Options {
  ComputeOptions compute;
  OutputOptions output;
  std::string first, second, third, template_name;
  int64_t batch = 32;
};

// What names a request: its custom_id, or its line when it has none that can be read.
struct LineKey {
  std::string custom_id;
  int64_t line = 0;

  bool operator<(const LineKey& other) const {
    return custom_id != other.custom_id ? custom_id < other.custom_id : custom_id.empty() && line < other.line;
  }
};

LineKey key_of(const JsonValue& object, int64_t line) {
  const JsonValue* id = object.find("custom_id");
  return {id != nullptr && id->is_string() ? id->as_string() : std::string(), line};
}

// OUT: one whole line per write, so that a kill leaves at most one torn line, at the end.
class ResultFile {
 public:
  ResultFile() = default;
  ResultFile(const ResultFile&) = delete;
  ResultFile& operator=(const ResultFile&) = delete;
  ~ResultFile() {
    if (fd_ >= 0) ::close(fd_);
  }

  // Reads what is there: the keys of answered lines go to *done; a torn last line is cut off.
  Status open(const std::string& path, std::set<LineKey>* done) {
    path_ = path;
    size_t whole = 0;
    if (file_exists(path)) {
      BANTAM_TRY_ASSIGN(const MappedFile file, MappedFile::open(path));
      const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
      int64_t number = 0;
      for (size_t end = text.find('\n'); end != text.npos; end = text.find('\n', whole)) {
        BANTAM_TRY(read_line(text.substr(whole, end - whole), ++number, done));
        whole = end + 1;
      }
    }
    fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd_ < 0 || ::ftruncate(fd_, static_cast<off_t>(whole)) != 0 || ::lseek(fd_, 0, SEEK_END) < 0) {
      return failed("{}: cannot write: {}", path, std::strerror(errno));
    }
    return {};
  }

  Status write(const JsonValue& result) {
    const std::string line = to_json(result) + "\n";
    for (size_t sent = 0; sent < line.size();) {
      const ssize_t n = ::write(fd_, line.data() + sent, line.size() - sent);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) {
        return errno == ENOSPC || errno == EDQUOT ? no_space("{}: {}", path_, std::strerror(errno))
                                                  : failed("{}: {}", path_, std::strerror(errno));
      }
      sent += static_cast<size_t>(n);
    }
    return {};
  }

 private:
  Status read_line(std::string_view text, int64_t number, std::set<LineKey>* done) const {
    auto line = parse_json(text, "result");
    const JsonValue* at = line.ok() ? line->find("line") : nullptr;
    auto source = at != nullptr ? at->as_int64() : Result<int64_t>(failed("no line"));
    if (!line.ok() || !source.ok() || line->find("custom_id") == nullptr) {
      return bad_input("{}, line {}: expected a result of an earlier run; another name keeps this file as it is", path_,
                       number);
    }
    done->insert(key_of(*line, *source));
    return {};
  }

  int fd_ = -1;
  std::string path_;
};

// One line of IN on its way: its choices come one by one.
struct Request {
  LineKey key;
  bool chat = true, with_logprobs = false;
  std::vector<std::optional<engine::Generation>> choices;
  size_t n = 1, missing = 0;                 // choices per prompt; answers still to come
  std::vector<std::vector<int32_t>> echoed;  // prompts that belong to their answers
};

class Run {
 public:
  Run(const Options& options, LoadedModel& model, text::TemplateKind kind)
      : options_(options),
        model_(model),
        served_{engine::model_name(options.compute.model), &model.engine.info(), &model.tokenizer, kind},
        batch_(model.engine, model.tokenizer, {.running = options.batch, .queue = 8 * options.batch + 256}) {}

  Status run(const std::string& in, const std::string& out) {
    std::set<LineKey> done;
    BANTAM_TRY(file_.open(out, &done));
    BANTAM_TRY(count_lines(in, done));
    BANTAM_TRY_ASSIGN(LineReader reader, LineReader::open(in));
    ProgressBar bar(options_.output, "answering", "lines");
    bool more = true;
    while (!interrupted() && (more || !batch_.idle())) {
      // Enough to keep every place of a step taken, no more: an answer can be as long as its context.
      while (more && batch_.counts().waiting < options_.batch) {
        BANTAM_TRY_ASSIGN(more, take_line(reader, done));
      }
      BANTAM_TRY(batch_.step());
      BANTAM_TRY(std::exchange(write_error_, {}));
      bar.update(skipped_ + finished_, total_);
    }
    bar.clear();
    if (interrupted()) return interrupted_status();
    note(options_.output, fmt::format("{} answered, {} failed, {} were there already; {} tokens, {:.1f} tokens/s",
                                      finished_ - bad_, bad_, skipped_, tokens_,
                                      1000.0 * static_cast<double>(tokens_) / std::max(1.0, watch_.elapsed_ms())));
    return bad_ == 0 ? Status() : failed("{} of {} lines failed", bad_, total_);
  }

 private:
  // Reads IN once before anything is computed: how many lines there are, and that no two share a custom_id.
  Status count_lines(const std::string& in, const std::set<LineKey>& done) {
    BANTAM_TRY_ASSIGN(LineReader reader, LineReader::open(in));
    std::map<std::string, int64_t> seen;
    std::string line;
    while (reader.next(&line)) {
      ++total_;
      auto request = parse_request(line);
      const LineKey key = request.ok() ? key_of(*request, reader.number()) : LineKey{"", reader.number()};
      skipped_ += static_cast<int64_t>(done.count(key));
      if (key.custom_id.empty()) continue;
      const auto [other, is_new] = seen.emplace(key.custom_id, reader.number());
      if (!is_new) {
        return bad_input("{}, line {}: custom_id {:?} is that of line {} too; answers could not be told apart", in,
                         reader.number(), key.custom_id, other->second);
      }
    }
    return interrupted() ? interrupted_status() : Status();
  }

  // Submits the next line that has no answer yet; a bad one gets its error at once. False at the end of IN.
  Result<bool> take_line(LineReader& reader, const std::set<LineKey>& done) {
    std::string line;
    if (!reader.next(&line)) return false;
    auto request = parse_request(line);
    const LineKey key = request.ok() ? key_of(*request, reader.number()) : LineKey{"", reader.number()};
    if (done.count(key) != 0) return true;
    const Status status = request.ok() ? submit(*request, key) : std::move(request).status();
    if (!status.ok()) {
      ++bad_;
      BANTAM_TRY(write(key, server::http_status(status), server::error_object(status)));
    }
    return true;
  }

  Status submit(const JsonValue& line, const LineKey& key) {
    if (key.custom_id.empty()) return bad_input("custom_id: expected a non-empty string");
    BANTAM_TRY_ASSIGN(const std::string url, string_field(line, "url"));
    const JsonValue* body = line.find("body");
    if (body == nullptr) return bad_input("expected a field \"body\"");
    const bool chat = url == "/v1/chat/completions";
    if (!chat && url != "/v1/completions") {
      return bad_input("url: expected /v1/chat/completions or /v1/completions, got {:?}", url);
    }
    std::vector<server::PreparedRequest> prompts;
    if (chat) {
      BANTAM_TRY_ASSIGN(const server::ChatRequest wish, server::parse_chat_request(*body));
      BANTAM_TRY_ASSIGN(server::PreparedRequest prepared, server::prepare(wish, served_));
      prompts.push_back(std::move(prepared));
      return submit(key, chat, wish, std::move(prompts), false);
    }
    BANTAM_TRY_ASSIGN(const server::CompletionRequest wish, server::parse_completion_request(*body));
    for (size_t i = 0; i < wish.prompts.size(); ++i) {
      BANTAM_TRY_ASSIGN(server::PreparedRequest prepared, server::prepare(wish, i, served_));
      prompts.push_back(std::move(prepared));
    }
    return submit(key, chat, wish, std::move(prompts), wish.echo);
  }

  Status submit(const LineKey& key, bool chat, const server::GenerationRequest& wish,
                std::vector<server::PreparedRequest> prompts, bool echo) {
    auto request = std::make_shared<Request>();
    request->key = key;
    request->chat = chat;
    request->with_logprobs = wish.top_logprobs >= 0;
    request->n = static_cast<size_t>(wish.n);
    request->missing = request->n * prompts.size();
    request->choices.resize(request->missing);
    for (size_t i = 0; i < request->choices.size(); ++i) {
      const server::PreparedRequest& prompt = prompts[i / request->n];
      if (echo && i % request->n == 0) request->echoed.push_back(prompt.ids);
      engine::BatchGenerator::Job job;
      job.id = next_id_++;
      job.prompt = prompt.ids;
      job.options = prompt.options;
      job.options.sampling.choice = i % request->n;
      job.on_done = [this, request, i](engine::Generation answer) { finish(*request, i, std::move(answer)); };
      const Status status = batch_.submit(std::move(job));
      if (status.ok()) continue;
      // The line gets this error; what was taken of it never completes.
      for (size_t k = 1; k <= i; ++k) batch_.cancel(next_id_ - 1 - static_cast<int64_t>(k));
      return status;
    }
    return {};
  }

  void finish(Request& request, size_t choice, engine::Generation answer) {
    tokens_ += static_cast<int64_t>(answer.tokens.size());
    request.choices[choice] = std::move(answer);
    if (--request.missing > 0) return;
    std::vector<engine::Generation> choices;
    for (auto& one : request.choices) choices.push_back(std::move(*one));
    const server::ResponseHead head{fmt::format("{}-{}", request.chat ? "chatcmpl" : "cmpl", request.key.line),
                                    static_cast<int64_t>(std::time(nullptr)), served_.name};
    const Status status =
        write(request.key, 200,
              request.chat ? server::chat_completion(head, choices, request.with_logprobs, model_.tokenizer)
                           : server::text_completion(head, {choices, request.n, request.with_logprobs, request.echoed},
                                                     model_.tokenizer));
    if (!status.ok()) write_error_ = status;
  }

  Status write(const LineKey& key, int http, JsonValue body) {
    ++finished_;
    JsonValue response = JsonValue::object({{"status_code", JsonValue::number(int64_t{http})},
                                            {"request_id", JsonValue::string(fmt::format("req-{}", key.line))},
                                            {"body", std::move(body)}});
    return file_.write(
        JsonValue::object({{"id", JsonValue::string(fmt::format("batch_req-{}", key.line))},
                           {"custom_id", key.custom_id.empty() ? JsonValue() : JsonValue::string(key.custom_id)},
                           {"line", JsonValue::number(key.line)},
                           {"response", std::move(response)},
                           {"error", JsonValue()}}));
  }

  const Options& options_;
  LoadedModel& model_;
  server::ServedModel served_;
  engine::BatchGenerator batch_;
  ResultFile file_;
  Status write_error_;
  Stopwatch watch_;
  int64_t total_ = 0, skipped_ = 0, finished_ = 0, bad_ = 0, tokens_ = 0, next_id_ = 0;
};

Status generate(Options& options) {
  // "[MODEL] IN OUT": two words are IN and OUT.
  const bool with_model = !options.third.empty();
  const std::string in = with_model ? options.second : options.first;
  const std::string out = with_model ? options.third : options.second;
  if (with_model) options.compute.model = options.first;
  if (out.empty()) return usage_error("generate: expected IN.jsonl and OUT.jsonl, got only {:?}", in);
  if (!file_exists(in)) return bad_input("{}: expected a file of requests (it is read twice, so no pipe)", in);
  BANTAM_TRY_ASSIGN(LoadedModel model, load_model(options.compute, options.output));
  BANTAM_TRY_ASSIGN(const text::TemplateKind kind,
                    choose_template(model.tokenizer, options.template_name, options.output));
  Run run(options, model, kind);
  return run.run(in, out);
}

}  // namespace

void add_generate(CLI::App& app, Dispatch& dispatch) {
  auto* command = app.add_subcommand("generate", "answer a file of requests (OpenAI batch format)");
  auto& options = declare<Options>(*command, dispatch, generate);
  command->add_option("MODEL", options.first, "a folder, a .gguf file or a name; none: the house model")->required();
  command->add_option("IN", options.second, "requests, one JSON object per line");
  command->add_option("OUT", options.third, "results, one per line, in the order they are ready; resumed when there");
  command->add_option("--batch", options.batch, "most requests in work at once")
      ->check(integer_in(1, 64))
      ->capture_default_str();
  add_template_option(*command, &options.template_name);
  add_compute_options(*command, &options.compute);
  add_output_options(*command, &options.output, false);
  command->footer(
      "A line: {\"custom_id\": \"a1\", \"method\": \"POST\", \"url\": \"/v1/chat/completions\",\n"
      "         \"body\": {\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}], \"max_tokens\": 100}}\n"
      "Examples:\n"
      "  bantam generate requests.jsonl results.jsonl\n"
      "  bantam generate ./Qwen3-4B-Q4_0.gguf requests.jsonl results.jsonl --batch 16 --ctx 4096");
}

}  // namespace bantam::cli
