#include "hub/fetch_files.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>

#include "base/error.h"
#include "hub/partial_file.h"
#include "hub/remote.h"

namespace glia::hub {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

/// Most bytes of one file that wait in memory for those before them, in parts.
constexpr std::uint64_t kWindowParts = 8;
constexpr auto kLookAgain = std::chrono::milliseconds(200);

/// One file on its way.
struct Job {
  enum class State { waiting, opening, open, closing, done };

  RemoteFile file;
  Remote::Source source;
  State state = State::waiting;
  Clock::time_point not_before = {};
  std::optional<BlobLock> lock = {};
  std::unique_ptr<PartialFile> partial = {};
  std::uint64_t counted = 0;  ///< of its bytes, in the sum that the watcher sees
  int readers = 0;
  bool said_locked = false;
  bool was_wrong = false;
};

class Workers {
 public:
  Workers(const Layout& layout, const std::string& commit, const std::vector<RemoteFile>& files, std::uint64_t here,
          const PullOptions& options, PullWatcher& watcher)
      : layout_(layout), commit_(commit), options_(options), watcher_(watcher), moved_(here) {
    for (const auto& file : files) {
      auto& job = *jobs_.emplace_back(std::make_unique<Job>());
      job.file = file;
      job.source = {.repo = layout.repo, .commit = commit, .file = file};
    }
    std::stable_sort(jobs_.begin(), jobs_.end(),
                     [](const auto& a, const auto& b) { return a->file.bytes < b->file.bytes; });
  }

  void run() {
    const int count = std::max(1, options_.connections);
    std::vector<std::jthread> threads;
    {
      std::unique_lock lock(mutex_);
      running_ = count;
      for (int i = 0; i < count; i++) threads.emplace_back([this] { work(); });
      while (running_ > 0) {
        changed_.wait_for(lock, kLookAgain);
        if (options_.cancelled != nullptr && options_.cancelled->load()) stop_.store(true);
      }
    }
    threads.clear();
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  struct Task {
    Job* job = nullptr;
    std::optional<Part> part = {};  ///< none: the job is to be opened
  };

  void work() {
    try {
      std::optional<Remote> remote;
      while (const auto task = next()) {
        if (!task->part) {
          open(*task->job);
          continue;
        }
        if (!remote) remote.emplace(remote_options());
        read(*remote, *task->job, *task->part);
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      // What the others say when they are stopped is not why.
      if (!failure_) failure_ = std::current_exception();
      stop_.store(true);
    }
    const std::lock_guard lock(mutex_);
    running_--;
    changed_.notify_all();
  }

  RemoteOptions remote_options() {
    RemoteOptions remote;
    remote.environment = options_.environment;
    remote.fetch.user_agent = options_.user_agent;
    remote.fetch.ca_file = options_.ca_file;
    remote.fetch.stall_timeout_s = options_.stall_timeout_s;
    remote.fetch.cancelled = &stop_;
    remote.backoff_ms = options_.backoff_ms;
    remote.on_wait = [this](const std::string& sentence) {
      const std::lock_guard lock(mutex_);
      watcher_.said(sentence);
    };
    return remote;
  }

  /// What to do next; nothing when all is done. Waits where others must finish first.
  std::optional<Task> next() {
    std::unique_lock lock(mutex_);
    while (true) {
      if (stop_.load()) throw Error(ErrorCode::aborted);
      bool all_done = true;
      for (const auto& job : jobs_) {
        all_done = all_done && job->state == Job::State::done;
        if (job->state == Job::State::waiting && Clock::now() >= job->not_before) {
          job->state = Job::State::opening;
          return Task{job.get()};
        }
        if (job->state != Job::State::open) continue;
        if (const auto part = job->partial->claim()) {
          job->readers++;
          return Task{job.get(), part};
        }
      }
      if (all_done) return std::nullopt;
      changed_.wait_for(lock, kLookAgain);
    }
  }

  /// Takes the blob's lock, unless somebody else fetches it; then this is looked at again later.
  void open(Job& job) {
    auto blob_lock = BlobLock::try_take(layout_.lock(job.file.blob));
    if (blob_lock && has_blob(layout_, job.file)) {
      finished(job, job.file.bytes);
      return;
    }
    if (!blob_lock) {
      const std::lock_guard lock(mutex_);
      job.state = Job::State::waiting;
      job.not_before = Clock::now() + kLookAgain;
      const bool ours = std::any_of(jobs_.begin(), jobs_.end(), [&](const auto& other) {
        return other.get() != &job && other->lock && other->file.blob == job.file.blob;
      });
      if (!ours && !std::exchange(job.said_locked, true)) {
        watcher_.said("another program is pulling " + job.file.name + "; waiting for it");
      }
      return;
    }
    auto partial = std::make_unique<PartialFile>(layout_.incomplete(job.file.blob), job.file, options_.part_bytes,
                                                 options_.part_bytes * kWindowParts);
    const bool whole = partial->whole();
    {
      const std::lock_guard lock(mutex_);
      job.lock = std::move(blob_lock);
      job.partial = std::move(partial);
      job.state = whole ? Job::State::closing : Job::State::open;
      count(job, job.partial->written());
      changed_.notify_all();
    }
    if (whole) close(job);
  }

  void read(Remote& remote, Job& job, Part part) {
    Remote::Source source;
    {
      const std::lock_guard lock(mutex_);
      source = job.source;
    }
    remote.read(source, part.begin, part.end, [&](std::string_view bytes) {
      job.partial->put(part, bytes);
      const std::lock_guard lock(mutex_);
      count(job, job.partial->written());
    });
    bool last = false;
    {
      const std::lock_guard lock(mutex_);
      job.source.location = source.location;
      if (!source.ranges && std::exchange(job.source.ranges, false)) job.partial->in_one_part();
      job.readers--;
      if (job.readers == 0 && job.partial->whole() && job.state == Job::State::open) {
        job.state = Job::State::closing;
        last = true;
      }
      changed_.notify_all();
    }
    if (last) close(job);
  }

  /// All bytes are there: to its place with it, or all over again, once.
  void close(Job& job) {
    if (job.partial->finish(layout_.blob(job.file.blob))) {
      finished(job, job.file.bytes);
      return;
    }
    if (job.was_wrong) {
      throw Error(
          ErrorCode::model_unavailable,
          job.file.name + " came twice with bytes that are not the published ones (checksum); nothing of it is kept");
    }
    const std::lock_guard lock(mutex_);
    job.was_wrong = true;
    job.source.location.clear();
    job.state = Job::State::open;
    count(job, 0);
    watcher_.said(job.file.name + " has the wrong checksum; fetching it anew");
    changed_.notify_all();
  }

  void finished(Job& job, std::uint64_t bytes) {
    link_file(layout_, commit_, job.file);
    const std::lock_guard lock(mutex_);
    count(job, bytes);
    job.partial.reset();
    job.lock.reset();
    job.state = Job::State::done;
    watcher_.finished(job.file.name, bytes);
    changed_.notify_all();
  }

  void count(Job& job, std::uint64_t bytes) {
    moved_ = moved_ - job.counted + bytes;
    job.counted = bytes;
    watcher_.moved(moved_);
  }

  const Layout& layout_;
  const std::string& commit_;
  const PullOptions& options_;
  PullWatcher& watcher_;
  std::vector<std::unique_ptr<Job>> jobs_;
  std::mutex mutex_;  ///< jobs (but their PartialFile), failure_, moved_, running_, calls of the watcher
  std::condition_variable changed_;
  std::atomic<bool> stop_ = false;
  int running_ = 0;
  std::exception_ptr failure_;
  std::uint64_t moved_;
};

}  // namespace

bool has_file(const Layout& layout, const std::string& commit, const RemoteFile& file) {
  std::error_code ec;
  const fs::path link = layout.snapshot(commit) / file.name;
  const bool itself =
      fs::symlink_status(link, ec).type() == fs::file_type::regular && fs::file_size(link, ec) == file.bytes;
  return itself || has_blob(layout, file);
}

bool has_blob(const Layout& layout, const RemoteFile& file) {
  std::error_code ec;
  const fs::path blob = layout.blob(file.blob);
  return fs::is_regular_file(blob, ec) && fs::file_size(blob, ec) == file.bytes && !ec;
}

void link_file(const Layout& layout, const std::string& commit, const RemoteFile& file) {
  const fs::path link = layout.snapshot(commit) / file.name;
  const fs::path target = layout.blob(file.blob).lexically_relative(link.parent_path());
  std::error_code ec;
  fs::create_directories(link.parent_path(), ec);
  if (!ec && fs::read_symlink(link, ec) == target) return;
  if (!has_blob(layout, file)) return;  // the file is in the snapshot itself (has_file)
  fs::remove(link, ec);
  fs::create_symlink(target, link, ec);
  if (ec && fs::read_symlink(link, ec) == target) return;  // another program was faster
  if (ec == std::errc::operation_not_permitted || ec == std::errc::operation_not_supported) {
    fs::rename(layout.blob(file.blob), link, ec);  // a file system without links: as the other tools do there
  }
  if (ec) throw Error(ErrorCode::model_unavailable, "the cache cannot be written: " + ec.message());
}

void fetch_files(const Layout& layout, const std::string& commit, const std::vector<RemoteFile>& files,
                 std::uint64_t here, const PullOptions& options, PullWatcher& watcher) {
  Workers(layout, commit, files, here, options, watcher).run();
}

}  // namespace glia::hub
