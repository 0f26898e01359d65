// SIGINT and SIGTERM as values instead of interruptions.
#pragma once

#include <csignal>

namespace glia::cli {

/// Blocks the signals for this thread and all it starts afterwards (so: first thing in a verb), and waits for them.
/// SIGPIPE is ignored. Thread rule: one thread waits.
class Signals {
 public:
  Signals();
  /// The next signal, or 0 after `ms` without one.
  int wait(int ms) const;

 private:
  sigset_t set_{};
};

}  // namespace glia::cli
