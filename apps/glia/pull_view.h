// What a pull looks like: one line that moves on a terminal, a plain line now and then elsewhere.
// Thread rule: as hub::PullWatcher. Errors: none.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "hub/pull.h"

namespace glia::cli {

class PullView final : public hub::PullWatcher {
 public:
  struct Surface {
    bool moves = false;      ///< a terminal: lines may be written over
    std::size_t width = 80;  ///< columns
    std::function<void(const std::string& bytes)> write;
    std::function<std::chrono::steady_clock::time_point()> now;
  };
  /// Standard error of this process.
  static Surface standard_error();

  explicit PullView(Surface surface) : surface_(std::move(surface)) {}

  void planned(const hub::PullPlan& plan) override;
  void moved(std::uint64_t bytes) override;
  void finished(const std::string& file, std::uint64_t bytes) override;
  void said(const std::string& sentence) override;
  /// Ends the moving line.
  void close();

 private:
  std::string state() const;
  std::string bar(const std::string& state) const;
  void line(const std::string& text);

  Surface surface_;
  hub::PullPlan plan_;
  std::uint64_t bytes_ = 0;
  double speed_ = 0;  ///< bytes a second, of late
  std::chrono::steady_clock::time_point measured_at_;
  std::uint64_t measured_ = 0;
  std::chrono::steady_clock::time_point shown_at_;
  bool line_open_ = false;
};

}  // namespace glia::cli
