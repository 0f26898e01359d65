// `glia pull`, `glia rm` and profile full, against a hub on the loopback.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>

#include "hub/fake_hub.h"
#include "hub_reference.h"
#include "pull_view.h"

namespace glia::cli {
namespace {

namespace fs = std::filesystem;

TEST(HubReference, AnIdIsTheRepositoryThatTheCatalogueNames) {
  const auto catalog = catalog::Catalog::load();
  const auto text = [&](const std::string& named) { return hub_reference(catalog, named).text(); };
  EXPECT_EQ(text("@cf/meta/llama-3.1-8b-instruct"), "meta-llama/Llama-3.1-8B-Instruct");
  EXPECT_EQ(text("@cf/meta/llama-3.1-8b-instruct:Q4_K_M@v2"), "meta-llama/Llama-3.1-8B-Instruct:Q4_K_M@v2");
  EXPECT_EQ(text("@cf/meta/llama-3.1-8b-instruct-fast"), "meta-llama/Llama-3.1-8B-Instruct") << "by an alias";
  EXPECT_EQ(text("o/n:Q8_0"), "o/n:Q8_0");
  EXPECT_ANY_THROW(text("@cf/meta/lama"));
  EXPECT_ANY_THROW(text("nonsense here"));
}

class Screen {
 public:
  explicit Screen(bool moves, std::size_t width = 80)
      : view_({.moves = moves,
               .width = width,
               .write = [this](const std::string& bytes) { text += bytes; },
               .now = [this] { return std::chrono::steady_clock::time_point(std::chrono::milliseconds(ms)); }}) {}
  PullView& operator()() { return view_; }

  std::string text;
  int ms = 1000;

 private:
  PullView view_;
};

constexpr std::uint64_t kMiB = 1 << 20;
const hub::PullPlan kPlan{.commit = "0123456789abcdef", .files = 2, .bytes = 100 * kMiB, .here = 0};

TEST(PullView, PlainLinesNowAndThenWithoutATerminal) {
  Screen screen(false);
  screen().planned(kPlan);
  for (int s = 1; s <= 25; s++) {
    screen.ms += 1000;
    screen().moved(static_cast<std::uint64_t>(s) * 2 * kMiB);
  }
  screen().finished("model.gguf", 100 * kMiB);
  screen().close();
  EXPECT_EQ(screen.text,
            "revision 0123456789ab, 2 files, 100.0 MiB\n"
            "20.0 %  20.0 MiB of 100.0 MiB  2.0 MiB/s  0:40 left\n"
            "40.0 %  40.0 MiB of 100.0 MiB  2.0 MiB/s  0:30 left\n"
            "model.gguf  100.0 MiB\n");
}

TEST(PullView, OneLineThatMovesOnATerminal) {
  Screen screen(true);
  screen().planned({.commit = "0123456789abcdef", .files = 1, .bytes = 100 * kMiB, .here = 50 * kMiB});
  screen.ms += 1000;
  screen().moved(51 * kMiB);
  screen().said("the hub answers with HTTP 503; asking again in 1 s");
  screen.ms += 1000;
  screen().moved(52 * kMiB);
  screen().moved(53 * kMiB);  // at once: not drawn
  screen().close();
  EXPECT_EQ(screen.text,
            "revision 0123456789ab, 1 file, 100.0 MiB, 50.0 MiB of it here\n"
            "\r\033[K[############............] 51.0 %  51.0 MiB of 100.0 MiB  1.0 MiB/s  0:49 left"
            "\r\033[Kthe hub answers with HTTP 503; asking again in 1 s\n"
            "\r\033[K[############............] 52.0 %  52.0 MiB of 100.0 MiB  1.0 MiB/s  0:48 left\r\033[K");
  Screen narrow(true, 30);  // no room for a bar
  narrow().planned(kPlan);
  narrow.ms += 1000;
  narrow().moved(51 * kMiB);
  EXPECT_EQ(narrow.text.substr(narrow.text.find('\r')), "\r\033[K51.0 %  51.0 MiB of 100.0 MiB");
}

class PullProgram : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "glia-pull-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    cache_ = name;
    hub_.files["config.json"] = {"{}", false};
    hub_.files["tokenizer.json"] = {"{}", false};
    hub_.files["model.safetensors"] = {std::string(100'000, 'w'), true};
  }
  void TearDown() override { fs::remove_all(cache_); }

  /// What it printed, with its exit code before it.
  std::string glia(const std::string& arguments, const std::string& variables = "") const {
    const std::string command = "NO_COLOR=1 NO_PROXY='*' HF_HUB_CACHE=" + cache_.string() +
                                " HF_ENDPOINT=" + hub_.url() + " HF_TOKEN= HF_HUB_DISABLE_IMPLICIT_TOKEN=1 " +
                                variables + " " + GLIA_BINARY + " " + arguments + " 2>&1 </dev/null";
    std::string text;
    FILE* pipe = ::popen(command.c_str(), "r");
    std::array<char, 4096> buffer{};
    while (const std::size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe)) text.append(buffer.data(), n);
    const int status = ::pclose(pipe);
    return std::to_string(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)) + ": " + text;
  }

  fs::path cache_;
  hub::FakeHub hub_;
};

TEST_F(PullProgram, PullsShowsAndRemoves) {
  const std::string pulled = glia("pull o/n");
  EXPECT_EQ(pulled.substr(0, 3), "0: ") << pulled;
  EXPECT_NE(pulled.find("revision 0123456789ab, 3 files, 97.7 KiB\n"), std::string::npos) << pulled;
  EXPECT_NE(pulled.find("o/n at 0123456789ab, 97.7 KiB, in " + cache_.string() + "/models--o--n/snapshots/"),
            std::string::npos)
      << pulled;
  EXPECT_NE(pulled.find("glia serve --model ID=hf:o/n\n"), std::string::npos) << pulled;
  EXPECT_NE(glia("pull o/n --offline").find("o/n at 0123456789ab"), std::string::npos);
  const std::string shown = glia("show @cf/meta/llama-3.1-8b-instruct --model @cf/meta/llama-3.1-8b-instruct=hf:o/n");
  EXPECT_NE(shown.find("safetensors of o/n at 0123456789ab"), std::string::npos) << shown;
  const std::string listed = glia("list");
  EXPECT_NE(listed.find("o/n                  0123456789ab main  97.7 KiB\n"), std::string::npos) << listed;
  EXPECT_EQ(glia("rm o/n --dry-run"), "0: o/n at 0123456789ab\nwould free 97.7 KiB\n");
  EXPECT_EQ(glia("rm o/n"), "0: o/n at 0123456789ab\nfrees 97.7 KiB\n");
  EXPECT_EQ(glia("rm o/n"), "1: glia: o/n is not here; `glia list` shows what is\n");
  EXPECT_FALSE(fs::exists(cache_ / "models--o--n"));
}

TEST_F(PullProgram, ProfileFullSaysWhatToPullAndFetchesNothing) {
  const std::string id = "@cf/meta/llama-3.1-8b-instruct";
  const std::string run = glia("run " + id + " hello --profile full --data " + cache_.string());
  EXPECT_NE(run.find("meta-llama/Llama-3.1-8B-Instruct is not here (no snapshot): glia pull " + id), std::string::npos)
      << run;
  EXPECT_TRUE(hub_.seen().empty()) << "only glia pull opens a connection";
  const std::string bad = glia("run " + id + " hello --model " + id + "=hf:nonsense/ --data " + cache_.string());
  EXPECT_NE(bad.find("`nonsense/` names no repository"), std::string::npos) << bad;
}

TEST_F(PullProgram, RefusalsAreOneAndSayWhatToDo) {
  EXPECT_EQ(glia("pull o/n --offline"),
            "1: glia: o/n is not here (no snapshot), and nothing is fetched offline (HF_HUB_OFFLINE, --offline)\n");
  EXPECT_NE(glia("pull o/n", "HF_HUB_OFFLINE=1").find("nothing is fetched offline"), std::string::npos);
  EXPECT_EQ(glia("pull o/missing"), "1: glia: there is no o/missing on the hub\n");
  EXPECT_EQ(glia("pull o/n:Q4_0"), "1: glia: o/n: there is no GGUF Q4_0; there is none\n");
  EXPECT_NE(glia("pull @cf/openai/whisper").find("is not built in this version"), std::string::npos);
  EXPECT_NE(glia("pull @cf/meta/lama").find("the nearest:"), std::string::npos);
  EXPECT_EQ(glia("pull").substr(0, 3), "2: ");
}

TEST_F(PullProgram, CtrlCIsOneThirtyAndGoesOn) {
  hub_.hook = [&](const hub::SeenRequest& request, hub::FakeConnection& connection) {
    if (!request.is_for("model.safetensors")) return false;
    connection.answer(200, "", std::string(50'000, 'w'), 100'000);
    std::this_thread::sleep_for(std::chrono::seconds(3));
    connection.close();
    return true;
  };
  const std::string stopped = glia("pull o/n", "timeout --foreground -s INT 1");
  EXPECT_NE(stopped.find("Stopped. `glia pull o/n` goes on from here.\n"), std::string::npos) << stopped;
  hub_.hook = nullptr;
  EXPECT_EQ(glia("pull o/n").substr(0, 3), "0: ");
  EXPECT_EQ(hub_.seen().back().header("range"), "bytes=50000-99999");
}

}  // namespace
}  // namespace glia::cli
