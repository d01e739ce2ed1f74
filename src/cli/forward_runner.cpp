// See forward_runner.h.
#include "cli/forward_runner.h"

#include <algorithm>
#include <cstring>

#include "cli/interrupt.h"

namespace bantam::cli {
namespace {

using Rows = EngineImpl::Rows;

int64_t row_count(const EngineImpl::Part& part) {
  return part.rows == Rows::kAll ? static_cast<int64_t>(part.tokens.size()) : part.rows == Rows::kLast ? 1 : 0;
}

}  // namespace

std::vector<formats::TensorPlan> tensors_of(const std::vector<Sequence>& sequences, const ForwardWish& wish,
                                            const model::Config& c) {
  std::vector<formats::TensorPlan> plan;
  for (const Sequence& s : sequences) {
    const auto tok = static_cast<int64_t>(s.ids.size());
    plan.push_back({s.name + "/logits", DType::kF32, Shape{wish.last ? 1 : tok, c.vocab_size}});
    if (wish.hidden) {
      plan.push_back({s.name + "/hidden", DType::kF32, Shape{c.num_hidden_layers + 1, tok, c.hidden_size}});
    }
    for (int64_t layer : wish.attention) {
      plan.push_back(
          {fmt::format("{}/attention.{}", s.name, layer), DType::kF32, Shape{c.num_attention_heads, tok, tok}});
    }
  }
  return plan;
}

int64_t held_bytes(const std::vector<Sequence>& sequences, const ForwardWish& wish, const model::Config& c) {
  double most = 0;
  for (size_t begin = 0; begin < sequences.size(); begin += static_cast<size_t>(wish.batch)) {
    const size_t end = std::min(begin + static_cast<size_t>(wish.batch), sequences.size());
    double floats = 0;
    for (size_t i = begin; i < end; ++i) {
      const auto tok = static_cast<double>(sequences[i].ids.size());
      if (i > begin) floats += (wish.last ? 1 : tok) * static_cast<double>(c.vocab_size);
      if (wish.hidden) floats += static_cast<double>((c.num_hidden_layers + 1) * c.hidden_size) * tok;
      floats += static_cast<double>(wish.attention.size()) * static_cast<double>(c.num_attention_heads) * tok * tok;
    }
    most = std::max(most, floats);
  }
  return static_cast<int64_t>(std::min(4 * most, 9e18));
}

// How many tokens of a sequence the next step takes: chunks, then the last wish.decode tokens one by one.
int64_t ForwardRunner::next_chunk(const Sequence& s, int64_t done) const {
  const auto total = static_cast<int64_t>(s.ids.size());
  const int64_t prefill = std::max<int64_t>(total - wish_.decode, 0);
  return done < prefill ? std::min(wish_.chunk, prefill - done) : 1;
}

void ForwardRunner::reserve(Sequence& s) const {
  const model::Config& c = engine_.weights().config;
  const size_t tok = s.ids.size();
  if (wish_.hidden) s.hidden.assign(static_cast<size_t>((c.num_hidden_layers + 1) * c.hidden_size) * tok, 0.0f);
  s.attention.assign(wish_.attention.size(),
                     std::vector<float>(static_cast<size_t>(c.num_attention_heads) * tok * tok, 0.0f));
}

Status ForwardRunner::run(std::span<Sequence> group) {
  std::vector<std::unique_ptr<SessionImpl>> sessions;
  std::vector<int64_t> done(group.size(), 0);
  for (Sequence& s : group) {
    sessions.push_back(std::make_unique<SessionImpl>(&engine_));
    reserve(s);
  }
  std::unique_ptr<model::Probe> probe;
  if (wish_.hidden || !wish_.attention.empty()) {
    probe = std::make_unique<model::Probe>(engine_.weights().config, model::ProbeWish{wish_.hidden, wish_.attention},
                                           engine_.options().chunk_tok);
  }
  for (;;) {
    if (interrupted()) return interrupted_status();
    std::vector<EngineImpl::Part> parts;
    std::vector<size_t> who;
    for (size_t i = 0; i < group.size(); ++i) {
      const auto total = static_cast<int64_t>(group[i].ids.size());
      if (done[i] >= total) continue;
      const int64_t n = next_chunk(group[i], done[i]);
      const std::span<const int32_t> ids(group[i].ids);
      parts.push_back({sessions[i].get(), ids.subspan(static_cast<size_t>(done[i]), static_cast<size_t>(n)),
                       !wish_.last            ? Rows::kAll
                       : done[i] + n == total ? Rows::kLast
                                              : Rows::kNone});
      who.push_back(i);
    }
    if (parts.empty()) return write(group);
    BANTAM_TRY(step(group, parts, who, done, probe.get()));
  }
}

Status ForwardRunner::step(std::span<Sequence> group, const std::vector<EngineImpl::Part>& parts,
                           const std::vector<size_t>& who, std::vector<int64_t>& done, model::Probe* probe) {
  BANTAM_TRY(engine_.run(parts, nullptr, probe));
  const float* row = engine_.workspace_logits();
  const int64_t vocab = engine_.info().vocab_rows;
  int64_t first = 0;
  for (size_t p = 0; p < parts.size(); ++p) {
    const int64_t rows = row_count(parts[p]);
    const std::span<const float> logits(row, static_cast<size_t>(rows * vocab));
    Sequence& s = group[who[p]];
    if (who[p] == 0 && rows > 0) {
      BANTAM_TRY(writer_.write(s.name + "/logits", std::as_bytes(logits)));
    } else {
      s.logits.insert(s.logits.end(), logits.begin(), logits.end());
    }
    row += rows * vocab;
  }
  if (probe != nullptr) probe->finish(engine_.weights(), engine_.workspace());
  for (size_t p = 0; p < parts.size(); ++p) {
    collect(group[who[p]], parts[p], static_cast<int64_t>(p), first, done[who[p]], probe);
    done[who[p]] += static_cast<int64_t>(parts[p].tokens.size());
    first += static_cast<int64_t>(parts[p].tokens.size());
  }
  return {};
}

// Takes what the probe saw of one part (rows `first`... of the step, positions `start`... of the sequence).
void ForwardRunner::collect(Sequence& s, const EngineImpl::Part& part, int64_t segment, int64_t first, int64_t start,
                            const model::Probe* probe) const {
  const model::Config& c = engine_.weights().config;
  const auto n = static_cast<int64_t>(part.tokens.size());
  const auto total = static_cast<int64_t>(s.ids.size());
  for (int64_t i = 0; wish_.hidden && i <= c.num_hidden_layers; ++i) {
    std::memcpy(s.hidden.data() + (i * total + start) * c.hidden_size, probe->hidden(i).row(first),
                static_cast<size_t>(n * c.hidden_size) * sizeof(float));
  }
  for (size_t a = 0; a < wish_.attention.size(); ++a) {
    const std::vector<float>& map = probe->attention(wish_.attention[a], segment);
    for (int64_t h = 0; h < c.num_attention_heads; ++h) {
      for (int64_t t = 0; t < n; ++t) {
        std::memcpy(s.attention[a].data() + (h * total + start + t) * total, map.data() + (h * n + t) * (start + n),
                    static_cast<size_t>(start + n) * sizeof(float));
      }
    }
  }
}

Status ForwardRunner::write(std::span<Sequence> group) {
  for (Sequence& s : group) {
    if (!s.logits.empty()) BANTAM_TRY(writer_.write(s.name + "/logits", std::as_bytes(std::span(s.logits))));
    if (wish_.hidden) BANTAM_TRY(writer_.write(s.name + "/hidden", std::as_bytes(std::span(s.hidden))));
    for (size_t a = 0; a < wish_.attention.size(); ++a) {
      BANTAM_TRY(writer_.write(fmt::format("{}/attention.{}", s.name, wish_.attention[a]),
                               std::as_bytes(std::span(s.attention[a]))));
    }
    s.logits = {};
    s.hidden = {};
    s.attention = {};
  }
  return {};
}

}  // namespace bantam::cli
