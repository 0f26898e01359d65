// The whole program under more than it can take, watched from outside: its memory stays within --memory-mib, and what
// it cannot take is refused at once.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <mutex>

#include "child_server.h"
#include "text/stored_weights.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

namespace glia::cli {
namespace {

using namespace std::chrono_literals;

const std::string kOne = "@cf/meta/llama-3.1-8b-instruct";
const std::string kOther = "@cf/meta/llama-3.2-1b-instruct";
const std::string kBroken = "@cf/meta/llama-3.2-3b-instruct";

/// Weights of the user's own: the same file by another name, and one that is none.
class Weights {
 public:
  Weights() {
    std::filesystem::create_symlink(text::smollm2_path(), folder_ / "other.gguf");
    std::ofstream(folder_ / "broken.gguf") << "no model";
  }
  ~Weights() { std::filesystem::remove_all(folder_); }
  std::string other() const { return kOther + "=" + (folder_ / "other.gguf").string(); }
  std::string broken() const { return kBroken + "=" + (folder_ / "broken.gguf").string(); }

 private:
  static std::filesystem::path folder_of_its_own() {
    std::string name = (std::filesystem::temp_directory_path() / "glia-weights-XXXXXX").string();
    return ::mkdtemp(name.data());
  }
  const std::filesystem::path folder_ = folder_of_its_own();
};

std::string question(int number, int sentences, int max_tokens = 12) {
  std::string text;
  for (int i = 0; i < sentences; ++i) text += "Ship " + std::to_string(number * 1000 + i) + " came in. ";
  return R"({"max_tokens":)" + std::to_string(max_tokens) + R"(,"messages":[{"role":"user","content":")" + text +
         R"("}]})";
}

struct Tally {
  std::mutex mutex;
  int answered = 0;
  int others = 0;
  std::vector<double> refusal_ms;  ///< of what was refused at once
  int waited = 0;                  ///< refused after waiting for the memory of the busy model
  std::vector<std::string> surprises;

  void note(const http::ClientResponse& answer, double ms, bool expect_answer) {
    const std::lock_guard lock(mutex);
    if (answer.status == 200) {
      ++answered;
    } else if (answer.status == 429 || answer.status == 503) {  // 503: too many bodies at once
      if (answer.body.find("other models are busy") != std::string::npos) {
        ++waited;
      } else {
        refusal_ms.push_back(ms);
      }
      if (!answer.header("retry-after") || answer.body.find("3040") == std::string::npos)
        surprises.push_back(answer.body);
    } else if (!expect_answer) {
      ++others;
    } else {
      surprises.push_back(std::to_string(answer.status) + " " + answer.body);
    }
  }
};

double at(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
}

// Room for 12 requests of a model at once (4 run, 8 wait) and for one model at a time. 12 clients take the places and
// keep them for a while; then come 108 more, of which a quarter asks for the other model, and beside them bodies that
// are large or made to be large when parsed.
// --memory-mib is of the whole process, so the bound needs no slack here: the program's 64 MiB hold code (10 MiB),
// stacks (a few touched pages for each of some 20 threads), holes in the heap and what each connection holds.
TEST(Memory, ten_times_the_load_stays_within_the_budget) {
  const Weights weights;
  constexpr std::size_t kMiB = 400;
  const ChildServer server({"--memory-mib", std::to_string(kMiB), "--max-running", "4", "--max-queued", "8", "--model",
                            weights.other(), "--log-level", "warn"});
  Tally tally;
  // Everything that is in the program once, before it is pressed.
  tally.note(server.run(kOne, question(1, 3)), 0, true);
  ASSERT_EQ(tally.answered, 1);

  std::string nested = R"({"messages":[)";
  for (int i = 0; i < 500'000; ++i) nested += "[],";
  nested += "[]]}";
  const std::string large = R"({"prompt":")" + std::string(3 << 20, 'x') + R"("})";
  std::vector<std::thread> clients;
  const auto start_client = [&](int i) {
    clients.emplace_back([&, i] {
      const auto start = std::chrono::steady_clock::now();
      try {
        const bool odd = i >= 120;
        const auto answer = odd ? server.run(kOne, i % 2 == 0 ? nested : large)
                                : server.run(i >= 12 && i % 4 == 0 ? kOther : kOne, question(i, 25, i < 12 ? 400 : 12));
        const std::chrono::duration<double, std::milli> spent = std::chrono::steady_clock::now() - start;
        tally.note(answer, spent.count(), !odd);
      } catch (const http::Unreachable& e) {
        if (i >= 120) return;  // refused before the body was read, and closed
        const std::lock_guard lock(tally.mutex);
        tally.surprises.push_back(e.message());
      }
    });
  };
  const auto taken = [&] {
    std::int64_t places = 0;
    const auto status = server.status();
    for (const auto& model : status.at("models").as_array()) {
      places += model.at("running").to_number<std::int64_t>() + model.at("queued").to_number<std::int64_t>();
    }
    return places;
  };
  for (int i = 0; i < 12; ++i) start_client(i);
  for (int i = 0; i < 1000 && taken() < 12; ++i) std::this_thread::sleep_for(1ms);
  for (int i = 12; i < 128; ++i) start_client(i);
  // One more client that asks again and again while all places are taken: what a refusal takes, without this process's
  // own crowd of threads that start at once.
  std::vector<double> probe_ms;
  for (int i = 0; i < 20; ++i) {
    const auto start = std::chrono::steady_clock::now();
    if (server.run(kOne, question(i, 25)).status != 429) continue;  // a place was free
    probe_ms.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
    std::this_thread::sleep_for(20ms);
  }
  for (auto& client : clients) client.join();
  const std::size_t peak = server.memory("VmHWM");
  std::printf("budget %zu MiB, peak %zu MiB; answered %d; refused after waiting for memory %d, at once %zu\n", kMiB,
              peak >> 20, tally.answered, tally.waited, tally.refusal_ms.size());
  std::printf("a refusal: p50 %.1f ms, p90 %.1f ms; of 128 at once: p50 %.0f ms, p90 %.0f ms\n", at(probe_ms, 0.5),
              at(probe_ms, 0.9), at(tally.refusal_ms, 0.5), at(tally.refusal_ms, 0.9));
  EXPECT_TRUE(tally.surprises.empty()) << tally.surprises.front();
  EXPECT_GE(tally.answered, 12);
  EXPECT_GT(tally.refusal_ms.size(), 60U);
  if (kSanitized) return;  // shadow memory is not the program's
  EXPECT_LE(peak, kMiB << 20);
  EXPECT_GT(peak, std::size_t{150} << 20) << "nothing was measured";
  EXPECT_GE(probe_ms.size(), 5U);
  EXPECT_LE(at(probe_ms, 0.5), 100);
  // And nothing stays: the queue, the bodies and the one model that is not in use.
  for (int i = 0; i < 100 && server.status().at("models").as_array().empty(); ++i) std::this_thread::sleep_for(10ms);
  EXPECT_EQ(server.status().at("models").as_array().size(), 1U);
}

TEST(Memory, a_model_that_never_fits_is_refused_with_the_numbers) {
  const ChildServer server({"--memory-mib", "200"});
  const std::size_t before = server.memory("VmHWM");
  for (int i = 0; i < 3; ++i) {
    const auto answer = server.run(kOne, question(1, 3));
    EXPECT_EQ(answer.status, 429);
    EXPECT_NE(answer.body.find("of memory, the budget is 120 MiB"), std::string::npos) << answer.body;
    EXPECT_TRUE(answer.header("retry-after"));
  }
  if (kSanitized) return;
  EXPECT_LT(server.memory("VmHWM"), before + (std::size_t{48} << 20)) << "it was not loaded to find out";
}

TEST(Residency, a_failed_load_backs_off_over_http_and_a_preload_says_so) {
  const Weights weights;
  const ChildServer server({"--model", weights.broken(), "--preload", kBroken});
  const auto ready = [&] { return http::get(server.url("/health")).status == 200; };
  for (int i = 0; i < 500 && !ready(); ++i) std::this_thread::sleep_for(10ms);
  EXPECT_TRUE(ready()) << "a model that cannot be loaded does not stop the others";
  EXPECT_NE(server.log().find("preload failed  model=" + kBroken), std::string::npos) << server.log();
  EXPECT_NE(server.log().find("not a GGUF file"), std::string::npos) << server.log();
  int before = 0;
  for (int i = 0; i < 4; ++i) {
    const auto answer = server.run(kBroken, question(1, 1));
    EXPECT_EQ(answer.status, 503);
    EXPECT_NE(answer.body.find("7503"), std::string::npos) << answer.body;
    EXPECT_NE(answer.body.find("not a GGUF file"), std::string::npos) << answer.body;
    ASSERT_TRUE(answer.header("retry-after"));
    const int after = std::stoi(std::string(*answer.header("retry-after")));
    EXPECT_GE(after, 1);
    EXPECT_LE(after, 8);
    EXPECT_GE(after, before - 1);
    before = after;
    std::this_thread::sleep_for(std::chrono::milliseconds(i == 1 ? 1500 : 0));
  }
  EXPECT_EQ(server.run(kOne, question(1, 1)).status, 200);
}

TEST(Residency, keep_alive_nought_and_a_load_with_its_own) {
  const ChildServer server({"--keep-alive", "0"});
  const auto models = [&] { return server.status().at("models").as_array().size(); };
  EXPECT_EQ(server.run(kOne, question(1, 1)).status, 200);
  for (int i = 0; i < 300 && models() > 0; ++i) std::this_thread::sleep_for(10ms);
  EXPECT_EQ(models(), 0U);
  const auto loaded = http::post(server.url("/glia/v1/load"), R"({"model":")" + kOne + R"(","keep_alive":"1h"})");
  EXPECT_EQ(loaded.status, 200) << loaded.body;
  EXPECT_EQ(parse_json(loaded.body).at("keep_alive_ms").to_number<int>(), 3'600'000);
  EXPECT_EQ(server.run(kOne, question(1, 1)).status, 200);
  std::this_thread::sleep_for(500ms);
  EXPECT_EQ(models(), 1U);
  const auto stopped = http::post(server.url("/glia/v1/stop"), R"({"model":")" + kOne + R"("})");
  EXPECT_EQ(parse_json(stopped.body).at("result").as_string(), "stopped") << stopped.body;
  EXPECT_EQ(models(), 0U);
}

}  // namespace
}  // namespace glia::cli
