// What runs next: the scheduler's policy as a plain state machine without threads, clock, tensors or text.
//
//   submit() → queued → plan() admits → running: prefill chunks, then one decode row a step → remove()
//
// Each step: `const Plan& p = plan(); …run it…; commit();` then remove() for everything that ended. The rules:
//   admission  round robin over accounts, oldest first within one; the next in line is never overtaken, so that nothing
//              starves. It enters when a place is free and whoever keeps the memory (Admission) takes it in, with all
//              that it can ever need. What is running therefore always finishes; nothing is ever preempted.
//   rows       decode rows of everything that is past its prompt; then prompts, oldest first, in chunks that fill the
//              step. Where the decode rows alone are too many, those that waited longest go first and one row is left
//              for the prompts.
// A slot is a small dense number, used again after remove(): callers index their own arrays with it.
// Seam: a speculator gives a decode chunk more than one row; it only changes `computed` and `known`.
// Errors: none; misuse is a programmer error (assert). Thread rule: one thread at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace glia::engine {

struct ScheduleLimits {
  std::int32_t max_batch_rows = 512;
  std::int32_t max_running = 64;
};

using Slot = std::int32_t;

/// Positions [first, first + count) of one sequence. `samples`: the last row's logits give its next token.
struct Chunk {
  Slot slot = 0;
  std::int32_t first = 0;
  std::int32_t count = 0;
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
  /// Takes the sequence in: how many positions of its prompt are computed already, fewer than there are. None: there is
  /// no room now. With nothing running there must be room for anything that was submitted.
  virtual std::optional<std::int32_t> enter(Slot slot) = 0;
};

class Schedule {
 public:
  Schedule(const ScheduleLimits& limits, Admission& admission);

  /// Queues a sequence.
  Slot submit(std::string_view account, std::int32_t prompt_tokens);
  /// The sequence ended, in whatever state. Not between plan() and commit().
  void remove(Slot slot);

  /// The next step. Empty only when nothing is queued or running. Valid until the next call.
  const Plan& plan();
  /// The planned step was run; every chunk that samples gained a token.
  void commit();

  std::int32_t queued() const { return queued_; }
  std::int32_t running() const { return static_cast<std::int32_t>(running_.size()); }
  /// Positions that are in the KV pages.
  std::int32_t computed(Slot slot) const { return entries_[static_cast<std::size_t>(slot)].computed; }

 private:
  enum class State { free, queued, running };
  struct Entry {
    State state = State::free;
    std::string account;
    std::int32_t prompt = 0;
    std::int32_t known = 0;     // tokens there are: prompt and sampled
    std::int32_t computed = 0;  // of these, positions that are in the KV pages
    std::uint64_t last_step = 0;
  };
  struct Account {
    std::string name;
    std::deque<Slot> waiting;
  };

  Entry& at(Slot slot) { return entries_[static_cast<std::size_t>(slot)]; }
  void admit();
  void plan_decodes();
  void plan_prompts();

  ScheduleLimits limits_;
  Admission* admission_;
  std::vector<Entry> entries_;
  std::vector<Slot> free_;
  std::list<Account> accounts_;  // with somebody waiting; the front is next
  std::vector<Slot> running_;    // in order of admission
  std::vector<Slot> decodes_;    // scratch
  Plan plan_;
  std::int32_t queued_ = 0;
  std::uint64_t step_ = 0;
};

}  // namespace glia::engine
