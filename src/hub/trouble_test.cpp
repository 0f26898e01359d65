// Pulls that end before they are done: killed, cancelled, out of disk, two at once.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <functional>
#include <thread>

#include "hub/pull_fixture.h"

namespace glia::hub {
namespace {

class TroubledPullTest : public PullTest {
 protected:
  /// Runs something in a process of its own that ends with what it returns. That process has this thread alone, so it
  /// starts from before any pull.
  static pid_t fork_and(const std::function<int()>& run) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(run());
    return child;
  }
  static int wait_for(pid_t child) {
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  /// The file's bytes at no more than `per_second`.
  void slow_down(std::size_t per_second) {
    hub_.hook = [this, per_second](const SeenRequest& request, FakeConnection& connection) {
      if (!request.is_for("gguf")) return false;
      const std::string& all = hub_.files["m-Q4_0.gguf"].content;
      const std::string range = request.header("range");
      const auto begin = range.empty() ? 0 : std::stoul(range.substr(6));
      const auto end = range.empty() ? all.size() : std::stoul(range.substr(range.find('-') + 1)) + 1;
      connection.answer(
          range.empty() ? 200 : 206,
          range.empty() ? "" : "content-range: bytes " + range.substr(6) + "/" + std::to_string(all.size()) + "\r\n",
          "", static_cast<std::int64_t>(end - begin));
      for (auto at = begin; at < end && !connection.closed(); at += per_second / 50) {
        connection.send(std::string_view(all).substr(at, std::min(per_second / 50, end - at)));
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
      }
      return true;
    };
  }
  std::uint64_t begun() {
    std::error_code ec;
    const auto bytes = fs::file_size(layout_.incomplete(gguf_blob()), ec);
    return ec ? 0 : bytes;
  }
  void wait_until_begun(std::uint64_t bytes) {
    for (int i = 0; i < 1000 && begun() < bytes; i++) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    ASSERT_GE(begun(), bytes);
  }
  /// That what is on disk are the file's first bytes, and a pull goes on after them.
  void expect_resumed(std::uint64_t at_least) {
    const std::string kept = text(layout_.incomplete(gguf_blob()));
    ASSERT_GE(kept.size(), at_least);
    ASSERT_EQ(kept, hub_.files["m-Q4_0.gguf"].content.substr(0, kept.size()));
    hub_.hook = nullptr;
    const auto before = hub_.seen().size();
    pull({"o/n"});
    EXPECT_EQ(content("m-Q4_0.gguf"), hub_.files["m-Q4_0.gguf"].content);
    // Several connections: their parts arrive in any order, the earliest begins where the file ended.
    std::size_t earliest = std::string::npos;
    const auto seen = hub_.seen();
    for (auto i = before; i < seen.size(); i++) {
      const std::string range = seen[i].header("range");
      if (!range.empty()) earliest = std::min<std::size_t>(earliest, std::stoul(range.substr(6)));
    }
    EXPECT_EQ(earliest, kept.size());
  }
  /// The same with a disk of `kib` under the cache. False where this user may not mount one: then a file that may not
  /// grow (below) stands for it.
  static bool on_small_disk(const fs::path& at, int kib, const std::function<int()>& run, int& code) {
    const int none = 77;
    code = wait_for(fork_and([&] {
      if (::unshare(CLONE_NEWNS) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return none;
      if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return none;
      const std::string size = "size=" + std::to_string(kib) + "k";
      if (::mount("tmpfs", at.c_str(), "tmpfs", 0, size.c_str()) != 0) return none;
      return run();
    }));
    return code != none;
  }
};

TEST_F(TroubledPullTest, KilledAndPulledAgain) {
  put_gguf(1'000'000);
  options_.part_bytes = 200'000;
  slow_down(400'000);
  const pid_t child = fork_and([&] {
    pull({"o/n"});
    return 0;
  });
  wait_until_begun(100'000);
  ::kill(child, SIGKILL);
  EXPECT_EQ(wait_for(child), 128 + SIGKILL);
  expect_resumed(100'000);
}

TEST_F(TroubledPullTest, CancelledAndPulledAgain) {
  put_gguf(1'000'000);
  slow_down(400'000);
  std::atomic<bool> cancelled = false;
  options_.cancelled = &cancelled;
  std::jthread later([&] {
    wait_until_begun(50'000);
    cancelled = true;
  });
  EXPECT_EQ(refusal({"o/n"}, ErrorCode::aborted), "");
  later.join();
  cancelled = false;
  EXPECT_FALSE(fs::exists(layout_.ref("main"))) << "the branch waits for all of its files";
  expect_resumed(50'000);
}

TEST_F(TroubledPullTest, CancelledWhileItWaitsForTheHub) {
  put_gguf(100);
  hub_.hook = [](const SeenRequest&, FakeConnection& connection) {
    return connection.answer(503, "retry-after: 60\r\n", ""), true;
  };
  std::atomic<bool> cancelled = false;
  options_.cancelled = &cancelled;
  std::jthread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    cancelled = true;
  });
  EXPECT_EQ(refusal({"o/n"}, ErrorCode::aborted), "");
}

TEST_F(TroubledPullTest, TwoAtOnceFetchOnce) {
  put_gguf(300'000);
  slow_down(600'000);
  const pid_t other = fork_and([&] {
    pull({"o/n"});
    return content("m-Q4_0.gguf") == hub_.files["m-Q4_0.gguf"].content ? 0 : 1;
  });
  wait_until_begun(1);
  pull({"o/n"});
  EXPECT_EQ(wait_for(other), 0);
  EXPECT_EQ(hub_.seen_of("gguf"), 1U);
  EXPECT_EQ(content("m-Q4_0.gguf"), hub_.files["m-Q4_0.gguf"].content);
  EXPECT_EQ(watcher_.sentences.at(0), "another program is pulling m-Q4_0.gguf; waiting for it");
}

TEST_F(TroubledPullTest, TheOtherDiesAndThisOneGoesOn) {
  put_gguf(600'000);
  slow_down(300'000);
  const pid_t other = fork_and([&] {
    pull({"o/n"});
    return 0;
  });
  wait_until_begun(60'000);
  std::jthread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    ::kill(other, SIGKILL);
  });
  pull({"o/n"});
  wait_for(other);
  EXPECT_EQ(content("m-Q4_0.gguf"), hub_.files["m-Q4_0.gguf"].content);
  EXPECT_NE(hub_.seen().back().header("range"), "") << "from where the other had come";
}

TEST_F(TroubledPullTest, AFileThatMayNotGrowIsKeptAndSaid) {
  put_gguf(1'000'000);
  ::signal(SIGXFSZ, SIG_IGN);
  const pid_t child = fork_and([&] {
    const rlimit limit{.rlim_cur = 300'000, .rlim_max = 300'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    return refusal({"o/n"}) == "the cache cannot be written: File too large" ? 0 : 1;
  });
  EXPECT_EQ(wait_for(child), 0);
  EXPECT_EQ(begun(), 300'000U);
  expect_resumed(300'000);
}

TEST_F(TroubledPullTest, ADiskThatIsTooSmallIsSaidBeforeAnythingIsFetched) {
  put_gguf(3'000'000);
  int code = 0;
  const auto run = [&] {
    return refusal({"o/n"}).starts_with("the disk of the cache is too full: 3 MB are missing") ? 0 : 1;
  };
  EXPECT_TRUE(!on_small_disk(root_, 1024, run, code) || code == 0) << code;
  EXPECT_EQ(hub_.seen_of("gguf"), 0U);
}

TEST_F(TroubledPullTest, ADiskThatFillsUpMeanwhileKeepsWhatCame) {
  struct Filling final : PullWatcher {
    explicit Filling(fs::path path) : filler(std::move(path)) {}
    void moved(std::uint64_t) override { std::ofstream(filler) << std::string(900'000, 'x') << std::flush; }
    fs::path filler;
  };
  put_gguf(800'000);
  options_.part_bytes = 100'000;
  const auto run = [&] {
    Filling filling(root_ / "filler");
    try {
      hub::pull({"o/n"}, options_, filling);
      return 1;
    } catch (const Error& error) {
      if (!error.detail().starts_with("the disk is full; what came so far is kept")) return 2;
    }
    fs::remove(filling.filler);
    if (const std::string kept = text(layout_.incomplete(gguf_blob()));
        kept.empty() || kept != hub_.files["m-Q4_0.gguf"].content.substr(0, kept.size())) {
      return 3;
    }
    pull({"o/n"});
    return content("m-Q4_0.gguf") == hub_.files["m-Q4_0.gguf"].content ? 0 : 4;
  };
  int code = 0;
  EXPECT_TRUE(!on_small_disk(root_, 1024, run, code) || code == 0) << code;
}

}  // namespace
}  // namespace glia::hub
