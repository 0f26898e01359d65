// Indexes come into memory and leave it: within the limit, when nobody has used them for long, and as they were.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <random>
#include <thread>

#include "vectorize/test_support.h"

namespace glia::vectorize {
namespace {

constexpr std::int32_t kDimensions = 64;
constexpr std::int64_t kKeepAliveMs = 1000;

std::vector<float> values_of(int seed) {
  std::mt19937 random(static_cast<unsigned>(seed));
  std::normal_distribution<float> normal(0, 1);
  std::vector<float> out(kDimensions);
  for (float& v : out) v = normal(random);
  return out;
}

class MemoryTest : public test::Folder {
 protected:
  static void fill(Vectorize& v, const std::string& name, int n) {
    v.create("a", name, {}, {kDimensions, Metric::euclidean});
    for (int from = 0; from < n; from += 1000) {
      std::vector<Vector> vectors;
      for (int i = from; i < std::min(n, from + 1000); ++i)
        vectors.push_back({std::to_string(i), {}, values_of(i), ""});
      put(v, WriteKind::upsert, std::move(vectors), name);
    }
  }
  /// The vector of that number finds itself.
  static void expect_found(Vectorize& v, const std::string& name, int number) {
    Query q;
    q.vector = values_of(number);
    q.top_k = 1;
    const auto matches = v.query("a", name, q).matches;
    ASSERT_EQ(matches.size(), 1u);
    EXPECT_EQ(matches[0].id, std::to_string(number));
    EXPECT_EQ(matches[0].score, 0);
  }
  void pass_keep_alive(Vectorize& v) {
    clock.advance_ms(kKeepAliveMs + 1);
    for (int i = 0; i < 300 && v.figures().indexes_in_memory > 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
};

TEST_F(MemoryTest, AnIdleIndexLeavesAndComesBackAsItWas) {
  options.keep_alive_ms = kKeepAliveMs;
  auto v = open();
  fill(*v, "i", 3000);
  remove(*v, {"5"});
  expect_found(*v, "i", 7);
  const std::string processed = v->info("a", "i").processed_mutation;
  EXPECT_TRUE(v->in_memory("a", "i"));
  pass_keep_alive(*v);
  EXPECT_FALSE(v->in_memory("a", "i"));
  EXPECT_EQ(v->figures().memory_bytes, 0u);
  EXPECT_EQ(v->figures().expired, 1u);
  put(*v, WriteKind::upsert, {{"7", {}, values_of(-7), ""}});  // to the disk alone
  EXPECT_FALSE(v->in_memory("a", "i"));
  expect_found(*v, "i", 8);
  EXPECT_EQ(v->info("a", "i").vectors, 2999);
  EXPECT_TRUE(v->get_by_ids("a", "i", {"5"}).empty());
  EXPECT_EQ(v->get_by_ids("a", "i", {"7"})[0].values, values_of(-7));
  EXPECT_NE(v->info("a", "i").processed_mutation, processed) << "it goes forward";
  EXPECT_EQ(v->figures().reads, 2u);
}

TEST_F(MemoryTest, TheGraphIsNotBuiltAnew) {
  options.keep_alive_ms = kKeepAliveMs;
  options.threads = 2;
  auto v = open();
  fill(*v, "i", 9000);
  const auto found = [&] {
    int count = 0;
    for (int i = 0; i < 9000; i += 3) {
      Query q;
      q.vector = values_of(i);
      q.top_k = 1;
      count += v->query("a", "i", q).matches[0].id == std::to_string(i) ? 1 : 0;
    }
    return count;
  };
  v->info("a", "i");
  v->wait_until_quiet();
  const int before = found();
  EXPECT_GT(before, 2940);
  pass_keep_alive(*v);
  ASSERT_FALSE(v->in_memory("a", "i"));
  EXPECT_TRUE(std::filesystem::exists(folder / "graph-1.bin"));
  EXPECT_NEAR(found(), before, 10);
}

TEST_F(MemoryTest, TheLongestUnusedMakesRoom) {
  options.memory_bytes = 1'400'000;  // two indexes of 1,500 vectors are more, one is less
  auto v = open();
  for (const char* name : {"one", "two"}) fill(*v, name, 1500);
  expect_found(*v, "one", 3);
  clock.advance_ms(1);
  for (int i = 0; i < 3; ++i) {
    expect_found(*v, "two", 4);
    EXPECT_FALSE(v->in_memory("a", "one"));
    clock.advance_ms(1);
    expect_found(*v, "one", 5);
    EXPECT_FALSE(v->in_memory("a", "two"));
    clock.advance_ms(1);
    EXPECT_LE(v->figures().memory_bytes, options.memory_bytes);
  }
  EXPECT_EQ(v->figures().evicted, 6u);
}

TEST_F(MemoryTest, WhatDoesNotFitIsRefusedAndStaysOnTheDisk) {
  options.memory_bytes = 1000 * 700;
  auto v = open();
  fill(*v, "big", 3000);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(test::code_of([&] { v->info("a", "big"); }), 3040);
  EXPECT_EQ(v->figures().failed_reads, 2u);
  EXPECT_EQ(v->figures().memory_bytes, 0u);
  // Neither does more than fits go into one that is in memory.
  fill(*v, "small", 500);
  expect_found(*v, "small", 1);
  std::vector<Vector> many;
  for (int i = 0; i < 1000; ++i) many.push_back({"m" + std::to_string(i), {}, values_of(i), ""});
  EXPECT_EQ(answered([&](Answered a) { v->write("a", "small", WriteKind::upsert, many, std::move(a)); }).second, 3040);
  expect_found(*v, "small", 2);
  options.memory_bytes = 0;
  reopen(v);
  EXPECT_EQ(v->info("a", "big").vectors, 3000);
  EXPECT_EQ(v->info("a", "small").vectors, 500);
}

TEST_F(MemoryTest, QueriesAndWritesGoOnWhileIndexesComeAndGo) {
  options.memory_bytes = 1'400'000;
  options.delay_ms = 1;
  SystemClock real;
  auto v = Vectorize::open(options, real);
  const std::vector<std::string> names = {"p", "q", "r"};
  for (const auto& name : names) fill(*v, name, 1000);
  std::atomic<bool> stop{false};
  std::atomic<int> refused{0};
  std::vector<std::thread> threads;
  for (const auto& name : names) {
    threads.emplace_back([&, name] {
      for (int i = 0; !stop; ++i) {
        try {
          expect_found(*v, name, i % 1000);
          if (i % 20 == 0) put_code(*v, {{"w" + std::to_string(i % 100), {}, values_of(10'000 + i), ""}});
        } catch (const Error& error) {  // the other two are being read into memory
          ASSERT_EQ(error.code(), ErrorCode::out_of_capacity) << error.what();
          ++refused;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(i % 7));
      }
    });
  }
  std::this_thread::sleep_for(std::chrono::seconds(2));
  stop = true;
  for (auto& thread : threads) thread.join();
  EXPECT_LE(v->figures().memory_bytes, options.memory_bytes);
  EXPECT_GT(v->figures().evicted, 0u);
  for (const auto& name : names) EXPECT_EQ(v->info("a", name).vectors, 1000);
}

}  // namespace
}  // namespace glia::vectorize
