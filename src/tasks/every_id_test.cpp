// For each id of the catalogue, as a caller sees it: what is out of range is refused by name, the context limit is
// enforced, an id whose task is not built says so.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <future>
#include <optional>

#include "catalog/out_of_range.h"
#include "engine/fake_encoder.h"
#include "tasks/fake_engine.h"
#include "tasks/loaded_model.h"
#include "tasks/local_runner.h"

namespace glia::tasks {
namespace {

constexpr std::int32_t kLargestWindow = 1 << 24;

const catalog::Catalog& whole_catalog() {
  static const catalog::Catalog kCatalog = catalog::Catalog::load();
  return kCatalog;
}

/// Of none: the ids that are not served.
std::vector<catalog::ModelEntry> entries(std::optional<ModelKind> kind) {
  std::vector<catalog::ModelEntry> out;
  for (const auto& m : whole_catalog().models()) {
    if (m.served() == kind.has_value() && (!kind || kind_of(m) == *kind)) out.push_back(m);
  }
  return out;
}

/// Nothing stands in for its weights.
constexpr std::string_view kUnaided = "@cf/huggingface/distilbert-sst-2-int8";

std::string name_of(const testing::TestParamInfo<catalog::ModelEntry>& info) {
  std::string name = info.param.id;
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

class Ending final : public RunSink {
 public:
  void started(const RunInfo& /*info*/) override {}
  void text(std::string_view /*piece*/) override {}
  void finished(const TextResult& /*result*/) override { end.set_value("finished"); }
  void failed(const Error& error) override {
    end.set_value(std::string(error_name(error.code())) + ": " + error.detail());
  }
  void encoded(const EncodingResult& /*result*/) override { end.set_value("encoded"); }
  void cancelled(const RunResult& /*result*/) override { end.set_value("cancelled"); }

  std::promise<std::string> end;
};

class FreeMeter final : public Meter {
 public:
  void reserve(const Bill& /*bill*/, double /*estimated*/) override {}
  void release(const Bill& /*bill*/) override {}
  void settle(const Bill& /*bill*/, const TokenUsage& /*usage*/, double /*neurons*/, Settled settled) override {
    settled(nullptr);
  }
};

class EveryIdBase : public testing::TestWithParam<catalog::ModelEntry> {
 protected:
  EveryIdBase() {
    std::ofstream(dir_ / "SmolLM2-135M-Instruct.Q4_1.gguf") << "x";
    std::filesystem::create_directory(dir_ / "all-MiniLM-L6-v2");
    model_->on_generate = [](fake::Generation& g) {
      g.say("x");
      g.finish(engine::FinishReason::stop);
    };
  }
  ~EveryIdBase() override { std::filesystem::remove_all(dir_); }

  /// How it went: "finished", or the error's name and detail.
  std::string outcome(json::object inputs) {
    const auto sink = std::make_shared<Ending>();
    try {
      runner_.run({"r", "local", GetParam().id, std::move(inputs)}, sink);
    } catch (const Error& e) {
      return std::string(error_name(e.code())) + ": " + e.detail();
    }
    return sink->end.get_future().get();
  }

  static std::filesystem::path folder_of_its_own() {
    std::string name = (std::filesystem::temp_directory_path() / "glia-ids-XXXXXX").string();
    return mkdtemp(name.data());
  }

  const std::filesystem::path dir_ = folder_of_its_own();
  std::shared_ptr<fake::Model> model_ = std::make_shared<fake::Model>(fake::kChatMl, kLargestWindow);
  fake::Engine engine_{model_};
  FreeMeter meter_;
  ManualClock clock_{1'795'521'600'000};
  Weights weights_{whole_catalog(), {.models_dir = dir_, .overrides = {{std::string(kUnaided), dir_}}}};
  LocalRunner runner_{whole_catalog(), engine_, meter_, clock_, weights_};
};

/// That writes text.
class EveryServedId : public EveryIdBase {};

TEST_P(EveryServedId, AnswersAPromptAndMessages) {
  EXPECT_EQ(outcome({{"prompt", "hi"}}), "finished");
  EXPECT_EQ(outcome({{"messages", json::array{json::object{{"role", "user"}, {"content", "hi"}}}}}), "finished");
}

TEST_P(EveryServedId, RefusesEachFieldOutOfRangeByName) {
  const auto& schema = whole_catalog().input_schema(GetParam()).as_object();
  for (const auto& bad : catalog::out_of_range(schema, {{"prompt", "hi"}})) {
    EXPECT_EQ(outcome(bad.input).find("invalid_input: " + bad.path + ": "), 0U)
        << bad.path << " " << bad.why << ": " << outcome(bad.input);
  }
}

TEST_P(EveryServedId, EnforcesItsContextLimit) {
  const std::int64_t window = GetParam().context_window;
  ASSERT_GT(window, 0);
  ASSERT_LT(window, kLargestWindow);
  constexpr std::int64_t kPrompt = 10;  // tokens, one a byte
  const auto asking_for = [](std::int64_t max_tokens) {
    return json::object{{"prompt", std::string(kPrompt, 'x')}, {"raw", true}, {"max_tokens", max_tokens}};
  };
  EXPECT_EQ(outcome(asking_for(window - kPrompt)), "finished") << "the last that fits";
  EXPECT_EQ(outcome(asking_for(window - kPrompt + 1)), "context_too_long: 10 input tokens and max_tokens " +
                                                           std::to_string(window - kPrompt + 1) +
                                                           ", the context window holds " + std::to_string(window));
}

INSTANTIATE_TEST_SUITE_P(Catalog, EveryServedId, testing::ValuesIn(entries(ModelKind::chat)), name_of);

/// That reads texts and gives vectors, scores or labels.
class EveryIdThatEncodes : public EveryIdBase {
 protected:
  EveryIdThatEncodes() {
    const bool classifies = GetParam().schema == "text-classification";
    engine_.encoder = std::make_shared<engine::fake::TextEncoder>(
        fake::byte_tokenizer(),
        engine::TextEncoderInfo{
            .context = 512,
            .hidden = engine::fake::kHidden,
            .width = engine::fake::kHidden,
            .pooling = engine::Pooling::mean,
            .normalises = true,
            .labels = classifies ? std::vector<std::string>{"NEGATIVE", "POSITIVE"} : std::vector<std::string>{}});
  }
};

TEST_P(EveryIdThatEncodes, AnswersItsExamples) {
  for (const auto& example : whole_catalog().examples(GetParam())) {
    EXPECT_EQ(outcome(example.as_object()), "encoded") << json::serialize(example);
  }
}

TEST_P(EveryIdThatEncodes, RefusesEachFieldOutOfRangeByName) {
  const auto& schema = whole_catalog().input_schema(GetParam()).as_object();
  const auto& example = whole_catalog().examples(GetParam()).at(0).as_object();
  for (const auto& bad : catalog::out_of_range(schema, example)) {
    EXPECT_EQ(outcome(bad.input).find("invalid_input: " + bad.path + ": "), 0U)
        << bad.path << " " << bad.why << ": " << outcome(bad.input);
  }
}

INSTANTIATE_TEST_SUITE_P(Catalog, EveryIdThatEncodes, testing::ValuesIn(entries(ModelKind::encoder)), name_of);

class EveryIdThatIsNotBuilt : public EveryIdBase {};

TEST_P(EveryIdThatIsNotBuilt, SaysSoByItsTask) {
  const auto said = "not_served: " + GetParam().id + ": the task " + GetParam().kind + " is not built in this version";
  EXPECT_EQ(outcome({}), said);
  EXPECT_EQ(outcome(whole_catalog().examples(GetParam()).at(0).as_object()), said);
  EXPECT_EQ(GetParam().kind.find(GetParam().task), 0U) << "the task's own name comes first";
}

INSTANTIATE_TEST_SUITE_P(Catalog, EveryIdThatIsNotBuilt, testing::ValuesIn(entries(std::nullopt)), name_of);

}  // namespace
}  // namespace glia::tasks
