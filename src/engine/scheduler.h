// Scheduler: continuous batching. Decides which tokens of which requests go into the next forward, and who holds which
// page. Every step takes one token of each request that is decoding and, with what is left of the step, a piece of the
// oldest unread prompt; a long prompt therefore slows others' next token by one bounded piece and never stalls them.
// Whose turn it is next goes by tokens served per owner (an API key). Beginnings computed before come from the prefix
// tree, to the token: the page in which a request parts from what is known is copied first, even for one token of it
// (a 4B on 2 cores: 1.6 ms for a page in f16, 3 to 6 ms per token of a prompt). When pages run out, remembered
// beginnings go first, then the youngest request goes back to its queue: it keeps its tokens and is read again later,
// which changes nothing in the answer (see docs/numerics.md).
//
// It computes nothing and calls no device: a driver runs begin_step()'s parts and hands the chosen tokens to
// end_step(). Driven by one thread. Called by BatchGenerator; tested with a made-up model.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "engine/prefix_tree.h"

namespace bantam::engine {

struct SchedulerOptions {
  int64_t step_tok = 512;     // most tokens in one forward
  int64_t prefill_tok = 128;  // most prompt tokens in a forward in which others decode
  double most_slower = 0;   // for BatchGenerator: how many times slower these may come for it (prefill_pace.h); 0: any
  int64_t running = 64;     // most requests in work at once
  int64_t queue = 256;      // most requests waiting; one more is refused
  int64_t total_tok = 0;    // most prompt tokens waiting; a request that makes it more is refused; 0: no limit
  int64_t rows = 0;         // most rows of logits in one forward, at least `running`; 0: no limit
  int64_t context_tok = 0;  // most tokens of one request, prompt and answer
  int64_t page_tok = 64;    // tokens per page
  bool prefix_cache = true;
};

class Scheduler {
 public:
  struct Request {
    int64_t id = 0;
    std::string owner;            // whose: fairness and remembered beginnings are per owner
    std::vector<int32_t> prompt;  // at least one token
    // Rows for every token of the prompt are wanted, so none of it is taken from the tree. all_rows: rows of logits,
    // which are few in a forward; all_hidden: hidden states, of which a forward has all.
    bool all_rows = false, all_hidden = false;
    int64_t step_tok = 0;  // most of its prompt in one forward; 0: what there is room for
  };
  // One request's tokens in a forward. Views are valid until end_step().
  struct Part {
    int64_t id = 0;
    std::span<const int32_t> tokens;  // to be fed
    int64_t start = 0;                // position of the first
    std::span<const int32_t> pages;   // the request's pages, for positions up to the last token's
    // Before anything is computed, this page is to be copied to that of the position `start`; -1: nothing is. It holds
    // the positions before `start`, nobody writes into it in this step, and nobody reads the copy yet.
    int32_t copy_from = -1;
    bool all_rows = false;     // the logits after each of the tokens are needed
    bool wants_token = false;  // the logits after the last token are needed: choose the next one
  };
  struct Choice {
    int32_t token = -1;  // -1: none
    bool done = false;   // the request ends here; `token` is not fed
  };
  struct Counts {
    int64_t waiting = 0, running = 0, waiting_tok = 0;  // now
    int64_t total_pages = 0, free_pages = 0, remembered_pages = 0;
    // Since the beginning. Prompt tokens are those of the requests that began, cache hits those of them that came from
    // the tree.
    int64_t steps = 0, preemptions = 0, prompt_tok = 0, cache_hit_tok = 0, generated_tok = 0;
  };

  // `pages` must outlive the scheduler.
  Scheduler(const SchedulerOptions& options, PageAllocator* pages);
  ~Scheduler();

  // Queues a request. kBusy when the queue is full, kContextFull when its prompt can never fit, kUsage for an empty
  // prompt or an id in use.
  Status submit(Request request);
  // Takes a request out and frees what it held; false when there is none of that id. Not within a step.
  bool cancel(int64_t id);
  // As SchedulerOptions::prefill_tok, from the next step on. REQUIRES: tok > 0.
  void set_prefill_tok(int64_t tok) { options_.prefill_tok = tok; }
  // The next forward; empty when nothing is to be done. Followed by end_step() before anything else.
  std::span<const Part> begin_step();
  // The forward was computed. `choices`: one for every part that wants a token, in order.
  void end_step(std::span<const Choice> choices);

  // The whole pages of the longest beginning of `tokens` that the tree knows; each is retained for the caller.
  std::vector<int32_t> find_prefix(const std::string& owner, std::span<const int32_t> tokens);
  // Up to `wanted` pages that are the caller's to fill: free ones and those remembered for nobody's use now.
  std::vector<int32_t> take_pages(int64_t wanted);
  // Puts computed pages into the tree, as PrefixTree::insert: page i holds [page_tok * i, ...). The caller's references
  // go to the tree or away.
  void add_prefix(const std::string& owner, std::span<const int32_t> tokens, std::vector<int32_t> pages);
  void give_back(std::span<const int32_t> pages);

  // Most tokens one request can have: the context, or all pages.
  int64_t limit_tok() const;
  bool idle() const { return requests_.empty(); }
  // A request's tokens so far (prompt and answer), and how many of them came from the prefix tree. REQUIRES: known id.
  std::span<const int32_t> tokens(int64_t id) const;
  int64_t cached_tok(int64_t id) const;
  Counts counts() const;
  // Every page is accounted for, every request is in exactly one place. For tests and debug builds.
  bool check_integrity() const;

 private:
  struct Timeline;
  struct Owner {
    std::deque<Timeline*> waiting;
    int64_t in_work = 0;  // requests running
    int64_t served_tok = 0;
  };
  int64_t pages_for(int64_t tok) const { return (tok + options_.page_tok - 1) / options_.page_tok; }
  Owner& owner_of(const Timeline& timeline);
  void admit();
  bool admit_one(Owner& owner);
  void take_remembered(Timeline& timeline);
  bool drop_copy(Timeline& timeline);
  Owner* next_owner();
  Status check_queue(int64_t prompt_tok) const;
  int64_t waiting_tok() const;
  bool make_room(Timeline& timeline, int64_t tok);
  bool add_prompt_part(Timeline& timeline, int64_t* left, int64_t* rows);
  void add_part(Timeline& timeline, int64_t tok);
  void preempt(Timeline& timeline);
  void remember(Timeline& timeline);
  void remember_all(Timeline& timeline);
  void release_pages(Timeline& timeline);
  void remove(Timeline& timeline);

  SchedulerOptions options_;
  PageAllocator* pages_;
  PrefixTree tree_;
  std::unordered_map<int64_t, std::unique_ptr<Timeline>> requests_;
  std::vector<Timeline*> running_;  // oldest admission first
  std::map<std::string, Owner> owners_;
  std::vector<Part> parts_;
  bool in_step_ = false;
  Counts totals_;  // what counts() says of the time since the beginning
};

}  // namespace bantam::engine
