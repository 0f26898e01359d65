#include "vectorize/filter.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace glia::vectorize {
namespace {

Filter parsed(std::string_view text) { return parse_filter(parse_json(text), Limits()); }

std::string refusal(std::string_view text) {
  try {
    parsed(text);
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::vectorize_query_json);
    return e.message();
  }
  return "accepted";
}

bool holds(std::string_view filter, const Value& value) {
  const Filter f = parsed(filter);
  for (const Condition& c : f.conditions) {
    if (!meets(c, value)) return false;
  }
  return true;
}

const Value kNull;
Value text(std::string_view t) { return std::string(t); }

TEST(Filter, EveryOperator) {
  EXPECT_TRUE(holds(R"({"a":"x"})", text("x")));
  EXPECT_FALSE(holds(R"({"a":"x"})", text("y")));
  EXPECT_FALSE(holds(R"({"a":"x"})", kNull));
  EXPECT_TRUE(holds(R"({"a":{"$eq":true}})", true));
  EXPECT_TRUE(holds(R"({"a":{"$ne":1}})", 2.0));
  EXPECT_TRUE(holds(R"({"a":{"$ne":1}})", kNull));
  EXPECT_FALSE(holds(R"({"a":{"$ne":1}})", 1.0));
  EXPECT_TRUE(holds(R"({"a":{"$in":["x",2]}})", 2.0));
  EXPECT_FALSE(holds(R"({"a":{"$in":[]}})", 2.0));
  EXPECT_FALSE(holds(R"({"a":{"$nin":["x",2]}})", text("x")));
  EXPECT_TRUE(holds(R"({"a":{"$nin":["x",2]}})", text("z")));
  EXPECT_TRUE(holds(R"({"a":{"$lt":2}})", 1.5));
  EXPECT_FALSE(holds(R"({"a":{"$lt":2}})", 2.0));
  EXPECT_TRUE(holds(R"({"a":{"$lte":2}})", 2.0));
  EXPECT_TRUE(holds(R"({"a":{"$gt":"a"}})", text("b")));
  EXPECT_TRUE(holds(R"({"a":{"$gte":"net","$lt":"neu"}})", text("netflix")));
  EXPECT_FALSE(holds(R"({"a":{"$gte":"net","$lt":"neu"}})", text("neu")));
  EXPECT_FALSE(holds(R"({"a":{"$gt":1}})", text("2"))) << "of another kind";
  EXPECT_FALSE(holds(R"({"a":{"$gt":1}})", kNull));
  EXPECT_TRUE(holds(R"({"a":null})", kNull));
  EXPECT_FALSE(holds(R"({"a":null})", 1.0));
}

TEST(Filter, StringsCountAsAnIndexKeepsThem) {
  const std::string longer(64, 'a');
  EXPECT_EQ(indexed_part(longer + "b"), longer);
  EXPECT_EQ(indexed_part(std::string(63, 'a') + "\xC3\xA4"), std::string(63, 'a')) << "not within a character";
  EXPECT_TRUE(holds(R"({"a":")" + longer + R"(zzz"})", longer));
}

TEST(Filter, WhatIsRefusedIsNamed) {
  EXPECT_NE(refusal("{}").find("must not be empty"), std::string::npos);
  EXPECT_NE(refusal("[]").find("an object is expected"), std::string::npos);
  EXPECT_NE(refusal(R"({"a":{"$regex":"x"}})").find("unknown operator `$regex`"), std::string::npos);
  EXPECT_NE(refusal(R"({"":1})").find("a key is empty"), std::string::npos);
  EXPECT_NE(refusal(R"({"$a":1})").find("must not start with `$`"), std::string::npos);
  EXPECT_NE(refusal(R"({"a|b":1})").find("must not hold"), std::string::npos);
  EXPECT_NE(refusal(R"({"a\"b":1})").find("must not hold"), std::string::npos);
  EXPECT_NE(refusal(R"({"a..b":1})").find("empty part"), std::string::npos);
  EXPECT_NE(refusal("{\"" + std::string(513, 'k') + "\":1}").find("longer than 512"), std::string::npos);
  EXPECT_NE(refusal(R"({"a":[1]})").find("must be a string"), std::string::npos);
  EXPECT_NE(refusal(R"({"a":{}})").find("no operator"), std::string::npos);
  EXPECT_NE(refusal(R"({"a":{"$in":1}})").find("needs a list"), std::string::npos);
  EXPECT_NE(refusal(R"({"a":{"$lt":true}})").find("a string or a number"), std::string::npos);
  for (const char* both : {R"({"a":{"$lt":1,"$lte":2}})", R"({"a":{"$eq":1,"$gt":0}})", R"({"a":{"$eq":1,"$ne":2}})",
                           R"({"a":{"$gt":1,"$lt":5,"$gte":2}})"}) {
    EXPECT_NE(refusal(both).find("may stand together"), std::string::npos) << both;
  }
}

TEST(Filter, ItsBytesAreThoseOfCompactJson) {
  const std::string fits = "{\"a\":\"" + std::string(2047 - 8, 'x') + "\"}";
  EXPECT_EQ(fits.size(), 2047u);
  EXPECT_EQ(refusal(fits), "accepted");
  EXPECT_EQ(refusal("   " + fits + "  "), "accepted");
  const std::string over = "{\"a\":\"" + std::string(2048 - 8, 'x') + "\"}";
  EXPECT_NE(refusal(over).find("shorter than 2048 bytes, got 2048 bytes"), std::string::npos);
}

}  // namespace
}  // namespace glia::vectorize
