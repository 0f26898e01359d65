// What stands in for the reranker, on the real weights and the exact path, against the formula of docs/reranking.md in
// Python (tests/golden/make_late_interaction.py).
#include "tasks/encoding_run.h"
#include "tasks/local_runner_fixture.h"
#include "text/golden.h"
#include "text/stored_weights.h"

namespace glia::tasks {
namespace {

/// A score is 1 / (1 + exp(-25 m - ...)): at most 25 / 4 times the error of m, a mean of cosines of states, which the
/// exact path gives to 1e-5.
constexpr double kTolerance = 25.0 / 4 * 1e-5;

TEST(LateInteractionGolden, ScoresAsInPython) {
  const SystemClock clock;
  const auto catalog = catalog::Catalog::load();
  const auto engine = engine::make_engine({.math = kernels::MathMode::exact}, clock);
  const auto model = engine->acquire_encoder(text::minilm_path());
  NoMeter meter;
  WorkQueue work(1, 16);
  const json::value golden = parse_json(text::read_golden("late_interaction/expected.json"));
  for (const json::value& known : golden.as_array()) {
    Job job;
    job.entry = catalog.find("@cf/baai/bge-reranker-base");
    EncodingInput input;
    input.task = EncodingTask::relevance;
    input.query = json::value_to<std::string>(known.at("query"));
    input.texts = json::value_to<std::vector<std::string>>(known.at("contexts"));
    input.truncate = true;
    const auto sink = std::make_shared<fake::Recorder>();
    std::make_shared<EncodingRun>(job, input, work, meter, clock, sink, [] {})->prepare(model);
    ASSERT_EQ(sink->ended().back(), "encoded");
    const auto expected = json::value_to<std::vector<double>>(known.at("scores"));
    const auto scores = std::get<std::vector<ContextScore>>(sink->encoding().answer);
    ASSERT_EQ(scores.size(), expected.size());
    for (const ContextScore& score : scores) {
      EXPECT_NEAR(score.score, expected[score.context], kTolerance)
          << input.query.substr(0, 60) << " / " << input.texts[score.context].substr(0, 60);
    }
  }
}

}  // namespace
}  // namespace glia::tasks
