// What /metrics says: by the text format's rules, as docs/metrics.md lists it, and in sums that hold.
#include "api/metrics.h"

#include <gtest/gtest.h>

#include <fstream>

#include "api/prometheus_text.h"
#include "base/clock.h"
#include "base/log.h"
#include "engine/fake_model.h"

namespace glia::api {
namespace {

namespace text_format = prometheus_text;

class MetricsTest : public testing::Test {
 protected:
  MetricsTest() {
    log::configure(log::Level::error, false);
    auto loader = std::make_unique<engine::fake::Loader>();
    for (const char* path : {"/one/same.gguf", "/two/same.gguf", "/a \"quoted\"\\name.gguf", "/broken.gguf"}) {
      loader->files[path] = {};
    }
    loader->files["/broken.gguf"].broken = true;
    engine_ = engine::make_engine({.memory_budget = 3000, .kv_bytes = 1024, .memory_wait_ms = 0, .max_running = 4},
                                  clock_, std::move(loader));
    vectorize::Options options;
    options.memory_bytes = 1 << 20;
    vectors_ = vectorize::Vectorize::open(options, clock_);
    metrics_ = std::make_unique<Metrics>(engine_.get(), vectors_.get());
  }

  void generate(const char* path, std::int32_t tokens, int times = 1) {
    const auto model = engine_->acquire(path);
    std::vector<std::shared_ptr<engine::fake::Sink>> sinks;
    for (int i = 0; i < times; ++i) {
      engine::GenerateRequest request;
      request.prompt = {1, 2, 3};
      request.max_tokens = tokens;
      request.ignore_end_tokens = true;
      sinks.push_back(std::make_shared<engine::fake::Sink>());
      model->generate(request, sinks.back());
    }
    for (const auto& sink : sinks) ASSERT_TRUE(sink->wait().result());
  }
  text_format::Families families() const { return text_format::parse(metrics_->text()); }

  /// One of everything that brings a family of the HTTP side into being.
  void touch_all() {
    metrics_->request("rest", 200, 0.01);
    metrics_->run_started();
    tasks::TextResult result;
    result.usage = {7, 3, 2};
    result.neurons = 0.5;
    result.first_token_ms = 12;
    metrics_->run_ended("@cf/x/y", "ok", result);
    metrics_->leases(1);
  }

  SystemClock clock_;
  std::unique_ptr<engine::Engine> engine_;
  std::unique_ptr<vectorize::Vectorize> vectors_;
  std::unique_ptr<Metrics> metrics_;
};

TEST_F(MetricsTest, is_text_by_the_rules_and_its_sums_hold) {
  touch_all();
  generate("/one/same.gguf", 20, 10);
  generate("/two/same.gguf", 5, 3);  // drops the one of the same name
  generate("/a \"quoted\"\\name.gguf", 4);
  EXPECT_THROW(engine_->acquire("/broken.gguf"), Error);
  generate("/one/same.gguf", 20, 2);  // and its figures go on
  const auto f = families();
  const auto of = [&](const std::string& name, text_format::Labels labels) {
    return text_format::value(f, name, labels);
  };
  const auto count = [&](const std::string& name, const text_format::Labels& labels) {
    return text_format::value(f, name, name + "_count", labels);
  };
  const text_format::Labels one{{"weights", "same"}}, two{{"weights", "same (2)"}};
  EXPECT_EQ(of("glia_engine_generations_total", {{"weights", "same"}, {"end", "length"}}), 12);
  EXPECT_EQ(of("glia_engine_generated_tokens_total", one), 12 * 20);
  EXPECT_EQ(count("glia_engine_first_token_seconds", one), 12);
  EXPECT_EQ(count("glia_engine_queued_seconds", one), 12);
  EXPECT_EQ(count("glia_engine_tokens_per_second", one), 12);
  EXPECT_EQ(count("glia_engine_step_seconds", one), of("glia_engine_steps_total", one));
  EXPECT_EQ(count("glia_engine_batch_rows", one), of("glia_engine_steps_total", one));
  EXPECT_EQ(count("glia_engine_load_seconds", one), 2);
  EXPECT_EQ(of("glia_engine_loads_total", {{"weights", "same"}, {"outcome", "ok"}}), 2);
  EXPECT_EQ(of("glia_engine_drops_total", {{"weights", "same"}, {"reason", "evicted"}}), 1);
  EXPECT_EQ(of("glia_engine_in_memory", one), 1);
  EXPECT_EQ(of("glia_engine_in_memory", two), 0);
  EXPECT_EQ(of("glia_engine_generated_tokens_total", two), 3 * 5);
  EXPECT_EQ(of("glia_engine_in_memory", {{"weights", "a \"quoted\"\\name"}}), 0);
  EXPECT_EQ(of("glia_engine_loads_total", {{"weights", "broken"}, {"outcome", "failed"}}), 1);
  EXPECT_EQ(of("glia_engine_memory_budget_bytes", {}), 3000);
  EXPECT_EQ(of("glia_engine_memory_used_bytes", {}), 1000 + 1024);
  // Each prompt is computed or found, and there was one row for each token that was computed.
  EXPECT_EQ(of("glia_engine_prompt_tokens_total", one) + of("glia_engine_cached_tokens_total", one), 12 * 3);
  EXPECT_EQ(of("glia_runs_total", {{"model", "@cf/x/y"}, {"outcome", "ok"}}), 1);
  EXPECT_EQ(of("glia_runs_in_flight", {}), 0);
}

TEST_F(MetricsTest, what_vectorize_does_is_counted) {
  vectors_->create("a", "one", {}, {2, vectorize::Metric::cosine});
  vectors_->create("b", "two", {}, {2, vectorize::Metric::cosine});
  const auto ignore = [](const Error*, const std::string&) {};
  vectors_->write("a", "one", vectorize::WriteKind::insert, {{"x", {}, {1, 0}, ""}, {"y", {}, {0, 1}, ""}}, ignore);
  vectors_->write("a", "one", vectorize::WriteKind::upsert, {{"x", {}, {2, 0}, ""}}, ignore);
  vectors_->remove("a", "one", {"y"}, ignore);
  vectors_->add_metadata_index("a", "one", {"kind", vectorize::PropertyType::string}, ignore);
  vectors_->wait_until_quiet();
  vectorize::Query query;
  query.vector = {1, 0};
  for (int i = 0; i < 3; ++i) vectors_->query("a", "one", query);
  EXPECT_THROW(vectors_->query("a", "none", query), Error);
  const auto f = families();
  const auto of = [&](const std::string& name, const text_format::Labels& labels = {}) {
    return text_format::value(f, "glia_vectorize_" + name, labels);
  };
  EXPECT_EQ(of("indexes"), 2);
  EXPECT_EQ(of("indexes_in_memory"), 1);
  EXPECT_EQ(of("vectors"), 1);
  EXPECT_EQ(of("pending_mutations"), 0);
  EXPECT_EQ(of("mutations_total", {{"kind", "insert"}}), 1);
  EXPECT_EQ(of("mutations_total", {{"kind", "upsert"}}), 1);
  EXPECT_EQ(of("mutations_total", {{"kind", "delete"}}), 1);
  EXPECT_EQ(of("mutations_total", {{"kind", "metadata_index"}}), 1);
  EXPECT_EQ(of("mutations_total", {{"kind", "failed"}}), 0);
  EXPECT_EQ(of("vectors_written_total"), 3);
  EXPECT_EQ(of("failed_queries_total"), 1);
  EXPECT_EQ(of("reads_total", {{"outcome", "ok"}}), 1);
  EXPECT_EQ(of("memory_limit_bytes"), 1 << 20);
  EXPECT_GT(of("memory_bytes"), 0);
  EXPECT_EQ(text_format::value(f, "glia_vectorize_query_seconds", "glia_vectorize_query_seconds_count"), 3);
}

// docs/metrics.md has a row for each family, with its type, its labels and its HELP, and no other.
TEST_F(MetricsTest, the_page_lists_what_there_is) {
  touch_all();
  generate("/one/same.gguf", 2);
  std::set<std::string> have;
  for (const auto& [name, family] : families()) {
    std::string labels;
    for (const auto& [label, unused] : family.samples.at(0).labels) {
      if (label != "le") labels += (labels.empty() ? "`" : ", `") + label + "`";
    }
    have.insert("| `" + name + "` | " + family.type + " | " + labels + " | " + family.help + " |");
  }
  std::set<std::string> listed;
  std::ifstream page(GLIA_SOURCE_DIR "/docs/metrics.md");
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("| `glia_")) listed.insert(line);
  }
  for (const auto& row : have) EXPECT_TRUE(listed.contains(row)) << "missing in docs/metrics.md:\n" << row;
  for (const auto& row : listed) EXPECT_TRUE(have.contains(row)) << "there is no such metric:\n" << row;
}

TEST(PrometheusText, refuses_what_the_rules_forbid) {
  const std::string good = "# HELP a_total x\n# TYPE a_total counter\na_total{l=\"v\"} 1\n";
  EXPECT_EQ(text_format::parse(good).at("a_total").samples.size(), 1U);
  const std::string histogram = "# HELP h x\n# TYPE h histogram\n";
  for (const std::string& bad :
       {std::string(), good + "a_total{l=\"v\"} 2\n", std::string("a 1\n"), good + "b_total 1\n",
        std::string("# HELP a x\n# TYPE a counter\na 1\n"), good + "# HELP b x\n# TYPE b gauge\nb 1\n" + good,
        std::string("# TYPE b gauge\nb 1\n"), std::string("# HELP b x\n# TYPE b gauge\nb one\n"),
        std::string("# HELP b x\n# TYPE b gauge\nb{l=v} 1\n"),
        histogram + "h_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
        histogram + "h_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n",
        histogram + "h_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 3\n"}) {
    EXPECT_THROW(text_format::parse(bad), std::runtime_error) << bad;
  }
}

}  // namespace
}  // namespace glia::api
