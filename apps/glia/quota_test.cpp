// Quota over real HTTP: many clients at once, the day's allocation, the requests a minute, the usage route.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "base/json.h"
#include "http/client.h"
#include "quota_rig.h"

namespace glia::cli {
namespace {

struct Tally {
  std::int64_t answers = 0;
  std::int64_t refusals = 0;
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
};

std::string body(int seed, int max_tokens) {
  return json::serialize(json::object{{"messages", json::array{json::object{{"role", "user"}, {"content", "hi"}}}},
                                      {"seed", seed},
                                      {"max_tokens", max_tokens}});
}

int error_code(const http::ClientResponse& response) {
  return parse_json(response.body).at("errors").at(0).at("code").to_number<int>();
}

TEST(Quota, SixtyFourRacingClientsOfTwentyAccountsNeverPassTheAllocation) {
  constexpr int kClients = 64;
  constexpr int kEach = 50;
  constexpr int kAccounts = 20;
  constexpr int kMaxTokens = 4000;  // some 301 neurons held for each, what is used is settled
  QuotaRig rig({});
  std::mutex mutex;
  std::map<std::string, Tally> tallies;
  std::vector<std::thread> clients;
  for (int c = 0; c < kClients; ++c) {
    clients.emplace_back([&, c] {
      for (int i = 0; i < kEach; ++i) {
        const std::string account = "account-" + std::to_string((c + i) % kAccounts);
        const auto response =
            http::post(rig.run_url(account), body(1 + (c * 7919 + i * 104729) % kMaxTokens, kMaxTokens));
        const std::lock_guard lock(mutex);
        auto& tally = tallies[account];
        if (response.status == 200) {
          const auto answer = parse_json(response.body);
          const auto& usage = answer.at("result").at("usage");
          ++tally.answers;
          tally.prompt_tokens += usage.at("prompt_tokens").to_number<std::int64_t>();
          tally.completion_tokens += usage.at("completion_tokens").to_number<std::int64_t>();
        } else {
          ++tally.refusals;
          EXPECT_EQ(response.status, 429);
          EXPECT_EQ(error_code(response), 3036);
          EXPECT_TRUE(response.header("retry-after"));
        }
      }
    });
  }
  for (auto& c : clients) c.join();

  const auto& price = *rig.catalog().find(QuotaRig::kModel)->price;
  ASSERT_EQ(tallies.size(), static_cast<std::size_t>(kAccounts));
  for (const auto& [account, tally] : tallies) {
    const double used = rig.ledger().used_today(account);
    EXPECT_LE(used, ledger::kFreeNeuronsPerDay) << account;
    EXPECT_GT(tally.refusals, 0) << account;
    EXPECT_GT(used + price.neurons(200, kMaxTokens), ledger::kFreeNeuronsPerDay) << account << ": refused too early";
    const auto rows = rig.ledger().usage(account, 1);
    ASSERT_EQ(rows.size(), 1U) << account;
    EXPECT_EQ(rows[0].calls, tally.answers) << account;
    EXPECT_EQ(rows[0].prompt_tokens, tally.prompt_tokens) << account;
    EXPECT_EQ(rows[0].completion_tokens, tally.completion_tokens) << account;
    EXPECT_EQ(rows[0].neurons, price.neurons(tally.prompt_tokens, tally.completion_tokens)) << account;
    EXPECT_EQ(rows[0].neurons, used) << account;
  }
}

TEST(Quota, TheUsageRouteGroupsAndSpeaksCsv) {
  QuotaRig rig({.plan = ledger::Plan::paid});
  for (int i = 0; i < 3; ++i) ASSERT_EQ(http::post(rig.run_url("me"), body(1000, 1000)).status, 200);
  const auto rows = parse_json(http::get(rig.url("/glia/v1/usage?by=task&account=me")).body);
  ASSERT_EQ(rows.as_array().size(), 1U);
  EXPECT_FALSE(rows.at(0).as_object().contains("model"));
  EXPECT_EQ(rows.at(0).at("task").as_string(), "Text Generation");
  EXPECT_EQ(rows.at(0).at("calls").to_number<int>(), 3);
  const auto csv = http::get(rig.url("/glia/v1/usage?by=model,task&format=csv"));
  EXPECT_EQ(csv.header("content-type"), "text/csv; charset=utf-8");
  EXPECT_EQ(csv.body,
            "model,task,calls,prompt_tokens,completion_tokens,neurons,stand_in\n"
            "@cf/meta/llama-3.1-8b-instruct,Text Generation,3,63,3000,227.054304,false\n");
  for (const auto* wrong : {"by=hour", "format=xml", "days=0"}) {
    EXPECT_EQ(http::get(rig.url(std::string("/glia/v1/usage?") + wrong)).status, 400) << wrong;
  }
}

TEST(Quota, TheRequestsAMinuteAreHeldToWhenSwitchedOn) {
  for (const bool limited : {true, false}) {
    QuotaRig rig({.plan = ledger::Plan::paid, .rate_limits = limited});
    std::vector<std::thread> clients;
    std::mutex mutex;
    std::map<int, int> by_status;
    for (int c = 0; c < 10; ++c) {
      clients.emplace_back([&] {
        for (int i = 0; i < 31; ++i) {
          const auto response = http::post(rig.run_url("me"), body(1, 1));
          const std::lock_guard lock(mutex);
          ++by_status[response.status];
          if (response.status == 429) {
            EXPECT_EQ(error_code(response), 3021);
            const int wait = std::stoi(std::string(response.header("retry-after").value_or("0")));
            EXPECT_TRUE(wait >= 1 && wait <= 60) << wait;
          }
        }
      });
    }
    for (auto& c : clients) c.join();
    EXPECT_EQ(by_status[200], limited ? 300 : 310);
    EXPECT_EQ(by_status[429], limited ? 10 : 0);
  }
}

TEST(Quota, ASessionMayRehearseWhatTheServerDoesNotHoldEveryoneTo) {
  QuotaRig rig({.plan = ledger::Plan::paid});
  const auto session = [&](std::string_view options) {
    const auto created = http::post(rig.url("/glia/v1/sessions"), options);
    EXPECT_EQ(created.status, 200) << created.body;
    return std::string(parse_json(created.body).at("url").as_string());
  };
  const auto call = [&](const std::string& url, int tokens) {
    const auto inputs = R"({"inputs":)" + body(tokens, tokens) + "}";
    return http::request("POST", url,
                         {{"content-type", "application/json"},
                          {"MF-URL", "https://workers-binding.ai/run?version=3"},
                          {"MF-Header-cf-consn-model-id", std::string(QuotaRig::kModel)}},
                         inputs);
  };
  const auto plain = session(R"({"account":"a"})");
  const auto free = session(R"({"account":"a","plan":"free"})");
  for (int i = 0; i < 20; ++i) ASSERT_EQ(call(plain, 7000).status, 200);  // 10,531 neurons
  EXPECT_EQ(call(free, 1).status, 429);
  EXPECT_EQ(call(plain, 1).status, 200);
  EXPECT_EQ(call(session(R"({"account":"b","plan":"free"})"), 1).status, 200);

  const auto limited = session(R"({"account":"c","rate_limits":true})");
  for (int i = 0; i < 300; ++i) ASSERT_EQ(call(limited, 1).status, 200);
  EXPECT_EQ(call(limited, 1).status, 429);
  EXPECT_EQ(http::post(rig.url("/glia/v1/sessions"), R"({"plan":"gold"})").status, 400);
  EXPECT_EQ(http::post(rig.url("/glia/v1/sessions"), R"({"rate_limits":1})").status, 400);
}

}  // namespace
}  // namespace glia::cli
