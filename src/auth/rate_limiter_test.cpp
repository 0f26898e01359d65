#include "auth/rate_limiter.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "base/error.h"

namespace glia::auth {
namespace {

class RateLimiterTest : public testing::Test {
 protected:
  const catalog::ModelEntry& entry(std::string_view id) { return *catalog_.find(id); }

  /// Seconds to wait, 0 when admitted.
  int wait(std::string_view account, std::string_view id) {
    try {
      limiter_.admit(account, entry(id));
      return 0;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::rate_limited);
      return e.retry_after_s;
    }
  }

  catalog::Catalog catalog_ = catalog::Catalog::load();
  ManualClock clock_;
  RateLimiter limiter_{catalog::RateLimits::load(), clock_};
};

constexpr auto kChat = "@cf/meta/llama-3.1-8b-instruct";
constexpr auto kOtherChat = "@cf/meta/llama-3.2-1b-instruct";
constexpr auto kOwnLimit = "@cf/qwen/qwen1.5-14b-chat-awq";

TEST_F(RateLimiterTest, TheTasksLimitIsSharedByItsModelsAndSlides) {
  for (int i = 0; i < 299; ++i) ASSERT_EQ(wait("a", i % 2 == 0 ? kChat : kOtherChat), 0) << i;
  clock_.advance_ms(59'000);
  EXPECT_EQ(wait("a", kChat), 0) << "the 300th";
  EXPECT_EQ(wait("a", kChat), 1);
  EXPECT_EQ(wait("a", kOtherChat), 1);
  EXPECT_EQ(wait("b", kChat), 0) << "another account";
  clock_.advance_ms(999);
  EXPECT_EQ(wait("a", kChat), 1) << "a started second counts";
  clock_.advance_ms(1);
  for (int i = 0; i < 299; ++i) ASSERT_EQ(wait("a", kChat), 0) << i;
  EXPECT_EQ(wait("a", kChat), 59) << "the 300th of the last minute is a second old";
}

TEST_F(RateLimiterTest, AModelWithItsOwnLimitIsCountedApart) {
  for (int i = 0; i < 150; ++i) ASSERT_EQ(wait("a", kOwnLimit), 0);
  EXPECT_EQ(wait("a", kOwnLimit), 60);
  for (int i = 0; i < 300; ++i) ASSERT_EQ(wait("a", kChat), 0) << "its requests are not the task's";
}

TEST_F(RateLimiterTest, RacingClientsGetExactlyTheLimit) {
  std::atomic<int> admitted{0};
  std::vector<std::thread> clients;
  for (int t = 0; t < 16; ++t) {
    clients.emplace_back([&] {
      for (int i = 0; i < 50; ++i) admitted += wait("a", kChat) == 0 ? 1 : 0;
    });
  }
  for (auto& c : clients) c.join();
  EXPECT_EQ(admitted, 300);
}

TEST_F(RateLimiterTest, ManyAccountsAreForgottenLongestIdleFirst) {
  for (int i = 0; i < 150; ++i) ASSERT_EQ(wait("busy", kOwnLimit), 0);
  for (std::size_t i = 0; i + 1 < RateLimiter::kMaxCounters; ++i) ASSERT_EQ(wait(std::to_string(i), kOwnLimit), 0);
  EXPECT_NE(wait("busy", kOwnLimit), 0) << "as many as fit are all remembered, and a refusal is a use";
  ASSERT_EQ(wait("one more", kOwnLimit), 0);
  EXPECT_NE(wait("busy", kOwnLimit), 0) << "the one dropped was another";
}

TEST(RateLimits, EveryLimitNamesATaskOrModelThatTheServiceHas) {
  const auto catalog = catalog::Catalog::load();
  const auto limits = catalog::RateLimits::load();
  EXPECT_EQ(limits.of(*catalog.find("@cf/baai/bge-large-en-v1.5"))->per_minute, 1500);
  EXPECT_EQ(limits.of(*catalog.find("@cf/baai/bge-base-en-v1.5"))->per_minute, 3000);
  for (const auto& entry : catalog.models()) {
    const auto limit = limits.of(entry);
    if (entry.task == "Text Generation") {
      ASSERT_TRUE(limit) << entry.id;
    }
  }
}

}  // namespace
}  // namespace glia::auth
