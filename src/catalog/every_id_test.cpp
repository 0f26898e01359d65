// For each id: the examples are taken, and each field out of range is refused by its path.
#include <gtest/gtest.h>

#include <algorithm>

#include "catalog/catalog.h"
#include "catalog/out_of_range.h"

namespace glia::catalog {
namespace {

const Catalog& catalog() {
  static const Catalog kCatalog = Catalog::load();
  return kCatalog;
}

std::string name_of(const testing::TestParamInfo<ModelEntry>& info) {
  std::string name = info.param.id;
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

std::string check(const ModelEntry& entry, json::object input) {
  std::vector<std::string> unused;
  const auto violation = catalog().validate(entry, input, unused);
  return violation ? describe(*violation) : "fine";
}

class EveryId : public testing::TestWithParam<ModelEntry> {};

TEST_P(EveryId, TakesItsExamples) {
  const auto& examples = catalog().examples(GetParam());
  ASSERT_FALSE(examples.empty());
  for (const auto& example : examples) {
    EXPECT_EQ(check(GetParam(), example.as_object()), "fine") << json::serialize(example);
    auto input = example.as_object();
    std::vector<std::string> unused;
    ASSERT_FALSE(catalog().validate(GetParam(), input, unused));
    for (const auto& name : unused) EXPECT_TRUE(catalog().knows(GetParam(), name)) << name << " is in no schema";
  }
}

TEST_P(EveryId, RefusesEachFieldOutOfRangeByItsPath) {
  const auto& example = catalog().examples(GetParam()).at(0).as_object();
  const auto& schema = catalog().input_schema(GetParam()).as_object();
  std::size_t tried = 0;
  for (const auto& bad : out_of_range(schema, example)) {
    EXPECT_EQ(check(GetParam(), bad.input).find(bad.path + ": "), 0U)
        << bad.path << " " << bad.why << ": " << check(GetParam(), bad.input);
    ++tried;
  }
  EXPECT_GT(tried, schema.at("properties").as_object().size() / 2);
}

TEST_P(EveryId, RefusesAnInputWithoutWhatItNeeds) {
  if (GetParam().kind == "Image-to-Text by skills" || GetParam().schema == "text-embeddings-qwen3") {
    EXPECT_EQ(check(GetParam(), {}), "fine") << "the published schema requires nothing";
    return;
  }
  EXPECT_NE(check(GetParam(), {}), "fine");
}

INSTANTIATE_TEST_SUITE_P(Catalog, EveryId, testing::ValuesIn(catalog().models()), name_of);

}  // namespace
}  // namespace glia::catalog
