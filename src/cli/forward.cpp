// bantam forward: what the network computes, raw: logits, hidden states and attention maps of given ids, written as
// safetensors. The researcher's probe, and what parity with the reference is checked with.
#include <algorithm>
#include <unordered_set>

#include "cli/command.h"
#include "cli/forward_runner.h"
#include "cli/interrupt.h"
#include "cli/jsonl.h"
#include "cli/loaded_model.h"
#include "cli/model_catalogue.h"
#include "cli/model_export.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "engine/memory_info.h"
#include "formats/safetensors_writer.h"
#include "model/bind.h"
#include "model/rope.h"

namespace bantam::cli {
namespace {

struct Options {
  ComputeOptions compute;
  OutputOptions output;
  ModelWords words;  // [MODEL] FILE.jsonl
  std::string out;
  ForwardWish wish;
};

struct Requests {
  std::vector<Sequence> sequences;
  int64_t bad = 0;      // lines, reported already
  int64_t longest = 1;  // tokens
};

Result<Sequence> parse(std::string_view line, int64_t index, int64_t vocab_rows, int64_t context,
                       std::unordered_set<std::string>* names) {
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
  BANTAM_TRY(check_ids(sequence.ids, vocab_rows));
  if (sequence.name.empty() || !names->insert(sequence.name).second) {
    return bad_input("name: expected one that is not empty and not used before, got {:?}", sequence.name);
  }
  return sequence;
}

// Reads all requests; bad lines are reported at once and left out.
Result<Requests> read_requests(const std::string& path, int64_t vocab_rows, int64_t context) {
  BANTAM_TRY_ASSIGN(LineReader reader, LineReader::open(path));
  Requests out;
  std::unordered_set<std::string> names;
  std::string line;
  while (reader.next(&line)) {
    auto sequence = parse(line, reader.number() - 1, vocab_rows, context, &names);
    if (sequence.ok()) {
      out.longest = std::max(out.longest, static_cast<int64_t>(sequence->ids.size()));
      out.sequences.push_back(std::move(*sequence));
    } else {
      ++out.bad;
      print_line_error(sequence.status(), reader.number());
    }
  }
  if (interrupted()) return interrupted_status();
  return out;
}

// Context: --ctx, or just what the longest sequence needs.
EngineOptions forward_engine_options(const Options& options, int64_t longest) {
  const ForwardWish& wish = options.wish;
  EngineOptions out = engine_options(options.compute);
  if (out.context_tok == 0) out.context_tok = longest;
  out.chunk_tok = wish.chunk * wish.batch;
  out.batch_rows = wish.last ? wish.batch : std::min(wish.chunk, longest) * wish.batch;
  out.pool_tok = (longest + kernels::kPageTok) * wish.batch;
  return out;
}

Status check_layers(const ForwardWish& wish, const model::Config& config) {
  std::unordered_set<int64_t> seen;
  for (int64_t layer : wish.attention) {
    if (layer < 0 || layer >= config.num_hidden_layers) {
      return usage_error("--attention: expected layers 0 to {}, got {}", config.num_hidden_layers - 1, layer);
    }
    if (!seen.insert(layer).second) return usage_error("--attention: layer {} is named twice", layer);
  }
  return {};
}

// Refuses early when results will not fit the memory or the disk.
Status check_room(const Options& options, const std::vector<Sequence>& sequences, const model::Config& config) {
  const int64_t held = held_bytes(sequences, options.wish, config), free = engine::available_memory_bytes();
  if (held > free) {
    return no_space(
        "not enough memory: {} of results at once, {} are free; a smaller --batch, shorter sequences, --last "
        "or fewer --attention layers need less",
        human_bytes(held), human_bytes(free));
  }
  int64_t bytes = 0;
  for (const formats::TensorPlan& tensor : tensors_of(sequences, options.wish, config)) {
    bytes += tensor.shape.elems() * int64_t{sizeof(float)};
  }
  return check_disk(options.out, bytes);
}

Status forward(Options& options) {
  if (options.words.count() == 0) return usage_error("forward: expected FILE.jsonl, or - for stdin");
  options.compute.model = options.words.model();
  BANTAM_TRY_ASSIGN(const formats::Checkpoint checkpoint,
                    open_checkpoint(options.compute.model, formats::Weights::kRequired));
  BANTAM_TRY_ASSIGN(const model::Config config, model::read_config(checkpoint));
  BANTAM_TRY(check_layers(options.wish, config));
  const int64_t context = options.compute.ctx > 0 ? options.compute.ctx : model::native_context(config);
  BANTAM_TRY_ASSIGN(Requests requests, read_requests(options.words.last(), config.vocab_size, context));
  std::vector<Sequence>& sequences = requests.sequences;

  BANTAM_TRY_ASSIGN(const ModelSource source, find_model(options.compute.model));
  ProgressBar loading(options.output, "loading", "bytes");
  BANTAM_TRY_ASSIGN(const auto engine, EngineImpl::load(source, forward_engine_options(options, requests.longest),
                                                        [&](int64_t done, int64_t total) {
                                                          loading.update(done, total);
                                                          return !interrupted();
                                                        }));
  loading.clear();
  tell_cache(options.output, *engine);
  BANTAM_TRY(check_room(options, sequences, config));
  BANTAM_TRY_ASSIGN(const auto writer,
                    formats::create_safetensors(options.out, tensors_of(sequences, options.wish, config)));
  ForwardRunner runner(*engine, options.wish, *writer);
  ProgressBar bar(options.output, "forward", "sequences");
  const auto batch = static_cast<size_t>(options.wish.batch);
  for (size_t begin = 0; begin < sequences.size(); begin += batch) {
    const size_t n = std::min(batch, sequences.size() - begin);
    BANTAM_TRY(runner.run(std::span(sequences).subspan(begin, n)));
    bar.update(static_cast<int64_t>(begin + n), static_cast<int64_t>(sequences.size()));
  }
  BANTAM_TRY(writer->finish());
  bar.clear();
  note(options.output, fmt::format("{} sequences -> {}", sequences.size(), options.out));
  if (requests.bad == 0) return {};
  return failed("{} lines failed; the others are in {}", requests.bad, options.out);
}

}  // namespace

void add_forward(CLI::App& app, Dispatch& dispatch) {
  auto* command = app.add_subcommand("forward", "logits, hidden states and attention maps of given ids, for research");
  auto& options = declare<Options>(*command, dispatch, forward);
  add_model_words(*command, &options.words, "FILE.jsonl", "(or -) lines {\"ids\": [...], \"name\": s}");
  command->add_option("-o,--out", options.out, "the safetensors file to write: NAME/logits [T, V] f32 and more")
      ->required();
  command->add_flag("--last", options.wish.last, "logits of the last token only");
  command->add_flag("--hidden", options.wish.hidden,
                    "add NAME/hidden [L+1, T, D], as output_hidden_states orders them");
  command->add_option("--attention", options.wish.attention, "add NAME/attention.LAYER [Hq, T, T] for these layers")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->option_text("N,N,...");
  command->add_option("--chunk", options.wish.chunk, "prefill chunk in tokens")
      ->check(integer_in(1, 8192))
      ->capture_default_str();
  command->add_option("--batch", options.wish.batch, "sequences per step")
      ->check(integer_in(1, 256))
      ->capture_default_str();
  command->add_option("--decode", options.wish.decode, "feed the last N tokens one by one")
      ->check(integer_in(0, 1 << 24));
  add_compute_options(*command, &options.compute);
  add_output_options(*command, &options.output, false);
  command->footer(
      "Examples:\n"
      "  echo '{\"ids\": [100, 200, 300]}' | bantam forward - -o out.safetensors\n"
      "  bantam forward ./Qwen3-0.6B ids.jsonl -o out.safetensors --numerics exact --kv f32 --hidden --attention 0,27");
}

}  // namespace bantam::cli
