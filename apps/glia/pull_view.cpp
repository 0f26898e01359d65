#include "pull_view.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "terminal.h"

namespace glia::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr auto kRedraw = milliseconds(100);
constexpr auto kPlainLine = seconds(10);
constexpr std::size_t kNarrowestBar = 10;
constexpr std::size_t kWidestBar = 40;

/// "1:53", "2:04:10"
std::string clock_text(double s) {
  const auto whole = static_cast<std::int64_t>(std::min(s, 359'999.0));
  const auto two = [](std::int64_t n) { return (n < 10 ? "0" : "") + std::to_string(n); };
  if (whole < 3600) return std::to_string(whole / 60) + ":" + two(whole % 60);
  return std::to_string(whole / 3600) + ":" + two(whole / 60 % 60) + ":" + two(whole % 60);
}

}  // namespace

PullView::Surface PullView::standard_error() {
  Surface surface;
  const char* term = std::getenv("TERM");
  surface.moves = ::isatty(STDERR_FILENO) == 1 && (term == nullptr || std::string_view(term) != "dumb");
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) surface.width = size.ws_col;
  surface.write = [](const std::string& bytes) {
    for (std::size_t at = 0; at < bytes.size();) {
      const ssize_t n = ::write(STDERR_FILENO, bytes.data() + at, bytes.size() - at);
      if (n <= 0) return;
      at += static_cast<std::size_t>(n);
    }
  };
  surface.now = [] { return std::chrono::steady_clock::now(); };
  return surface;
}

void PullView::planned(const hub::PullPlan& plan) {
  plan_ = plan;
  bytes_ = measured_ = plan.here;
  measured_at_ = shown_at_ = surface_.now();
  std::string text = "revision " + plan.commit.substr(0, 12) + ", " + std::to_string(plan.files) +
                     (plan.files == 1 ? " file, " : " files, ") + human_bytes(plan.bytes);
  if (plan.here == plan.bytes) {
    text += ", all here";
  } else if (plan.here > 0) {
    text += ", " + human_bytes(plan.here) + " of it here";
  }
  line(text);
}

std::string PullView::state() const {
  const double share = plan_.bytes == 0 ? 100 : 100.0 * static_cast<double>(bytes_) / static_cast<double>(plan_.bytes);
  std::string text =
      fixed(std::floor(share * 10) / 10, 1) + " %  " + human_bytes(bytes_) + " of " + human_bytes(plan_.bytes);
  if (speed_ >= 1) {
    text += "  " + human_bytes(static_cast<std::uint64_t>(speed_)) + "/s  " +
            clock_text(static_cast<double>(plan_.bytes - std::min(bytes_, plan_.bytes)) / speed_) + " left";
  }
  return text;
}

std::string PullView::bar(const std::string& state) const {
  if (surface_.width < state.size() + kNarrowestBar + 5) return state.substr(0, surface_.width - 1);
  const std::size_t cells = std::min(kWidestBar, surface_.width - state.size() - 5);
  const std::size_t full = plan_.bytes == 0 ? cells : static_cast<std::size_t>(bytes_ * cells / plan_.bytes);
  return "[" + std::string(full, '#') + std::string(cells - std::min(full, cells), '.') + "] " + state;
}

void PullView::moved(std::uint64_t bytes) {
  bytes_ = bytes;
  const auto now = surface_.now();
  if (const auto since = now - measured_at_; since >= milliseconds(500)) {
    const double s = std::chrono::duration<double>(since).count();
    const double latest = bytes_ > measured_ ? static_cast<double>(bytes_ - measured_) / s : 0;
    speed_ = speed_ == 0 ? latest : 0.7 * speed_ + 0.3 * latest;
    measured_ = bytes_;
    measured_at_ = now;
  }
  if (now - shown_at_ < (surface_.moves ? std::chrono::nanoseconds(kRedraw) : std::chrono::nanoseconds(kPlainLine)))
    return;
  shown_at_ = now;
  if (!surface_.moves) return surface_.write(state() + "\n");
  surface_.write("\r\033[K" + bar(state()));
  line_open_ = true;
}

void PullView::line(const std::string& text) {
  surface_.write((line_open_ ? "\r\033[K" : "") + text + "\n");
  line_open_ = false;
}

void PullView::finished(const std::string& file, std::uint64_t bytes) { line(file + "  " + human_bytes(bytes)); }
void PullView::said(const std::string& sentence) { line(sentence); }

void PullView::close() {
  if (line_open_) surface_.write("\r\033[K");
  line_open_ = false;
}

}  // namespace glia::cli
