#include "api/rehearsal/rehearsal.h"

#include <gtest/gtest.h>

#include <set>

namespace glia::api {
namespace {

json::object object(std::string_view text) { return parse_json(text).as_object(); }

std::uint64_t seed(std::string_view inputs, std::uint64_t of = 7, std::string_view model = "@cf/a/b") {
  return derived_seed(of, model, object(inputs));
}

TEST(DerivedSeed, IsOfTheContentAndNothingElse) {
  const auto one = seed(R"({"prompt":"hi","max_tokens":5})");
  EXPECT_EQ(seed(R"({"max_tokens":5.0,"prompt":"hi"})"), one) << "the order of keys, the form of a number";
  EXPECT_EQ(seed(R"({"prompt":"hi","max_tokens":5,"stream":true})"), one) << "streamed or whole";
  EXPECT_GE(one, 1u);
  EXPECT_LE(one, 9'999'999'999u);
}

TEST(DerivedSeed, TellsApartWhatDiffers) {
  std::set<std::uint64_t> seeds;
  const auto all = {R"({"prompt":"hi"})",
                    R"({"prompt":"hi "})",
                    R"({"prompt":"hi","max_tokens":5})",
                    R"({"messages":["a","b"]})",
                    R"({"messages":["ab"]})",
                    R"({"messages":[["a"],"b"]})",
                    R"({"a":"b","c":"d"})",
                    R"({"a":{"b":"c"},"d":1})",
                    R"({"a":{"b":"c","d":1}})",
                    R"({"a":null})",
                    R"({"a":false})",
                    R"({"a":0.5})",
                    R"({"a":1})",
                    R"({"a":"1"})",
                    R"({"a":[1,23]})",
                    R"({"a":[12,3]})",
                    R"({"a":1e300})",
                    R"({"a":1e299})"};
  for (const char* inputs : all) seeds.insert(seed(inputs));
  EXPECT_EQ(seeds.size(), all.size());
  seeds.insert(seed(R"({"prompt":"hi"})", 8));
  seeds.insert(seed(R"({"prompt":"hi"})", 7, "@cf/a/c"));
  EXPECT_EQ(seeds.size(), all.size() + 2);
}

class RehearsalTest : public testing::Test {
 protected:
  catalog::Catalog catalog = catalog::Catalog::load();
};

TEST_F(RehearsalTest, SeedsOnlyWhatHasNone) {
  const Rehearsal with(object(R"({"seed":7})"), catalog);
  const Rehearsal without({}, catalog);
  json::object inputs = object(R"({"prompt":"hi","seed":3})");
  with.seed("@cf/a/b", inputs);
  EXPECT_EQ(inputs.at("seed"), 3);
  inputs = object(R"({"prompt":"hi","seed":null})");
  with.seed("@cf/a/b", inputs);
  EXPECT_EQ(inputs.at("seed").to_number<std::uint64_t>(), seed(R"({"prompt":"hi"})"));
  inputs = object(R"({"prompt":"hi"})");
  without.seed("@cf/a/b", inputs);
  EXPECT_FALSE(inputs.contains("seed"));
}

TEST_F(RehearsalTest, ListsItsCallsUpToABound) {
  Rehearsal r(object(R"({"list_calls":true})"), catalog);
  for (std::size_t i = 0; i < Rehearsal::kMostCalls + 5; i++) {
    r.record({{"prompt_tokens", 2}, {"completion_tokens", 3}, {"neurons", 0.5}, {"n", i}});
  }
  const auto calls = r.calls();
  EXPECT_EQ(calls.at("count").to_number<std::size_t>(), Rehearsal::kMostCalls + 5);
  EXPECT_EQ(calls.at("calls").as_array().size(), Rehearsal::kMostCalls);
  EXPECT_EQ(calls.at("calls").as_array()[0].at("n").to_number<int>(), 5);
  EXPECT_EQ(calls.at("neurons").to_number<double>(), 0.5 * static_cast<double>(Rehearsal::kMostCalls + 5));
  r.reset();
  EXPECT_EQ(r.calls().at("count"), 0);

  Rehearsal quiet({}, catalog);
  quiet.record({{"neurons", 1.0}});
  EXPECT_EQ(quiet.calls().at("count"), 0) << "nobody asked for a list";
}

TEST_F(RehearsalTest, WhatCannotBeIsRefused) {
  for (const char* body : {R"({"seed":-1})", R"({"seed":1.5})", R"({"seed":"x"})", R"({"list_calls":1})",
                           R"({"faults":3})", R"({"faults":[{}]})"}) {
    EXPECT_THROW(Rehearsal(object(body), catalog), Error) << body;
  }
}

}  // namespace
}  // namespace glia::api
