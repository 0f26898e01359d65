// What a client of the room sees: indexes, mutations in their order, queries, and the same after a restart.
#include "vectorize/vectorize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

#include "vectorize/test_support.h"

namespace glia::vectorize {
namespace {

class VectorizeTest : public test::Folder {};

TEST_F(VectorizeTest, IndexesAreAnAccountsOwn) {
  auto v = open();
  v->create("a", "docs", "mine", {3, Metric::cosine});
  v->create("b", "docs", std::nullopt, {4, Metric::euclidean});
  EXPECT_EQ(v->get("a", "docs").config.dimensions, 3);
  EXPECT_EQ(v->get("b", "docs").config.metric, Metric::euclidean);
  EXPECT_EQ(v->list("a").size(), 1u);
  EXPECT_EQ(test::code_of([&] { v->create("a", "docs", {}, {3, Metric::cosine}); }), 3002);
  EXPECT_EQ(test::code_of([&] { v->create("a", "no space", {}, {3, Metric::cosine}); }), 3003);
  EXPECT_EQ(test::code_of([&] { v->create("a", "wide", {}, {1537, Metric::cosine}); }), 3003);
  v->drop("a", "docs");
  EXPECT_EQ(test::code_of([&] { v->get("a", "docs"); }), 3000);
  EXPECT_EQ(test::code_of([&] { v->drop("a", "docs"); }), 3000);
  EXPECT_EQ(v->list("b").size(), 1u);
  v->create("a", "docs", {}, {5, Metric::cosine});
  EXPECT_EQ(v->info("a", "docs").dimensions, 5) << "the name is free again";
}

TEST_F(VectorizeTest, InsertKeepsAndUpsertReplaces) {
  auto v = open();
  v->create("a", "i", {}, {2, Metric::cosine});
  put(*v, WriteKind::insert, {{"x", "n", {1, 0}, R"({"v":1})"}, {"y", {}, {0, 1}, ""}});
  put(*v, WriteKind::insert, {{"x", {}, {0, 1}, R"({"v":2})"}, {"z", {}, {1, 1}, ""}});
  auto x = v->get_by_ids("a", "i", {"x", "nobody", "x"});
  ASSERT_EQ(x.size(), 1u);
  EXPECT_EQ(x[0].values, (std::vector<float>{1, 0}));
  EXPECT_EQ(x[0].metadata, R"({"v":1})");
  EXPECT_EQ(x[0].ns, "n");
  EXPECT_EQ(v->info("a", "i").vectors, 3);
  put(*v, WriteKind::upsert, {{"x", {}, {0, 2}, ""}});
  x = v->get_by_ids("a", "i", {"x"});
  EXPECT_EQ(x[0].values, (std::vector<float>{0, 2}));
  EXPECT_EQ(x[0].metadata, "") << "replaced in full";
  EXPECT_FALSE(x[0].ns);
  EXPECT_EQ(v->info("a", "i").vectors, 3);
  remove(*v, {"x", "nobody"});
  EXPECT_EQ(v->info("a", "i").vectors, 2);
  EXPECT_TRUE(v->get_by_ids("a", "i", {"x"}).empty());
  // Of one id twice in a call: the first of an insert, the last of an upsert.
  put(*v, WriteKind::insert, {{"t", {}, {1, 0}, ""}, {"t", {}, {2, 0}, ""}});
  EXPECT_EQ(v->get_by_ids("a", "i", {"t"})[0].values[0], 1);
  put(*v, WriteKind::upsert, {{"t", {}, {3, 0}, ""}, {"t", {}, {4, 0}, ""}});
  EXPECT_EQ(v->get_by_ids("a", "i", {"t"})[0].values[0], 4);
}

TEST_F(VectorizeTest, ScoresOfEachMetric) {
  auto v = open();
  for (const Metric metric : {Metric::cosine, Metric::euclidean, Metric::dot_product}) {
    const std::string name(metric_name(metric));
    v->create("a", name, {}, {2, metric});
    put(*v, WriteKind::upsert, {{"near", {}, {2, 0}, ""}, {"far", {}, {-1, 0}, ""}, {"side", {}, {0, 3}, ""}}, name);
  }
  const auto scores = [&](std::string_view name) {
    std::vector<std::pair<std::string, double>> out;
    Query q;
    q.vector = {1, 0};
    for (const auto& m : v->query("a", std::string(name), q).matches) out.emplace_back(m.id, m.score);
    return out;
  };
  using Scores = std::vector<std::pair<std::string, double>>;
  EXPECT_EQ(scores("cosine"), (Scores{{"near", 1}, {"side", 0}, {"far", -1}}));
  EXPECT_EQ(scores("dot-product"), (Scores{{"near", -2}, {"side", 0}, {"far", 1}}));
  const auto euclidean = scores("euclidean");
  EXPECT_EQ(euclidean[0], (std::pair<std::string, double>{"near", 1}));
  EXPECT_EQ(euclidean[1], (std::pair<std::string, double>{"far", 2}));
  EXPECT_NEAR(euclidean[2].second, std::sqrt(10.0), 1e-6);
}

TEST_F(VectorizeTest, QueriesByIdWithNamespaceValuesAndMetadata) {
  auto v = open();
  v->create("a", "i", {}, {2, Metric::cosine});
  property(*v, "p.q", PropertyType::number);
  put(*v, WriteKind::upsert,
      {{"x", "n", {1, 0}, R"({"p":{"q":7},"other":true})"}, {"y", "n", {1, 1}, ""}, {"z", {}, {1, 0}, ""}});
  Query q;
  q.vector_id = "x";
  q.ns = "n";
  q.values = true;
  q.metadata = MetadataLevel::all;
  auto matches = v->query("a", "i", q).matches;
  ASSERT_EQ(matches.size(), 2u);
  EXPECT_EQ(matches[0].id, "x");
  EXPECT_EQ(matches[0].metadata, R"({"p":{"q":7},"other":true})");
  EXPECT_EQ(matches[0].values, (std::vector<float>{1, 0}));
  EXPECT_EQ(matches[0].ns, "n");
  EXPECT_EQ(matches[1].id, "y");
  q.metadata = MetadataLevel::indexed;
  EXPECT_EQ(v->query("a", "i", q).matches[0].metadata, R"({"p":{"q":7}})");
  q.ns = "elsewhere";
  EXPECT_TRUE(v->query("a", "i", q).matches.empty());
  q.vector_id = "nobody";
  EXPECT_TRUE(v->query("a", "i", q).matches.empty());
}

TEST_F(VectorizeTest, AMetadataIndexCoversWhatIsWrittenAfterIt) {
  auto v = open();
  v->create("a", "i", {}, {2, Metric::cosine});
  put(*v, WriteKind::upsert, {{"before", {}, {1, 0}, R"({"k":"v"})"}});
  const auto found = [&](const std::string& filter) {
    Query q;
    q.vector = {1, 0};
    q.filter = parse_filter(parse_json(filter), Limits());
    std::vector<std::string> ids;
    const auto result = v->query("a", "i", q);
    for (const auto& m : result.matches) ids.push_back(m.id);
    std::sort(ids.begin(), ids.end());
    return std::pair(ids, result.unindexed.size());
  };
  using Ids = std::vector<std::string>;
  EXPECT_EQ(found(R"({"k":"v"})"), std::pair(Ids{}, std::size_t{1})) << "nobody has it, and that is said";
  property(*v, "k", PropertyType::string);
  EXPECT_EQ(found(R"({"k":"v"})"), std::pair(Ids{}, std::size_t{0}));
  put(*v, WriteKind::upsert, {{"after", {}, {1, 0}, R"({"k":"v"})"}});
  EXPECT_EQ(found(R"({"k":"v"})").first, Ids{"after"});
  EXPECT_EQ(found(R"({"k":{"$ne":"v"}})").first, Ids{"before"});
  property(*v, "k", PropertyType::string);
  EXPECT_EQ(found(R"({"k":"v"})").first, Ids{"after"}) << "made again it stays as it was";
  reopen(v);
  EXPECT_EQ(found(R"({"k":"v"})").first, Ids{"after"}) << "the same after a restart";
  put(*v, WriteKind::upsert, {{"before", {}, {1, 0}, R"({"k":"v"})"}});
  EXPECT_EQ(found(R"({"k":"v"})").first, (Ids{"after", "before"})) << "written anew it is covered";
  EXPECT_EQ(v->metadata_indexes("a", "i").size(), 1u);
  v->remove_metadata_index("a", "i", "k", ignore());
  v->wait_until_quiet();
  EXPECT_TRUE(v->metadata_indexes("a", "i").empty());
  EXPECT_EQ(found(R"({"k":"v"})"), std::pair(Ids{}, std::size_t{1}));
}

TEST_F(VectorizeTest, AtMostTenMetadataIndexesOfOneTypeEach) {
  auto v = open();
  v->create("a", "i", {}, {2, Metric::cosine});
  for (int i = 0; i < 10; ++i) property(*v, "p" + std::to_string(i), PropertyType::string);
  EXPECT_EQ(property(*v, "p10", PropertyType::string), 3003);
  EXPECT_EQ(property(*v, "p3", PropertyType::number), 3003);
  EXPECT_EQ(v->metadata_indexes("a", "i").size(), 10u);
}

TEST_F(VectorizeTest, MutationsAreSeenLaterInTheirOrder) {
  options.delay_ms = 1000;
  auto v = open();
  v->create("a", "i", {}, {1, Metric::euclidean});
  EXPECT_EQ(v->info("a", "i").processed_mutation, "");
  const std::string first = put(*v, WriteKind::upsert, {{"x", {}, {1}, ""}});
  clock.advance_ms(600);
  const std::string second = put(*v, WriteKind::upsert, {{"x", {}, {2}, ""}});
  EXPECT_EQ(v->info("a", "i").vectors, 0);
  clock.advance_ms(600);
  for (int i = 0; i < 500 && v->info("a", "i").processed_mutation != first; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  EXPECT_EQ(v->get_by_ids("a", "i", {"x"})[0].values[0], 1);
  EXPECT_EQ(v->info("a", "i").processed_mutation, first);
  clock.advance_ms(600);
  v->wait_until_quiet();
  EXPECT_EQ(v->get_by_ids("a", "i", {"x"})[0].values[0], 2);
  EXPECT_EQ(v->info("a", "i").processed_mutation, second);
  EXPECT_EQ(v->info("a", "i").processed_ms, clock.unix_ms() - 1200);
  reopen(v);
  EXPECT_EQ(v->info("a", "i").processed_mutation, second) << "never back";
}

TEST_F(VectorizeTest, WhatWasAnsweredIsThereAfterARestart) {
  auto v = open();
  v->create("a", "i", "text", {2, Metric::dot_product});
  put(*v, WriteKind::upsert, {{"x", "n", {1, 0}, R"({"a":1})"}, {"y", {}, {2, 0}, ""}, {"z", {}, {3, 0}, ""}});
  put(*v, WriteKind::insert, {{"x", {}, {9, 9}, ""}});
  remove(*v, {"y"});
  const auto last = put(*v, WriteKind::upsert, {{"z", {}, {4, 0}, ""}});
  for (int i = 0; i < 2; ++i) {  // from the log, then from what is settled
    reopen(v);
    EXPECT_EQ(v->get("a", "i").description, "text");
    EXPECT_EQ(v->info("a", "i").vectors, 2);
    EXPECT_EQ(v->info("a", "i").processed_mutation, last);
    EXPECT_EQ(v->get_by_ids("a", "i", {"x"})[0].metadata, R"({"a":1})");
    EXPECT_EQ(v->get_by_ids("a", "i", {"z"})[0].values[0], 4);
    Query q;
    q.vector = {1, 0};
    EXPECT_EQ(v->query("a", "i", q).matches[0].id, "z");
  }
}

TEST_F(VectorizeTest, AListIsThatOfItsFirstPage) {
  auto v = open();
  v->create("a", "i", {}, {1, Metric::cosine});
  for (int i = 0; i < 7; ++i) put(*v, WriteKind::upsert, {{"v" + std::to_string(i), {}, {1}, ""}});
  auto page = v->list_vectors("a", "i", 3, "");
  EXPECT_EQ(page.ids, (std::vector<std::string>{"v0", "v1", "v2"}));
  EXPECT_EQ(page.total, 7);
  remove(*v, {"v4"});
  put(*v, WriteKind::upsert, {{"new", {}, {1}, ""}, {"v5", {}, {2}, ""}});
  page = v->list_vectors("a", "i", 3, page.next_cursor);
  EXPECT_EQ(page.ids, (std::vector<std::string>{"v3", "v4", "v5"}));
  page = v->list_vectors("a", "i", 3, page.next_cursor);
  EXPECT_EQ(page.ids, std::vector<std::string>{"v6"});
  EXPECT_EQ(page.next_cursor, "");
  EXPECT_EQ(v->list_vectors("a", "i", 100, "").total, 7);
  page = v->list_vectors("a", "i", 1, "");
  EXPECT_EQ(test::code_of([&] { v->list_vectors("a", "i", 1, "nonsense"); }), 40026);
  EXPECT_EQ(test::code_of([&] { v->list_vectors("a", "i", 1, page.next_cursor + "9"); }), 40026);
  clock.advance_ms(11 * 60 * 1000);
  EXPECT_EQ(test::code_of([&] { v->list_vectors("a", "i", 1, page.next_cursor); }), 40026) << "expired";
}

TEST_F(VectorizeTest, ADroppedIndexLeavesRoomOnTheDisk) {
  auto v = open();
  v->create("a", "big", {}, {256, Metric::cosine});
  for (int i = 0; i < 20; ++i) {
    std::vector<Vector> vectors;
    for (int j = 0; j < 100; ++j) vectors.push_back({std::to_string(i) + "-" + std::to_string(j), {}, {}, ""});
    for (auto& vector : vectors) vector.values.assign(256, 1.0F);
    put(*v, WriteKind::upsert, vectors, "big");
  }
  v->drop("a", "big");
  // What is left of it goes with the next start, piece by piece.
  reopen(v);
  for (int i = 0; i < 500 && file_bytes() > (400 << 10); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_LT(file_bytes(), 400 << 10);
}

TEST_F(VectorizeTest, InMemoryNothingIsOnTheDisk) {
  options.folder.clear();
  auto v = open();
  v->create("a", "i", {}, {2, Metric::cosine});
  property(*v, "k", PropertyType::boolean);
  put(*v, WriteKind::upsert, {{"x", {}, {1, 0}, R"({"k":true,"l":2})"}});
  Query q;
  q.vector = {1, 0};
  q.filter = parse_filter(parse_json(R"({"k":true})"), Limits());
  q.metadata = MetadataLevel::all;
  EXPECT_EQ(v->query("a", "i", q).matches[0].metadata, R"({"k":true,"l":2})");
  v->drop_account("a");
  EXPECT_TRUE(v->list("a").empty());
}

TEST_F(VectorizeTest, AFullDiskRefusesAndLosesNothing) {
  auto v = open();
  v->create("a", "i", {}, {64, Metric::cosine});
  put(*v, WriteKind::upsert, {{"kept", {}, std::vector<float>(64, 1.0F), ""}});
  const auto many = [](int i) {
    std::vector<Vector> vectors;
    for (int j = 0; j < 1000; ++j) {
      vectors.push_back({std::to_string(i) + "-" + std::to_string(j), {}, std::vector<float>(64, 1.0F), ""});
    }
    return vectors;
  };
  {
    const test::SmallFiles small(1 << 20);
    int refused = 0;
    for (int i = 0; i < 12; ++i) refused += put_code(*v, many(i)) == 3043 ? 1 : 0;
    EXPECT_GT(refused, 0);
  }
  const std::int64_t before = v->info("a", "i").vectors;
  EXPECT_EQ(before % 1000, 1) << "whole mutations or none";
  EXPECT_EQ(put_code(*v, many(100)), 0) << "usable again once there is room";
  reopen(v);
  EXPECT_EQ(v->info("a", "i").vectors, before + 1000);
  EXPECT_EQ(v->get_by_ids("a", "i", {"kept"}).size(), 1u);
}

TEST_F(VectorizeTest, AFolderIsOneProcess) {
  const auto v = open();
  EXPECT_EQ(test::code_of([&] { open(); }), 3043);
}

}  // namespace
}  // namespace glia::vectorize
