#include "catalog/schema.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace glia::catalog {
namespace {

std::string check(std::string_view schema, std::string_view value) {
  const Schema s(parse_json(schema).as_object());
  auto v = parse_json(value);
  const auto violation = s.check(v);
  return violation ? describe(*violation) : "fine";
}

TEST(Schema, NamesTheTypeThatWasWanted) {
  constexpr std::string_view kSchema =
      R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":["string","null"]},
    "c":{"type":["string","array"],"x-expected":"a word or words","items":{"type":"boolean"}}}})";
  EXPECT_EQ(check(kSchema, R"({"a":"1"})"), "a: must be an integer");
  EXPECT_EQ(check(kSchema, R"({"a":1.5})"), "a: must be an integer");
  EXPECT_EQ(check(kSchema, R"({"a":null})"), "a: must be an integer");
  EXPECT_EQ(check(kSchema, R"({"b":null})"), "fine");
  EXPECT_EQ(check(kSchema, R"({"b":{}})"), "b: must be a string");
  EXPECT_EQ(check(kSchema, R"({"c":4})"), "c: must be a word or words");
  EXPECT_EQ(check(kSchema, R"({"c":[true,0]})"), "c[1]: must be a boolean");
  EXPECT_EQ(check(kSchema, R"([])"), "must be an object");
}

TEST(Schema, HoldsBoundsAtBothEnds) {
  constexpr std::string_view kSchema = R"({"properties":{"n":{"type":"number","minimum":0,"maximum":0.5},
    "i":{"type":"integer","minimum":1},"m":{"maximum":7},"s":{"type":"string","minLength":2,"maxLength":3},
    "l":{"type":"array","minItems":1,"maxItems":2}}})";
  EXPECT_EQ(check(kSchema, R"({"n":0})"), "fine");
  EXPECT_EQ(check(kSchema, R"({"n":0.5})"), "fine");
  EXPECT_EQ(check(kSchema, R"({"n":-1e-9})"), "n: must be between 0 and 5E-1");
  EXPECT_EQ(check(kSchema, R"({"i":0})"), "i: must be at least 1");
  EXPECT_EQ(check(kSchema, R"({"i":18446744073709551615})"), "fine");
  EXPECT_EQ(check(kSchema, R"({"m":8})"), "m: must be at most 7");
  EXPECT_EQ(check(kSchema, R"({"s":"a"})"), "s: must have at least 2 characters");
  EXPECT_EQ(check(kSchema, R"({"s":"äöü"})"), "fine") << "characters, not bytes";
  EXPECT_EQ(check(kSchema, R"({"s":"abcd"})"), "s: must have at most 3 characters (it has 4)");
  EXPECT_EQ(check(kSchema, R"({"l":[]})"), "l: must have at least 1 item");
  EXPECT_EQ(check(kSchema, R"({"l":[1,2,3]})"), "l: must have at most 2 items (it has 3)");
}

TEST(Schema, ExplainsAlternativesByTheOneThatWasMeant) {
  constexpr std::string_view kSchema = R"({"type":"object","properties":{"kind":{"enum":["a","b"]}},"anyOf":[
    {"properties":{"kind":{"enum":["a"]}},"required":["x"]},
    {"properties":{"kind":{"enum":["b"]},"y":{"properties":{"z":{"type":"string"}}}},"required":["y"]}]})";
  EXPECT_EQ(check(kSchema, R"({"kind":"a"})"), "x: is required");
  EXPECT_EQ(check(kSchema, R"({"kind":"b"})"), "y: is required");
  EXPECT_EQ(check(kSchema, R"({"kind":"b","y":{"z":1}})"), "y.z: must be a string");
  EXPECT_EQ(check(kSchema, R"({"kind":"c"})"), R"(kind: must be "a" or "b")");
  EXPECT_EQ(check(kSchema, R"({"kind":"b","y":{}})"), "fine");
  constexpr std::string_view kOne = R"({"oneOf":[{"required":["p"]},{"required":["q","r"]}]})";
  EXPECT_EQ(check(kOne, "{}"), "one of p and q and r is required");
  EXPECT_EQ(check(kOne, R"({"p":1,"q":1,"r":1})"), "only one of p and q and r may be given");
  EXPECT_EQ(check(kOne, R"({"p":1,"q":1})"), "fine");
  EXPECT_EQ(check(R"({"oneOf":[{"type":"number"},{"type":"integer"}]})", "1"),
            "matches more than one of its alternatives");
}

TEST(Schema, FillsDefaultsAndNormalisesIntegers) {
  const Schema s(parse_json(R"({"type":"object","properties":{"n":{"type":"integer","default":256},"o":{"type":"object",
    "properties":{"t":{"type":"number","default":0.5}}},"u":{"type":"string"}}})")
                     .as_object());
  auto v = parse_json(R"({"o":{},"extra":1,"more":[]})");
  EXPECT_FALSE(s.check(v));
  EXPECT_EQ(json::serialize(v), R"({"o":{"t":5E-1},"extra":1,"more":[],"n":256})");
  EXPECT_EQ(s.unused(v.as_object()), (std::vector<std::string>{"extra", "more"}));
  auto whole = parse_json(R"({"n":3.0})");
  EXPECT_FALSE(s.check(whole));
  EXPECT_TRUE(whole.at("n").is_int64());
}

TEST(Schema, ChecksPropertiesOfAnyName) {
  constexpr std::string_view kSchema = R"({"type":"object","properties":{"q":{"type":"object","minProperties":1,
    "maxProperties":2,"properties":{"k":{"type":"string"}},"additionalProperties":{"type":"integer"}}}})";
  EXPECT_EQ(check(kSchema, R"({"q":{"k":"x","a":1}})"), "fine");
  EXPECT_EQ(check(kSchema, R"({"q":{}})"), "q: must have at least 1 member");
  EXPECT_EQ(check(kSchema, R"({"q":{"a":1,"b":2,"c":3}})"), "q: must have at most 2 members (it has 3)");
  EXPECT_EQ(check(kSchema, R"({"q":{"a":"x"}})"), "q.a: must be an integer");
  const auto long_name =
      check(kSchema, R"({"q":{")" + std::string(99, 'n') + "ä" + std::string(10000, 'n') + R"(":[]}})");
  EXPECT_EQ(long_name, "q." + std::string(99, 'n') + ": must be an integer")
      << "cut before the character that is too much";
}

TEST(Schema, TellsWhatNobodyActsOn) {
  const Schema s(parse_json(R"({"properties":{"a":{},"b":{"type":"integer","x-ignored":true}}})").as_object());
  EXPECT_EQ(s.unused(parse_json(R"({"c":1,"b":1,"a":1})").as_object()), (std::vector<std::string>{"c", "b"}));
  EXPECT_EQ(s.unused(parse_json(R"({"b":null,"c":null})").as_object()), (std::vector<std::string>{"c"}));
  EXPECT_TRUE(s.names("b"));
  EXPECT_FALSE(s.names("c"));
  auto wrong = parse_json(R"({"b":"x"})");
  EXPECT_EQ(describe(*s.check(wrong)), "b: must be an integer") << "checked all the same";
}

TEST(Schema, RefusesKeywordsThatNobodyWouldCheck) {
  for (const auto* bad : {R"({"pattern":"a"})", R"({"type":"strnig"})", R"({"minimum":"1"})", R"({"properties":[]})"}) {
    EXPECT_THROW(Schema(parse_json(bad).as_object()), Error) << bad;
  }
}

}  // namespace
}  // namespace glia::catalog
