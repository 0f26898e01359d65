// What runs next: the scheduler's policy as a plain state machine without threads, clock, tensors or text.
//
//   submit() → queued → plan() admits → running: prompt in chunks, then one decode chunk a step → remove()
//                          ▲                │
//                          └── set back ◀───┘ for want of memory
//
// Each step: offer() drafts where there are any, `const Plan& p = plan(); …run it…; commit(…);` then remove() for
// everything that ended. The rules:
//   admission  who was set back first, by seniority; then round robin over accounts, oldest first within one. The next
//              in line is never overtaken, so that nothing starves. It enters when a place is free and whoever keeps
//              the memory (Admission) has room for what it has to compute.
//   memory     is asked for as a sequence grows, by seniority: the order of first admission. Where there is none, the
//              least senior is set back: it gives up its memory, keeps its tokens, and computes them again when it
//              comes back. The most senior is never set back, so everything that runs finishes in the end.
//   rows       decode rows of everything that is past its prompt; drafts while rows are left; then prompts in chunks
//              that fill the step, or StepLimits::prompt_rows beside decode rows: accounts in turn, oldest first within
//              one. Where the decode rows alone are too many, those that waited longest go first and one row is left
//              for the prompts.
// A slot is a small dense number, used again after remove(): callers index their own arrays with it.
// Errors: none; misuse is a programmer error (assert). Thread rule: one thread at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace glia::engine {

struct ScheduleLimits {
  std::int32_t max_batch_rows = 512;
  std::int32_t max_running = 64;
};

/// Of one step.
struct StepLimits {
  std::int32_t prompt_rows = std::numeric_limits<std::int32_t>::max();  ///< beside decode rows; at least 1
};

using Slot = std::int32_t;

/// Positions [first, first + count) of one sequence, the last `drafts` of which are guesses. `samples`: the logits of
/// the last 1 + drafts rows are wanted; they give the next token, and the one after each guess that was right.
struct Chunk {
  Slot slot = 0;
  std::int32_t first = 0;
  std::int32_t count = 0;
  std::int32_t drafts = 0;
  bool samples = false;
};

struct Plan {
  std::vector<Slot> admitted;  ///< entered the batch with this step, in order
  std::vector<Chunk> chunks;   ///< at most one per sequence; positions ascend within it
  std::int32_t rows = 0;
};

/// Keeps the memory that running sequences need. Not owned.
class Admission {
 public:
  virtual ~Admission() = default;
  /// Takes the sequence in, with memory for every token it has: how many of them are computed already, fewer than there
  /// are. None: there is no room now. With nothing running there must be room for anything that was submitted.
  virtual std::optional<std::int32_t> enter(Slot slot) = 0;
  /// Memory for the first `positions`; false: there is none now. For a sequence that runs alone there must be.
  virtual bool extend(Slot slot, std::int32_t positions) = 0;
  /// The sequence is set back: its memory is free. enter() will come again.
  virtual void leave(Slot slot) = 0;
};

class Schedule {
 public:
  Schedule(const ScheduleLimits& limits, Admission& admission);

  /// Queues a sequence.
  Slot submit(std::string_view account, std::int32_t prompt_tokens);
  /// The sequence ended, in whatever state. Not between plan() and commit().
  void remove(Slot slot);

  /// So many guesses of its next tokens are there for the next step. Not for more positions than it may come to have.
  void offer(Slot slot, std::int32_t drafts) { at(slot).offered = drafts; }
  /// The next step. Empty only when nothing is queued or running. Valid until the next call.
  const Plan& plan(const StepLimits& step = {});
  /// The planned step was run: every chunk that samples gained a token and `accepted` of its drafts. [chunks]
  void commit(std::span<const std::int32_t> accepted);

  std::int32_t queued() const { return queued_; }
  std::int32_t running() const { return static_cast<std::int32_t>(running_.size()); }
  /// In order of seniority.
  std::span<const Slot> running_slots() const { return running_; }
  /// Runs and is past its prompt: the next step gives it a token, rows allowing.
  bool decodes(Slot slot) const {
    const Entry& e = entries_[static_cast<std::size_t>(slot)];
    return e.state == State::running && e.computed >= e.target;
  }
  /// Positions that are in its memory.
  std::int32_t computed(Slot slot) const { return entries_[static_cast<std::size_t>(slot)].computed; }

 private:
  enum class State { free, queued, running };
  struct Account {
    std::string name;
    std::deque<Slot> waiting;
    std::int32_t entries = 0;
    std::uint64_t last_prompt = 0;  // step in which it last computed one
  };
  struct Entry {
    State state = State::free;
    Account* account = nullptr;
    std::uint64_t seniority = 0;  // 0: never ran
    std::int32_t known = 0;       // tokens there are: prompt and sampled
    std::int32_t target = 0;      // of these, so many are computed in chunks before it decodes
    std::int32_t computed = 0;    // of these, positions that are in memory
    std::int32_t offered = 0;
    std::uint64_t last_step = 0;
  };

  Entry& at(Slot slot) { return entries_[static_cast<std::size_t>(slot)]; }
  void insert_by_seniority(std::vector<Slot>& slots, Slot slot);
  bool try_enter(Slot slot);
  void admit();
  void set_back(Slot slot);
  bool extend(Slot slot);
  void plan_decodes();
  void plan_drafts();
  void plan_prompts(const StepLimits& step);

  ScheduleLimits limits_;
  Admission* admission_;
  std::vector<Entry> entries_;
  std::vector<Slot> free_;
  std::map<std::string, Account, std::less<>> accounts_;
  std::deque<Account*> turns_;  // with somebody waiting; the front is next
  std::vector<Slot> set_back_;  // waiting again, by seniority
  std::vector<Slot> running_;   // by seniority
  std::vector<Slot> scratch_;
  Plan plan_;
  std::int32_t queued_ = 0;
  std::uint64_t step_ = 0;
  std::uint64_t admissions_ = 0;
  bool short_of_memory_ = false;  // in this step
};

}  // namespace glia::engine
