// What is found: completely by looking at all, almost along the graph, under updates, deletes and filters.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <fstream>
#include <map>
#include <random>
#include <set>

#include "kernels/cpu_isa.h"
#include "kernels/device.h"
#include "vectorize/graph_file.h"
#include "vectorize/state.h"
#include "vectorize/test_support.h"

namespace glia::vectorize {
namespace {

/// Clustered vectors, as those of embedding models are.
class Cloud {
 public:
  Cloud(std::int32_t dimensions, int clusters, unsigned seed) : dimensions_(dimensions), random_(seed) {
    for (int i = 0; i < clusters; ++i) centers_.push_back(gauss());
  }
  std::vector<float> next() {
    const auto& center = centers_[random_() % centers_.size()];
    auto x = gauss();
    for (std::size_t j = 0; j < x.size(); ++j) x[j] = center[j] + 0.7F * x[j];
    return x;
  }

 private:
  std::vector<float> gauss() {
    std::vector<float> x(static_cast<std::size_t>(dimensions_));
    for (float& v : x) v = normal_(random_);
    return x;
  }
  std::int32_t dimensions_;
  std::mt19937 random_;
  std::normal_distribution<float> normal_{0, 1};
  std::vector<std::vector<float>> centers_;
};

const kernels::VectorKernels& best_kernels() { return *kernels::choose_isa("").table->vectors; }

/// An index's state, and the same by plain loops.
struct World {
  IndexConfig config;
  State state;
  Cloud cloud;
  std::map<std::string, std::vector<float>> truth;
  std::map<std::string, std::string> kinds;
  std::vector<std::int64_t> dead;
  std::int64_t next = 1;

  explicit World(Metric metric, std::int32_t dimensions = 24, const kernels::VectorKernels& kernels = best_kernels())
      : config{dimensions, metric}, state(config, kernels), cloud(dimensions, 40, 7) {
    state.add_property({"kind", PropertyType::string}, 0);
  }
  void put(const std::string& id, const std::string& kind) {
    const auto values = cloud.next();
    state.put(next++, {id, {}, values, R"({"kind":")" + kind + "\"}"}, dead);
    truth[id] = values;
    kinds[id] = kind;
  }
  void fill(int n) {
    for (int i = 0; i < n; ++i) put("v" + std::to_string(i), std::to_string(i % 1000));
  }
  void remove(const std::string& id) {
    Mutation m;
    m.kind = MutationKind::remove;
    m.ids = {id};
    state.apply(m, dead);
    truth.erase(id);
  }
  void build_graph() {
    auto graph = std::make_unique<Graph>(state.slots());
    graph->grow(state.slots().size());
    for (Slot s = 0; s < state.slots().size(); ++s) graph->insert(s);
    const Slot size = state.slots().size();
    state.adopt_graph(std::move(graph), size);
  }
  double distance(const std::vector<float>& a, const std::vector<float>& b) const {
    double dot = 0, aa = 0, bb = 0, square = 0;
    for (std::size_t j = 0; j < a.size(); ++j) {
      dot += double{a[j]} * b[j];
      aa += double{a[j]} * a[j];
      bb += double{b[j]} * b[j];
      square += (double{a[j]} - b[j]) * (double{a[j]} - b[j]);
    }
    if (config.metric == Metric::euclidean) return square;
    return config.metric == Metric::cosine ? -dot / std::sqrt(aa * bb) : -dot;
  }
  std::vector<std::string> exact(const std::vector<float>& q, std::size_t k, const std::string& kind = "") const {
    std::vector<std::pair<double, std::string>> all;
    for (const auto& [id, x] : truth) {
      if (kind.empty() || kinds.at(id) == kind) all.emplace_back(distance(q, x), id);
    }
    std::sort(all.begin(), all.end());
    std::vector<std::string> out;
    for (std::size_t i = 0; i < std::min(k, all.size()); ++i) out.push_back(all[i].second);
    return out;
  }
  std::vector<std::string> found(const std::vector<float>& q, std::size_t k, const Filter* filter = nullptr) const {
    std::vector<std::string> out;
    for (const Near& near : state.nearest(state.slots().prepare(q), {k, 0}, std::nullopt, filter)) {
      out.push_back(state.id(near.slot));
    }
    return out;
  }
  double recall(std::size_t k, int queries = 100) {
    double hits = 0;
    for (int i = 0; i < queries; ++i) {
      const auto q = cloud.next();
      const auto want = exact(q, k);
      const auto got = found(q, k);
      const std::set<std::string> set(want.begin(), want.end());
      for (const auto& id : got) hits += set.contains(id) ? 1 : 0;
    }
    return hits / static_cast<double>(k) / queries;
  }
};

constexpr Metric kMetrics[] = {Metric::cosine, Metric::euclidean, Metric::dot_product};

TEST(Search, LookingAtAllIsExactOnEverySet) {
  for (const std::string_view isa : kernels::available_isas()) {
    for (const Metric metric : kMetrics) {
      World world(metric, 40, *kernels::choose_isa(isa).table->vectors);
      world.fill(1500);
      for (int i = 0; i < 20; ++i) {
        const auto q = world.cloud.next();
        EXPECT_EQ(world.found(q, 10), world.exact(q, 10)) << isa << " " << metric_name(metric);
      }
    }
  }
}

TEST(Search, AFewOfManyAreFoundCompletely) {
  for (const Metric metric : kMetrics) {
    World world(metric);
    world.fill(12'000);
    world.build_graph();
    const Filter filter = parse_filter(parse_json(R"({"kind":"17"})"), Limits());  // 0.1 %
    for (int i = 0; i < 20; ++i) {
      const auto q = world.cloud.next();
      EXPECT_EQ(world.found(q, 100, &filter), world.exact(q, 100, "17"));
    }
  }
}

TEST(Search, TheGraphFindsNearlyAll) {
  for (const Metric metric : kMetrics) {
    World world(metric);
    world.fill(12'000);
    world.build_graph();
    EXPECT_GT(world.recall(10), 0.98) << metric_name(metric);
    EXPECT_GT(world.recall(100, 20), 0.98) << metric_name(metric);
  }
}

TEST(Search, UpdatesAndDeletesLeaveItWhole) {
  World world(Metric::cosine);
  world.fill(12'000);
  world.build_graph();
  for (int i = 0; i < 3'000; ++i) world.remove("v" + std::to_string(i));
  for (int i = 3'000; i < 6'000; ++i) world.put("v" + std::to_string(i), "new");  // not in the graph yet
  EXPECT_EQ(world.state.live(), 9'000);
  EXPECT_EQ(world.dead.size(), 6'000u);
  EXPECT_GT(world.recall(10), 0.98);
  // Made compact, with the graph of what is left.
  std::vector<Slot> to;
  auto smaller = world.state.without_dead(to);
  EXPECT_EQ(smaller->slots().size(), 9'000u);
  std::vector<std::uint32_t> words;
  world.state.graph()->save(words, world.state.graphed());
  const std::span<const Slot> those = std::span(to).first(world.state.graphed());
  Slot size = 0;
  for (const Slot s : those) size = s == kNoSlot ? size : s + 1;
  EXPECT_EQ(size, 6'000u);
  auto graph = renumbered(words, those, smaller->slots(), size);
  ASSERT_NE(graph, nullptr);
  smaller->adopt_graph(std::move(graph), size);
  world.remove("v7000");  // since the copy
  world.put("later", "new");
  ASSERT_TRUE(smaller->catch_up(world.state, to));
  EXPECT_EQ(smaller->live(), 9'000);
  EXPECT_EQ(smaller->find("v7000"), kNoSlot);
  EXPECT_NE(smaller->find("later"), kNoSlot);
  int hits = 0;
  for (int i = 0; i < 50; ++i) {
    const auto q = world.cloud.next();
    const auto near = smaller->nearest(smaller->slots().prepare(q), {10, 0}, std::nullopt, nullptr);
    const auto want = world.exact(q, 10);
    for (const Near& n : near) hits += std::find(want.begin(), want.end(), smaller->id(n.slot)) != want.end() ? 1 : 0;
  }
  EXPECT_GT(hits, 490);
}

TEST(Search, AGraphComesBackFromItsFile) {
  const auto path = std::filesystem::temp_directory_path() / ("glia-graph-" + std::to_string(::getpid()));
  World world(Metric::euclidean);
  world.fill(9'000);
  world.build_graph();
  ASSERT_TRUE(write_graph(path, graph_bytes(world.state)));
  // Read into a state in which some have gone and some have come since.
  World later(Metric::euclidean);
  later.cloud = world.cloud;
  for (Slot s = 0; s < 9'000; ++s) {
    const auto values = world.state.slots().values(s);
    const std::string& id = world.state.id(s);
    if (s % 10 == 3) continue;
    later.state.put(world.state.slots().entry(s), {id, {}, {values.begin(), values.end()}, ""}, later.dead);
    later.truth[id] = {values.begin(), values.end()};
  }
  ASSERT_TRUE(load_graph(path, later.state));
  EXPECT_EQ(later.state.graphed(), 8'100u);
  later.next = 100'000;
  for (int i = 0; i < 500; ++i) later.put("late" + std::to_string(i), "x");
  EXPECT_GT(later.recall(10), 0.98);
  // Torn, or with a bit that has turned: of no use, and no harm.
  std::string bytes;
  {
    std::ifstream in(path, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(in), {});
  }
  std::mt19937 random(3);
  for (int i = 0; i < 30; ++i) {
    std::string bad = bytes;
    if (i % 2 == 0) bad.resize(random() % bytes.size());
    if (i % 2 == 1) bad[random() % bad.size()] ^= static_cast<char>(1 << (random() % 8));
    std::ofstream(path, std::ios::binary) << bad;
    World other(Metric::euclidean);
    other.fill(100);
    EXPECT_FALSE(load_graph(path, other.state));
    EXPECT_EQ(other.state.graphed(), 0u);
  }
  std::filesystem::remove(path);
}

TEST(Search, OddVectorsDoNoHarm) {
  for (const Metric metric : kMetrics) {
    World world(metric, 8);
    const std::vector<std::vector<float>> odd = {std::vector<float>(8, 0.0F),   std::vector<float>(8, 3e38F),
                                                 std::vector<float>(8, -3e38F), std::vector<float>(8, 1e-40F),
                                                 std::vector<float>(8, 1e-45F), {1, 0, 0, 0, 0, 0, 0, 0}};
    for (std::size_t i = 0; i < odd.size(); ++i) {
      world.state.put(static_cast<std::int64_t>(i + 1), {std::to_string(i), {}, odd[i], ""}, world.dead);
    }
    world.build_graph();
    for (const auto& q : odd) {
      const auto p = world.state.slots().prepare(q);
      const auto near = world.state.nearest(p, {10, 0}, std::nullopt, nullptr);
      EXPECT_EQ(near.size(), odd.size());
      for (const Near& n : near) {
        EXPECT_FALSE(std::isnan(n.distance));
        EXPECT_TRUE(std::isfinite(world.state.slots().score(n.distance)));
      }
    }
  }
}

/// Queries, writes and the background at once, on an index that grows a graph, loses a third and is made compact.
class Together : public test::Folder {};

TEST_F(Together, QueriesGoOnWhileEverythingChanges) {
  options.threads = 2;
  auto v = open();
  v->create("a", "i", {}, {16, Metric::cosine});
  Cloud cloud(16, 30, 5);
  std::atomic<bool> stop{false};
  std::thread reader([&] {
    Cloud queries(16, 30, 6);
    while (!stop) {
      Query q;
      q.vector = queries.next();
      q.top_k = 10;
      const auto matches = v->query("a", "i", q).matches;
      for (std::size_t i = 1; i < matches.size(); ++i) ASSERT_LE(matches[i].score, matches[i - 1].score);
    }
  });
  std::set<std::string> there;
  int next = 0;
  for (int round = 0; round < 30; ++round) {
    std::vector<Vector> vectors;
    for (int i = 0; i < 1000; ++i) vectors.push_back({std::to_string(next++), {}, cloud.next(), ""});
    for (const auto& vector : vectors) there.insert(vector.id);
    put(*v, WriteKind::upsert, std::move(vectors));
    if (round > 10) {
      std::vector<std::string> gone;
      for (int i = 0; i < 600; ++i) gone.push_back(std::to_string((round - 11) * 1000 + i));
      for (const auto& id : gone) there.erase(id);
      remove(*v, gone);
    }
  }
  v->wait_until_quiet();
  stop = true;
  reader.join();
  const auto check = [&] {
    EXPECT_EQ(v->info("a", "i").vectors, static_cast<std::int64_t>(there.size()));
    const auto page = v->list_vectors("a", "i", 100'000, "");
    EXPECT_EQ(std::set<std::string>(page.ids.begin(), page.ids.end()), there);
    int self = 0;
    for (int i = 0; i < 200; ++i) {
      Query q;
      q.vector_id = page.ids[static_cast<std::size_t>(i) * page.ids.size() / 200];
      q.top_k = 1;
      self += v->query("a", "i", q).matches[0].id == *q.vector_id ? 1 : 0;
    }
    EXPECT_GE(self, 198);
  };
  check();
  reopen(v);
  check();
  EXPECT_TRUE(std::filesystem::exists(folder / "graph-1.bin"));
}

}  // namespace
}  // namespace glia::vectorize
