// The engine's one thread: steps every model that has work, in turn.
//
// Lock order: mutex() guards submission, and what models keep for it (inbox, figures, whether they are on the thread's
// list). It is never held while a step runs or a sink is called; the lock of the table of models may be held around it.
// Ownership: shared by engine and models; stop() before the last owner outside the thread lets go.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "engine/engine.h"
#include "engine/text_encoder.h"

namespace glia::engine {

/// The end of a generation or an encoding, told to its sink after the step gave everything back.
class Ending {
 public:
  Ending(std::shared_ptr<GenerationSink> sink, std::variant<GenerateResult, Error> how)
      : end_(Of<GenerationSink, GenerateResult>{std::move(sink), std::move(how)}) {}
  Ending(std::shared_ptr<EncodeSink> sink, std::variant<EncodeResult, Error> how)
      : end_(Of<EncodeSink, EncodeResult>{std::move(sink), std::move(how)}) {}
  /// Throws what the sink throws.
  void tell();

 private:
  template <typename Sink, typename Result>
  struct Of {
    std::shared_ptr<Sink> sink;
    std::variant<Result, Error> how;
  };
  std::variant<Of<GenerationSink, GenerateResult>, Of<EncodeSink, EncodeResult>> end_;
};

/// Something the thread steps. All but has_inbox() are called on the thread without the lock.
class Steppable {
 public:
  virtual ~Steppable() = default;
  /// Takes the inbox in and what was cancelled out; never throws. False when nothing is left inside.
  virtual bool tidy(std::vector<Ending>& endings) = 0;
  /// One step; never throws. False when nothing is left inside (the inbox aside).
  virtual bool step(std::vector<Ending>& endings) = 0;
  /// Ends everything, the inbox included, with `error`.
  virtual void end_all(const Error& error, std::vector<Ending>& endings) = 0;
  /// Under the lock.
  virtual bool has_inbox() const = 0;

 private:
  friend class StepThread;
  bool listed_ = false;  // under the lock
};

class StepThread {
 public:
  StepThread();
  ~StepThread();
  StepThread(const StepThread&) = delete;
  StepThread& operator=(const StepThread&) = delete;

  std::mutex& mutex() { return mutex_; }
  /// Under the lock. True once stop() was called: nothing new may enter.
  bool stopping() const { return stopping_; }
  /// Under the lock: `model` has work.
  void wake(const std::shared_ptr<Steppable>& model);
  /// Finishes the step that runs, aborts the rest, joins. Idempotent; not from the thread itself.
  void stop();

 private:
  void loop();
  bool settle(std::size_t i, bool busy);

  std::mutex mutex_;
  std::condition_variable woken_;
  std::vector<std::shared_ptr<Steppable>> arrived_;  // under the lock
  bool stopping_ = false;                            // under the lock
  std::vector<std::shared_ptr<Steppable>> active_;   // the thread's own
  std::vector<Ending> endings_;                      // the thread's own
  std::thread thread_;
};

}  // namespace glia::engine
