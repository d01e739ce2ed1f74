// See scheduler.h.
#include "engine/scheduler.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace bantam::engine {

struct Scheduler::Timeline {
  int64_t id = 0;
  std::string owner;
  std::vector<int32_t> tokens;
  std::vector<int32_t> pages;
  int64_t computed = 0;    // tokens whose keys and values are in the pages
  int64_t cached = -1;     // of these, taken from the tree before its first part; -1: no part yet
  bool has_begun = false;  // has had a part since it was admitted
  int32_t copy_from = -1;  // page to copy before its next part, retained; its tokens count as computed
  int64_t remembered = 0;  // pages the tree knows already
  int64_t prompt_tok = 0;
  bool all_rows = false, all_hidden = false;
  int64_t step_tok = 0;   // most of the prompt in one forward; 0: any
  int64_t rows_done = 0;  // tokens whose rows were computed; those of a request that is read again are not wanted again
  bool running = false;

  int64_t pending() const { return static_cast<int64_t>(tokens.size()) - computed; }
  bool wants_rows() const { return all_rows && computed >= rows_done && computed < prompt_tok; }
};

Scheduler::Scheduler(const SchedulerOptions& options, PageAllocator* pages)
    : options_(options), pages_(pages), tree_(pages, options.page_tok) {
  BANTAM_CHECK(options.step_tok > 0 && options.prefill_tok > 0 && options.running > 0);
  BANTAM_CHECK(options.rows == 0 || options.rows >= options.running);
}

Scheduler::~Scheduler() {
  for (auto& [id, timeline] : requests_) release_pages(*timeline);
}

Scheduler::Owner& Scheduler::owner_of(const Timeline& timeline) {
  return owners_[timeline.owner];
}

int64_t Scheduler::limit_tok() const {
  return std::min(options_.context_tok, pages_->capacity() * options_.page_tok);
}

Status Scheduler::submit(Request request) {
  const auto prompt_tok = static_cast<int64_t>(request.prompt.size());
  if (prompt_tok == 0) return usage_error("request {}: expected at least one token", request.id);
  if (requests_.count(request.id) != 0) return usage_error("request {}: the id is in use", request.id);
  if (prompt_tok > limit_tok()) {
    return make_error(ErrorCode::kContextFull, "the prompt has {} tokens, the context holds {}", prompt_tok,
                      limit_tok());
  }
  BANTAM_TRY(check_queue(prompt_tok));
  auto timeline = std::make_unique<Timeline>();
  timeline->id = request.id;
  timeline->prompt_tok = prompt_tok;
  timeline->all_rows = request.all_rows;
  timeline->all_hidden = request.all_hidden;
  timeline->step_tok = request.step_tok;
  timeline->owner = std::move(request.owner);
  timeline->tokens = std::move(request.prompt);
  Owner& owner = owner_of(*timeline);
  if (owner.waiting.empty() && owner.in_work == 0) {
    // Who comes back has no claim on the time it was away.
    int64_t least = -1;
    for (const auto& [name, other] : owners_) {
      if (&other == &owner || (other.waiting.empty() && other.in_work == 0)) continue;
      if (least < 0 || other.served_tok < least) least = other.served_tok;
    }
    owner.served_tok = std::max(owner.served_tok, least);
  }
  owner.waiting.push_back(timeline.get());
  requests_.emplace(request.id, std::move(timeline));
  return {};
}

int64_t Scheduler::waiting_tok() const {
  int64_t tok = 0;
  for (const auto& [name, owner] : owners_) {
    for (const Timeline* timeline : owner.waiting) tok += static_cast<int64_t>(timeline->tokens.size());
  }
  return tok;
}

// A request that waits alone is always taken, however long it is.
Status Scheduler::check_queue(int64_t prompt_tok) const {
  const auto waiting = static_cast<int64_t>(requests_.size() - running_.size());
  if (waiting >= options_.queue) {
    return make_error(ErrorCode::kBusy, "the queue is full: {} requests are waiting", waiting);
  }
  if (options_.total_tok <= 0 || waiting == 0) return {};
  const int64_t tok = waiting_tok();
  if (tok + prompt_tok <= options_.total_tok) return {};
  return make_error(ErrorCode::kBusy, "the queue is full: {} tokens are waiting, {} more make it more than {}", tok,
                    prompt_tok, options_.total_tok);
}

bool Scheduler::cancel(int64_t id) {
  BANTAM_CHECK(!in_step_);
  const auto found = requests_.find(id);
  if (found == requests_.end()) return false;
  Timeline& timeline = *found->second;
  remember_all(timeline);
  remove(timeline);
  return true;
}

// The owner that has been served least among those that wait.
Scheduler::Owner* Scheduler::next_owner() {
  Owner* best = nullptr;
  for (auto& [name, owner] : owners_) {
    if (!owner.waiting.empty() && (best == nullptr || owner.served_tok < best->served_tok)) best = &owner;
  }
  return best;
}

void Scheduler::admit() {
  while (static_cast<int64_t>(running_.size()) < options_.running) {
    Owner* owner = next_owner();
    if (owner == nullptr || !admit_one(*owner)) return;
  }
}

// Gives a request that has computed nothing yet the pages of a beginning that somebody computed before.
void Scheduler::take_remembered(Timeline& timeline) {
  if (!options_.prefix_cache || timeline.has_begun) return;
  release_pages(timeline);  // it may have taken less before
  if (timeline.all_rows || timeline.all_hidden) return;
  // The last token is always fed: its logits are needed.
  const auto known = std::span(timeline.tokens).first(timeline.tokens.size() - 1);
  PrefixTree::Piece piece;
  timeline.computed = tree_.match(timeline.owner, known, &timeline.pages, &piece) + piece.tok;
  timeline.copy_from = piece.page;
  timeline.remembered = static_cast<int64_t>(timeline.pages.size());
}

// Gives up a copy that was not made yet: the page it would be made of may be the one that is missing. False when there
// is none.
bool Scheduler::drop_copy(Timeline& timeline) {
  if (timeline.copy_from < 0) return false;
  pages_->release(std::exchange(timeline.copy_from, -1));
  timeline.computed = static_cast<int64_t>(timeline.pages.size()) * options_.page_tok;
  return true;
}

// Starts the owner's oldest request if its whole prompt and one token more have room beside what the running ones
// still need for theirs; admitting more would only make them push each other out.
bool Scheduler::admit_one(Owner& owner) {
  Timeline& timeline = *owner.waiting.front();
  const auto size = static_cast<int64_t>(timeline.tokens.size());
  take_remembered(timeline);
  int64_t wanted = pages_for(std::min(size + 1, limit_tok())) - static_cast<int64_t>(timeline.pages.size());
  for (const Timeline* other : running_) {
    const auto other_size = static_cast<int64_t>(other->tokens.size());
    wanted += std::max<int64_t>(0, pages_for(other_size) - static_cast<int64_t>(other->pages.size()));
  }
  tree_.evict(wanted);
  if (pages_->free_pages() < wanted && drop_copy(timeline)) tree_.evict(wanted);
  if (pages_->free_pages() < wanted) {
    release_pages(timeline);  // a request that waits holds nothing
    return false;
  }
  timeline.running = true;
  owner.waiting.pop_front();
  ++owner.in_work;
  running_.push_back(&timeline);
  return true;
}

// Pages for `tok` more tokens of a running request: free ones, remembered ones, then the youngest requests'. False
// when the request itself is the youngest and has to wait.
bool Scheduler::make_room(Timeline& timeline, int64_t tok) {
  const int64_t wanted = pages_for(timeline.computed + tok) - static_cast<int64_t>(timeline.pages.size());
  if (wanted <= 0) return true;
  while (pages_->free_pages() < wanted) {
    tree_.evict(wanted);
    if (pages_->free_pages() >= wanted) break;
    Timeline& youngest = *running_.back();
    preempt(youngest);
    if (&youngest == &timeline) return false;
  }
  for (int64_t i = 0; i < wanted; ++i) timeline.pages.push_back(pages_->allocate());
  return true;
}

void Scheduler::add_part(Timeline& timeline, int64_t tok) {
  if (timeline.cached < 0) {
    timeline.cached = timeline.computed;
    totals_.prompt_tok += timeline.prompt_tok;
    totals_.cache_hit_tok += timeline.cached;
  }
  Part part;
  part.id = timeline.id;
  part.tokens = std::span(timeline.tokens).subspan(static_cast<size_t>(timeline.computed), static_cast<size_t>(tok));
  part.start = timeline.computed;
  part.pages = timeline.pages;
  part.copy_from = timeline.copy_from;
  timeline.has_begun = true;
  part.all_rows = timeline.wants_rows();
  part.wants_token = tok == timeline.pending();
  parts_.push_back(part);
  owner_of(timeline).served_tok += tok;
}

std::span<const Scheduler::Part> Scheduler::begin_step() {
  BANTAM_CHECK(!in_step_);
  parts_.clear();
  int64_t left = options_.step_tok;
  int64_t rows = options_.rows > 0 ? options_.rows : options_.step_tok;
  // Preemption takes from the back of running_, and what is behind index i has no part yet: parts stay valid.
  for (size_t i = 0; i < running_.size() && left > 0; ++i) {
    Timeline& timeline = *running_[i];
    if (timeline.pending() != 1 || !make_room(timeline, 1)) continue;
    add_part(timeline, 1);
    --left;
    --rows;
  }
  if (!parts_.empty()) left = std::min(left, options_.prefill_tok);
  const size_t had_their_turn = running_.size();
  admit();
  for (size_t i = 0; i < running_.size() && left > 0; ++i) {
    Timeline& timeline = *running_[i];
    if (i < had_their_turn && timeline.pending() == 1) continue;
    take_remembered(timeline);  // of several that came at once and begin alike, the first has computed it by now
    // A prompt never pushes a request out that has a part in this step; it waits for room.
    if (!add_prompt_part(timeline, &left, &rows)) break;
  }
  in_step_ = !parts_.empty();
  totals_.steps += in_step_ ? 1 : 0;
  return parts_;
}

// The next piece of a prompt, as much as the step has left in tokens and rows, if anything. False when there are no
// pages for it.
bool Scheduler::add_prompt_part(Timeline& timeline, int64_t* left, int64_t* rows) {
  int64_t tok = std::min(*left, timeline.pending());
  if (timeline.step_tok > 0) tok = std::min(tok, timeline.step_tok);
  if (timeline.wants_rows()) {
    tok = std::min(tok, *rows);
  } else {
    if (timeline.computed < timeline.rows_done) tok = std::min(tok, timeline.rows_done - timeline.computed);
    if (tok == timeline.pending() && *rows == 0) --tok;  // the last token's row is one too many
  }
  if (tok <= 0) return true;
  const int64_t missing = pages_for(timeline.computed + tok) - static_cast<int64_t>(timeline.pages.size());
  tree_.evict(missing);
  if (missing > pages_->free_pages()) return drop_copy(timeline) && add_prompt_part(timeline, left, rows);
  for (int64_t k = 0; k < missing; ++k) timeline.pages.push_back(pages_->allocate());
  add_part(timeline, tok);
  *left -= tok;
  if (parts_.back().all_rows) {
    *rows -= tok;
  } else if (parts_.back().wants_token) {
    --*rows;
  }
  return true;
}

void Scheduler::end_step(std::span<const Choice> choices) {
  BANTAM_CHECK(in_step_);
  in_step_ = false;
  size_t next = 0;
  for (const Part& part : parts_) {
    Timeline& timeline = *requests_.at(part.id);
    timeline.computed += static_cast<int64_t>(part.tokens.size());
    if (timeline.copy_from >= 0) pages_->release(std::exchange(timeline.copy_from, -1));
    if (part.all_rows) timeline.rows_done = timeline.computed;
    remember(timeline);
    if (!part.wants_token) continue;
    BANTAM_CHECK(next < choices.size());
    const Choice& choice = choices[next++];
    totals_.generated_tok += choice.token >= 0 ? 1 : 0;
    if (choice.done) {
      remember_all(timeline);
      remove(timeline);
    } else {
      timeline.tokens.push_back(choice.token);
    }
  }
  BANTAM_CHECK(next == choices.size());
}

// Puts the request's computed whole pages into the tree.
void Scheduler::remember(Timeline& timeline) {
  const int64_t whole = timeline.computed / options_.page_tok;
  if (!options_.prefix_cache || whole <= timeline.remembered) return;
  tree_.insert(timeline.owner, std::span(timeline.tokens).first(static_cast<size_t>(whole * options_.page_tok)),
               std::span(timeline.pages).first(static_cast<size_t>(whole)));
  timeline.remembered = whole;
}

// Puts everything computed into the tree, the last page as far as it is filled. Nothing may be written after that.
void Scheduler::remember_all(Timeline& timeline) {
  if (!options_.prefix_cache || timeline.copy_from >= 0 || timeline.pages.empty()) return;
  const auto pages = std::span(timeline.pages).first(static_cast<size_t>(pages_for(timeline.computed)));
  tree_.insert(timeline.owner, std::span(timeline.tokens).first(static_cast<size_t>(timeline.computed)), pages);
}

void Scheduler::release_pages(Timeline& timeline) {
  if (timeline.copy_from >= 0) pages_->release(std::exchange(timeline.copy_from, -1));
  give_back(timeline.pages);
  timeline.pages.clear();
  timeline.computed = timeline.remembered = 0;
  timeline.has_begun = false;
}

void Scheduler::preempt(Timeline& timeline) {
  ++totals_.preemptions;
  release_pages(timeline);
  timeline.running = false;
  running_.erase(std::find(running_.begin(), running_.end(), &timeline));
  Owner& owner = owner_of(timeline);
  --owner.in_work;
  owner.waiting.push_front(&timeline);
}

void Scheduler::remove(Timeline& timeline) {
  release_pages(timeline);
  Owner& owner = owner_of(timeline);
  if (timeline.running) {
    running_.erase(std::find(running_.begin(), running_.end(), &timeline));
    --owner.in_work;
  } else {
    owner.waiting.erase(std::find(owner.waiting.begin(), owner.waiting.end(), &timeline));
  }
  if (owner.waiting.empty() && owner.in_work == 0 && owners_.size() > static_cast<size_t>(options_.queue)) {
    owners_.erase(timeline.owner);  // keys that come and go must not pile up
  }
  requests_.erase(timeline.id);
}

std::vector<int32_t> Scheduler::find_prefix(const std::string& owner, std::span<const int32_t> tokens) {
  std::vector<int32_t> pages;
  tree_.match(owner, tokens, &pages);
  return pages;
}

std::vector<int32_t> Scheduler::take_pages(int64_t wanted) {
  tree_.evict(wanted);
  std::vector<int32_t> pages;
  for (int64_t n = std::min(wanted, pages_->free_pages()); n > 0; --n) pages.push_back(pages_->allocate());
  return pages;
}

void Scheduler::add_prefix(const std::string& owner, std::span<const int32_t> tokens, std::vector<int32_t> pages) {
  tree_.insert(owner, tokens, pages);
  give_back(pages);
}

void Scheduler::give_back(std::span<const int32_t> pages) {
  for (auto page = pages.rbegin(); page != pages.rend(); ++page) pages_->release(*page);
}

std::span<const int32_t> Scheduler::tokens(int64_t id) const {
  return requests_.at(id)->tokens;
}

int64_t Scheduler::cached_tok(int64_t id) const {
  return std::max<int64_t>(0, requests_.at(id)->cached);
}

Scheduler::Counts Scheduler::counts() const {
  Counts out = totals_;
  out.waiting = static_cast<int64_t>(requests_.size() - running_.size());
  out.running = static_cast<int64_t>(running_.size());
  out.waiting_tok = waiting_tok();
  out.total_pages = pages_->capacity();
  out.free_pages = pages_->free_pages();
  out.remembered_pages = tree_.size();
  return out;
}

bool Scheduler::check_integrity() const {
  if (!pages_->check_integrity() || !tree_.check_integrity()) return false;
  std::vector<int32_t> counts(static_cast<size_t>(pages_->capacity()), 0);
  tree_.count_references(&counts);
  size_t waiting = 0;
  for (const auto& [name, owner] : owners_) {
    waiting += owner.waiting.size();
    for (const Timeline* timeline : owner.waiting) {
      if (timeline->running || !timeline->pages.empty() || timeline->computed != 0 || timeline->copy_from >= 0 ||
          timeline->owner != name) {
        return false;
      }
    }
  }
  if (waiting + running_.size() != requests_.size()) return false;
  for (const Timeline* timeline : running_) {
    const bool has_copy = timeline->copy_from >= 0;
    const auto held = static_cast<int64_t>(timeline->pages.size()) + (has_copy ? 1 : 0);
    if (has_copy && timeline->has_begun) return false;
    if (has_copy) ++counts[static_cast<size_t>(timeline->copy_from)];
    if (timeline->rows_done > timeline->prompt_tok) return false;
    if (!timeline->running || timeline->pending() < 1 || held < pages_for(timeline->computed)) return false;
    for (int32_t page : timeline->pages) ++counts[static_cast<size_t>(page)];
  }
  for (size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] != pages_->references(static_cast<int32_t>(i))) return false;
  }
  return true;
}

}  // namespace bantam::engine
