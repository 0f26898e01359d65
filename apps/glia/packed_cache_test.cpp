// Packed weights on disk, over whole processes: what a second start maps, what it takes and what it answers.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <thread>

#include "base/sanitized.h"
#include "child_server.h"

namespace glia::cli {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

const std::string kModel = "@cf/meta/llama-3.1-8b-instruct";
const std::string kQuestion =
    R"({"max_tokens":24,"temperature":0,"messages":[{"role":"user","content":"Name three colours of the sea."}]})";
constexpr std::size_t kMiB = std::size_t{1} << 20;

/// The user's cache is this folder while it lives.
class CacheHome {
 public:
  CacheHome() {
    if (const char* value = ::getenv("XDG_CACHE_HOME")) before_ = value;
    ::setenv("XDG_CACHE_HOME", folder_.c_str(), 1);
    ::unsetenv("GLIA_NO_PACKED_CACHE");
  }
  ~CacheHome() {
    if (before_) {
      ::setenv("XDG_CACHE_HOME", before_->c_str(), 1);
    } else {
      ::unsetenv("XDG_CACHE_HOME");
    }
    fs::remove_all(folder_);
  }
  fs::path packed() const { return folder_ / "glia/packed"; }
  std::vector<fs::path> files() const {
    std::vector<fs::path> all;
    std::error_code none;
    for (const auto& file : fs::directory_iterator(packed(), none)) all.push_back(file.path());
    return all;
  }
  /// Until one file is there and nothing unfinished.
  bool settles() const {
    for (int i = 0; i < 6000; ++i) {
      const auto all = files();
      if (all.size() == 1 && all.front().extension() == ".packed") return true;
      std::this_thread::sleep_for(10ms);
    }
    return false;
  }

 private:
  const fs::path folder_ = [] {
    std::string name = (fs::temp_directory_path() / "glia-cache-XXXXXX").string();
    return fs::path(::mkdtemp(name.data()));
  }();
  std::optional<std::string> before_;
};

std::string answer_of(const ChildServer& server) {
  const auto answer = server.run(kModel, kQuestion);
  EXPECT_EQ(answer.status, 200) << answer.body;
  return std::string(parse_json(answer.body).at("result").at("response").as_string());
}

bool maps_packed(const ChildServer& server) { return server.maps().find(".packed") != std::string::npos; }

TEST(PackedWeights, a_second_start_maps_them_within_the_budget) {
  const CacheHome home;
  const std::vector<std::string> arguments = {"--memory-mib", "400"};
  std::string packed_answer;
  std::size_t packed_file = 0;
  {
    const ChildServer server(arguments, ChildServer::Keeps::on_disk);
    packed_answer = answer_of(server);
    EXPECT_FALSE(maps_packed(server));
    packed_file = server.memory("RssFile");
    ASSERT_TRUE(home.settles());
  }
  const ChildServer server(arguments, ChildServer::Keeps::on_disk);
  EXPECT_EQ(answer_of(server), packed_answer);
  EXPECT_TRUE(maps_packed(server));
  EXPECT_EQ(server.log().find("packed weights"), std::string::npos) << server.log();
  if (kSanitized) return;  // shadow memory is not the program's
  EXPECT_LE(server.memory("VmHWM"), 400 * kMiB);
  EXPECT_GT(server.memory("RssFile"), packed_file + 64 * kMiB) << "the weights are the file's pages";
}

TEST(PackedWeights, two_starts_at_once_share_one_file) {
  const CacheHome home;
  std::string first;
  {
    const ChildServer one({}, ChildServer::Keeps::on_disk);
    const ChildServer two({}, ChildServer::Keeps::on_disk);
    std::string second;
    std::thread other([&] { second = answer_of(two); });
    first = answer_of(one);
    other.join();
    EXPECT_EQ(first, second);
    ASSERT_TRUE(home.settles());
  }
  EXPECT_EQ(home.files().size(), 1U);
  const ChildServer third({}, ChildServer::Keeps::on_disk);
  EXPECT_EQ(answer_of(third), first);
  EXPECT_TRUE(maps_packed(third));
}

TEST(PackedWeights, a_file_that_is_replaced_or_removed_leaves_a_running_server_alone) {
  const CacheHome home;
  std::string first;
  {
    const ChildServer server({}, ChildServer::Keeps::on_disk);
    first = answer_of(server);
    ASSERT_TRUE(home.settles());
  }
  const ChildServer server({}, ChildServer::Keeps::on_disk);
  EXPECT_EQ(answer_of(server), first);
  fs::remove_all(home.packed());
  EXPECT_EQ(answer_of(server), first);
}

TEST(PackedWeights, nothing_is_kept_where_that_was_asked_for) {
  const CacheHome home;
  for (const char* argument : {"--in-memory", "--no-packed-cache"}) {
    const ChildServer server({argument}, ChildServer::Keeps::on_disk);
    answer_of(server);
  }
  EXPECT_TRUE(home.files().empty());
}

}  // namespace
}  // namespace glia::cli
