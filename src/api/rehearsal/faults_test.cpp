#include "api/rehearsal/faults.h"

#include <gtest/gtest.h>

namespace glia::api {
namespace {

constexpr std::string_view kModel = "@cf/meta/llama-3.1-8b-instruct";

class FaultsTest : public testing::Test {
 protected:
  std::string next(std::string_view model = kModel, std::string_view route = "binding") {
    const auto fault = faults.next(model, route);
    return fault ? fault_name(*fault) : "-";
  }
  /// What the next `n` calls meet.
  std::string run(int n) {
    std::string out;
    for (int i = 0; i < n; i++) out += next() + " ";
    return out;
  }
  void set(const char* rules) { faults.set(parse_json(rules)); }
  std::string refusal(const char* rules) {
    try {
      set(rules);
    } catch (const Error& error) {
      return error.detail();
    }
    return "taken";
  }

  catalog::Catalog catalog = catalog::Catalog::load();
  Faults faults{catalog};
};

TEST_F(FaultsTest, AfterEveryAndTimesCountTheCallsOfTheRule) {
  set(R"([{"fault":3040}])");
  EXPECT_EQ(run(3), "3040 3040 3040 ");
  set(R"([{"fault":3040,"after":2,"times":1}])");
  EXPECT_EQ(run(5), "- - 3040 - - ");
  set(R"([{"fault":"empty","every":3}])");
  EXPECT_EQ(run(7), "empty - - empty - - empty ");
  set(R"([{"fault":"cut","after":1,"every":2,"times":2}])");
  EXPECT_EQ(run(7), "- cut - cut - - - ");
  faults.reset();
  EXPECT_EQ(run(2), "- cut ") << "counts anew";
  set("[]");
  EXPECT_EQ(run(2), "- - ");
}

TEST_F(FaultsTest, ModelAndRouteSelectAndAnAliasIsItsModel) {
  set(R"([{"fault":3036,"model":"@cf/meta/llama-3.1-8b-instruct","route":"rest"},{"fault":"slow","route":"openai"}])");
  EXPECT_EQ(next(kModel, "rest"), "3036");
  EXPECT_EQ(next(kModel, "binding"), "-");
  EXPECT_EQ(next(kModel, "openai"), "slow");
  EXPECT_EQ(next("@cf/meta/llama-3.2-1b-instruct", "rest"), "-");
  for (const auto& entry : catalog.models()) {
    for (const auto& alias : entry.aliases) {
      faults.set(json::array{json::object{{"fault", 3040}, {"model", alias}}});
      EXPECT_EQ(next(entry.id), "3040") << alias;
      EXPECT_EQ(next(alias), "3040") << alias;
    }
  }
}

TEST_F(FaultsTest, TheFirstRuleThatIsDueDecidesAndAllCount) {
  set(R"([{"fault":3040,"after":1,"times":1},{"fault":3021,"times":2}])");
  EXPECT_EQ(run(4), "3021 3040 3021 - ");
}

TEST_F(FaultsTest, WhatCannotBeIsNamedAndChangesNothing) {
  set(R"([{"fault":3040}])");
  EXPECT_EQ(refusal(R"({})"), "faults: a list of rules is expected");
  EXPECT_EQ(refusal(R"([1])"), "faults[0]: an object is expected");
  EXPECT_EQ(refusal(R"([{"times":1}])"), "faults[0].fault: missing");
  EXPECT_EQ(refusal(R"([{"fault":1234}])"), "faults[0].fault: there is no error 1234");
  EXPECT_EQ(refusal(R"([{"fault":"boom"}])"),
            "faults[0].fault: the code of an error, `empty`, `slow` or `cut` is expected");
  EXPECT_EQ(refusal(R"([{"fault":3040},{"fault":3040,"every":0}])"),
            "faults[1].every: a whole number from 1 to 2147483647 is expected");
  EXPECT_EQ(refusal(R"([{"fault":3040,"route":"http"}])"),
            "faults[0].route: `binding`, `rest` or `openai` is expected");
  EXPECT_EQ(refusal(R"([{"fault":3040,"after_tokens":2}])"),
            "faults[0].after_tokens: a fault `3040` has no such field");
  EXPECT_EQ(refusal(R"([{"fault":"slow","first_token_ms":9999999}])"),
            "faults[0].first_token_ms: a whole number from 0 to 600000 is expected");
  json::array many;
  for (std::size_t i = 0; i <= Faults::kMaxRules; i++) many.push_back(json::object{{"fault", 3040}});
  EXPECT_THROW(faults.set(many), Error);
  EXPECT_EQ(next(), "3040");
}

TEST_F(FaultsTest, ErrorsAreTheServicesOwn) {
  ManualClock clock(1'700'000'000'000);  // 2023-11-14T22:13:20Z: 6400 s to midnight
  const auto* entry = catalog.find(kModel);
  const auto error = [&](ErrorCode code) { return fault_error({FaultKind::error, code, 0, 0, 0}, entry, clock); };
  EXPECT_EQ(error(ErrorCode::quota_exceeded).retry_after_s, 6400);
  EXPECT_EQ(error(ErrorCode::quota_exceeded).detail(), "");
  EXPECT_EQ(error(ErrorCode::out_of_capacity).retry_after_s, 1);
  EXPECT_EQ(error(ErrorCode::out_of_capacity).message(), "Capacity temporarily exceeded, please try again.");
  EXPECT_EQ(error(ErrorCode::rate_limited).retry_after_s, 60);
  EXPECT_NE(error(ErrorCode::rate_limited).detail().find(" requests a minute for "), std::string::npos);
  EXPECT_EQ(error(ErrorCode::model_deprecated).detail(), std::string(kModel) + " on " + entry->deprecated);
  EXPECT_EQ(error(ErrorCode::timeout).message(), "Request timed out");
  EXPECT_EQ(fault_error({}, nullptr, clock).code(), ErrorCode::internal);
}

}  // namespace
}  // namespace glia::api
