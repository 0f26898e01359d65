// What @cloudflare/workers-types lets a Worker pass is taken: tests/workers_types/cases.json, made by cases.mjs beside
// it.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "catalog/catalog.h"

namespace glia::catalog {
namespace {

json::value read_cases() {
  std::ifstream in(std::string(GLIA_SOURCE_DIR) + "/tests/workers_types/cases.json");
  return parse_json(std::string(std::istreambuf_iterator<char>(in), {}));
}

std::string check(const Catalog& catalog, const ModelEntry& entry, const json::value& input) {
  if (input.is_string()) return entry.raw_body.empty() ? "no body of bytes is taken" : "fine";
  auto value = input.as_object();
  std::vector<std::string> unused;
  const auto violation = catalog.validate(entry, value, unused);
  return violation ? describe(*violation) : "fine";
}

TEST(WorkersTypes, AllThatTheyAllowIsTaken) {
  const auto catalog = Catalog::load();
  const auto file = read_cases();
  const auto& ids = file.at("ids").as_array();
  const auto& groups = file.at("groups").as_array();
  std::size_t taken = 0;
  for (const auto& c : file.at("cases").as_array()) {
    const auto& input = c.at("input");
    const auto* const refused = c.as_object().if_contains("refused");
    for (const auto& index : groups.at(c.at("of").to_number<std::size_t>()).as_array()) {
      const std::string id(ids.at(index.to_number<std::size_t>()).as_string());
      const auto* const entry = catalog.find(id);
      ASSERT_NE(entry, nullptr) << id << " is in the types and not in the catalogue";
      const auto said = check(catalog, *entry, input);
      if (refused == nullptr) {
        EXPECT_EQ(said, "fine") << id << " " << json::serialize(input);
        ++taken;
      } else {
        EXPECT_EQ(said.find(std::string_view(refused->as_string())), 0U)
            << id << " " << json::serialize(input) << ": " << said;
      }
    }
  }
  EXPECT_GT(ids.size(), 90U);
  EXPECT_GT(taken, 3000U);
}

}  // namespace
}  // namespace glia::catalog
