// bantam forward: what the network computes, raw: logits, hidden states and attention maps of given ids, written as
// safetensors. The researcher's probe, and what parity with the reference is checked with.
#include <algorithm>
#include <cstring>
#include <memory>
#include <unordered_set>

#include "base/mmap.h"
#include "cli/command.h"
#include "cli/jsonl.h"
#include "cli/model_catalogue.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "engine/runner.h"
#include "formats/safetensors_writer.h"
#include "model/bind.h"
#include "model/probe.h"

namespace bantam::cli {
namespace {

struct Options {
  ComputeOptions compute;
  OutputOptions output;
  std::vector<std::string> words;  // [MODEL] FILE.jsonl
  std::string out;
  bool last = false, hidden = false;
  std::vector<int64_t> attention;
  int64_t chunk = 512, batch = 1, decode = 0;
};

struct Sequence {
  std::string name;
  std::vector<int32_t> ids;
  std::vector<float> logits;                   // [T or 1, V]
  std::vector<float> hidden;                   // [L + 1, T, D]
  std::vector<std::vector<float>> attention;   // per wished layer: [Hq, T, T]
};

// Reads all requests; bad lines are reported at once and left out.
Result<std::vector<Sequence>> read_sequences(const std::string& path, int64_t vocab_rows, int64_t context,
                                             int64_t* bad) {
  BANTAM_TRY_ASSIGN(LineReader reader, LineReader::open(path));
  std::vector<Sequence> out;
  std::unordered_set<std::string> names;
  std::string line;
  const auto parse = [&](int64_t index) -> Result<Sequence> {
    BANTAM_TRY_ASSIGN(const JsonValue request, parse_request(line));
    Sequence sequence;
    BANTAM_TRY_ASSIGN(sequence.ids, ids_field(request, "ids"));
    sequence.name = std::to_string(index);
    if (request.find("name") != nullptr) {
      BANTAM_TRY_ASSIGN(sequence.name, string_field(request, "name"));
    }
    if (sequence.ids.empty()) return bad_input("ids: expected at least one token id");
    if (static_cast<int64_t>(sequence.ids.size()) > context) {
      return bad_input("ids: {} tokens do not fit a context of {} (--ctx)", sequence.ids.size(), context);
    }
    for (size_t i = 0; i < sequence.ids.size(); ++i) {
      if (sequence.ids[i] >= vocab_rows) {
        return bad_input("ids[{}]: expected an id below {}, got {}", i, vocab_rows, sequence.ids[i]);
      }
    }
    if (sequence.name.empty() || !names.insert(sequence.name).second) {
      return bad_input("name: expected one that is not empty and not used before, got {:?}", sequence.name);
    }
    return sequence;
  };
  while (reader.next(&line)) {
    auto sequence = parse(reader.number() - 1);
    if (sequence.ok()) {
      out.push_back(std::move(*sequence));
    } else {
      ++*bad;
      print_line_error(sequence.status(), reader.number());
    }
  }
  return out;
}

// How many tokens of a sequence the next step takes: chunks, then the last --decode tokens one by one.
int64_t next_chunk(const Sequence& s, int64_t done, const Options& options) {
  const auto total = static_cast<int64_t>(s.ids.size());
  const int64_t prefill = std::max<int64_t>(total - options.decode, 0);
  return done < prefill ? std::min(options.chunk, prefill - done) : 1;
}

class Runner {
 public:
  Runner(EngineImpl& engine, const Options& options) : engine_(engine), options_(options) {}

  Status run(std::span<Sequence> group) {
    std::vector<std::unique_ptr<SessionImpl>> sessions;
    std::vector<int64_t> done(group.size(), 0);
    for (Sequence& s : group) {
      sessions.push_back(std::make_unique<SessionImpl>(&engine_));
      reserve(s);
    }
    const model::Config& config = engine_.weights().config;
    std::unique_ptr<model::Probe> probe;
    if (options_.hidden || !options_.attention.empty()) {
      probe = std::make_unique<model::Probe>(config, model::ProbeWish{options_.hidden, options_.attention},
                                             engine_.options().chunk_tok);
    }
    for (;;) {
      if (interrupted()) return interrupted_status();
      std::vector<EngineImpl::Part> parts;
      std::vector<size_t> who;
      int64_t rows = 0;
      for (size_t i = 0; i < group.size(); ++i) {
        const auto total = static_cast<int64_t>(group[i].ids.size());
        if (done[i] >= total) continue;
        const int64_t n = next_chunk(group[i], done[i], options_);
        const bool ends = done[i] + n == total;
        const auto wanted = !options_.last ? EngineImpl::Rows::kAll
                            : ends         ? EngineImpl::Rows::kLast
                                           : EngineImpl::Rows::kNone;
        parts.push_back({sessions[i].get(),
                         std::span<const int32_t>(group[i].ids).subspan(static_cast<size_t>(done[i]), static_cast<size_t>(n)),
                         wanted});
        who.push_back(i);
        rows += wanted == EngineImpl::Rows::kAll ? n : wanted == EngineImpl::Rows::kLast ? 1 : 0;
      }
      if (parts.empty()) return {};
      logits_.resize(static_cast<size_t>(rows * config.vocab_size));
      BANTAM_TRY(engine_.run(parts, logits_.data(), probe.get()));
      if (probe) probe->finish(engine_.weights(), engine_.workspace());
      collect(group, parts, who, done, probe.get());
    }
  }

 private:
  void reserve(Sequence& s) const {
    const model::Config& c = engine_.weights().config;
    const size_t tok = s.ids.size();
    if (options_.hidden) {
      s.hidden.assign(static_cast<size_t>((c.num_hidden_layers + 1) * c.hidden_size) * tok, 0.0f);
    }
    s.attention.assign(options_.attention.size(),
                       std::vector<float>(static_cast<size_t>(c.num_attention_heads) * tok * tok, 0.0f));
  }

  // Takes what the step computed to the sequences it belongs to.
  void collect(std::span<Sequence> group, const std::vector<EngineImpl::Part>& parts, const std::vector<size_t>& who,
               std::vector<int64_t>& done, const model::Probe* probe) const {
    const model::Config& c = engine_.weights().config;
    const float* row = logits_.data();
    int64_t first = 0;
    for (size_t p = 0; p < parts.size(); ++p) {
      Sequence& s = group[who[p]];
      const auto n = static_cast<int64_t>(parts[p].tokens.size());
      const auto total = static_cast<int64_t>(s.ids.size());
      const int64_t start = done[who[p]];
      const int64_t rows = parts[p].rows == EngineImpl::Rows::kAll ? n : parts[p].rows == EngineImpl::Rows::kLast ? 1 : 0;
      s.logits.insert(s.logits.end(), row, row + rows * c.vocab_size);
      row += rows * c.vocab_size;
      if (options_.hidden) {
        for (int64_t i = 0; i <= c.num_hidden_layers; ++i) {
          std::memcpy(s.hidden.data() + (i * total + start) * c.hidden_size, probe->hidden(i).row(first),
                      static_cast<size_t>(n * c.hidden_size) * sizeof(float));
        }
      }
      for (size_t a = 0; a < options_.attention.size(); ++a) {
        const std::vector<float>& map = probe->attention(options_.attention[a], static_cast<int64_t>(p));
        for (int64_t h = 0; h < c.num_attention_heads; ++h) {
          for (int64_t t = 0; t < n; ++t) {
            std::memcpy(s.attention[a].data() + (h * total + start + t) * total, map.data() + (h * n + t) * (start + n),
                        static_cast<size_t>(start + n) * sizeof(float));
          }
        }
      }
      done[who[p]] += n;
      first += n;
    }
  }

  EngineImpl& engine_;
  const Options& options_;
  std::vector<float> logits_;
};

std::vector<formats::TensorPlan> plan_of(const std::vector<Sequence>& sequences, const Options& options,
                                         const model::Config& c) {
  std::vector<formats::TensorPlan> plan;
  for (const Sequence& s : sequences) {
    const auto tok = static_cast<int64_t>(s.ids.size());
    plan.push_back({s.name + "/logits", DType::kF32, Shape{options.last ? 1 : tok, c.vocab_size}});
    if (options.hidden) {
      plan.push_back({s.name + "/hidden", DType::kF32, Shape{c.num_hidden_layers + 1, tok, c.hidden_size}});
    }
    for (int64_t layer : options.attention) {
      plan.push_back({fmt::format("{}/attention.{}", s.name, layer), DType::kF32, Shape{c.num_attention_heads, tok, tok}});
    }
  }
  return plan;
}

Status write_group(formats::TensorWriter& writer, std::span<Sequence> group, const Options& options) {
  for (Sequence& s : group) {
    BANTAM_TRY(writer.write(s.name + "/logits", std::as_bytes(std::span(s.logits))));
    if (options.hidden) BANTAM_TRY(writer.write(s.name + "/hidden", std::as_bytes(std::span(s.hidden))));
    for (size_t a = 0; a < options.attention.size(); ++a) {
      BANTAM_TRY(writer.write(fmt::format("{}/attention.{}", s.name, options.attention[a]),
                              std::as_bytes(std::span(s.attention[a]))));
    }
    s.logits = {};
    s.hidden = {};
    s.attention = {};
  }
  return {};
}

EngineOptions forward_engine_options(const Options& options, int64_t context) {
  EngineOptions out = engine_options(options.compute);
  out.context_tok = context;
  out.pool_tok = (context + 64) * options.batch;
  out.chunk_tok = std::max(options.chunk, int64_t{1}) * options.batch;
  // Logits go to buffers of our own, but a step's rows must fit the workspace's gather buffer.
  out.batch_rows = options.last ? options.batch : out.chunk_tok;
  return out;
}

// The context to open with: --ctx, or just what the longest sequence needs (never stretching a model unasked).
Result<int64_t> context_for(const Options& options, const std::string& file) {
  if (options.compute.ctx > 0) return options.compute.ctx;
  BANTAM_TRY_ASSIGN(LineReader reader, LineReader::open(file));
  BANTAM_TRY_ASSIGN(const formats::Checkpoint checkpoint,
                    open_checkpoint(options.compute.model, formats::Weights::kIfPresent));
  BANTAM_TRY_ASSIGN(const model::Config config, model::read_config(checkpoint));
  int64_t longest = 1;
  std::string line;
  while (reader.next(&line)) {
    const auto commas = std::count(line.begin(), line.end(), ',');
    longest = std::max(longest, static_cast<int64_t>(commas) + 1);
  }
  return std::min(longest, model::native_context(config));
}

Status forward(Options& options) {
  if (options.words.size() == 2) options.compute.model = options.words[0];
  const std::string& file = options.words.back();
  if (file == "-" && options.compute.ctx == 0) options.compute.ctx = 4096;
  BANTAM_TRY_ASSIGN(const int64_t context, context_for(options, file));
  BANTAM_TRY_ASSIGN(const ModelSource source, find_model(options.compute.model));
  ProgressBar loading(options.output, "loading", "bytes");
  BANTAM_TRY_ASSIGN(const auto engine, EngineImpl::load(source, forward_engine_options(options, context),
                                                        [&](int64_t done, int64_t total) {
                                                          loading.update(done, total);
                                                          return !interrupted();
                                                        }));
  loading.clear();
  const model::Config& config = engine->weights().config;
  for (int64_t layer : options.attention) {
    if (layer < 0 || layer >= config.num_hidden_layers) {
      return usage_error("--attention: expected layers 0 to {}, got {}", config.num_hidden_layers - 1, layer);
    }
  }
  int64_t bad = 0;
  BANTAM_TRY_ASSIGN(std::vector<Sequence> sequences, read_sequences(file, config.vocab_size, context, &bad));
  BANTAM_TRY_ASSIGN(const auto writer, formats::create_safetensors(options.out, plan_of(sequences, options, config)));
  Runner runner(*engine, options);
  ProgressBar bar(options.output, "forward", "sequences");
  for (size_t begin = 0; begin < sequences.size(); begin += static_cast<size_t>(options.batch)) {
    const size_t n = std::min(static_cast<size_t>(options.batch), sequences.size() - begin);
    const std::span group(sequences.data() + begin, n);
    BANTAM_TRY(runner.run(group));
    BANTAM_TRY(write_group(*writer, group, options));
    bar.update(static_cast<int64_t>(begin + n), static_cast<int64_t>(sequences.size()));
  }
  BANTAM_TRY(writer->finish());
  bar.clear();
  note(options.output, fmt::format("{} sequences -> {}", sequences.size(), options.out));
  return bad == 0 ? Status() : failed("{} lines failed; the others are in {}", bad, options.out);
}

}  // namespace

void add_forward(CLI::App& app, Dispatch& dispatch) {
  auto* command = app.add_subcommand("forward", "logits, hidden states and attention maps of given ids, for research");
  auto& options = declare<Options>(*command, dispatch, forward);
  command->add_option("MODEL_FILE", options.words, "[MODEL] FILE.jsonl with lines {\"ids\": [...], \"name\": s}")
      ->expected(1, 2)
      ->required();
  command->add_option("-o,--out", options.out, "the safetensors file to write: NAME/logits [T, V] f32 and more")->required();
  command->add_flag("--last", options.last, "logits of the last token only");
  command->add_flag("--hidden", options.hidden, "add NAME/hidden [L+1, T, D], as output_hidden_states orders them");
  command->add_option("--attention", options.attention, "add NAME/attention.LAYER [Hq, T, T] for these layers")
      ->delimiter(',');
  command->add_option("--chunk", options.chunk, "prefill chunk in tokens")->check(CLI::Range(1, 8192))->capture_default_str();
  command->add_option("--batch", options.batch, "sequences per step")->check(CLI::Range(1, 256))->capture_default_str();
  command->add_option("--decode", options.decode, "feed the last K tokens one by one")->check(CLI::Range(0, 1 << 24));
  add_compute_options(*command, &options.compute);
  add_output_options(*command, &options.output, false);
}

}  // namespace bantam::cli
