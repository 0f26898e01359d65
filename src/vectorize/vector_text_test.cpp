#include "vectorize/vector_text.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "vectorize/compact_json.h"

namespace glia::vectorize {
namespace {

VectorRules rules() { return {.kind = WriteKind::upsert, .dimensions = 3, .most_vectors = 1000, .limits = {}}; }

struct Refusal {
  int code = 0;
  std::string text;
};

Refusal refusal(std::string_view ndjson, const VectorRules& r = rules()) {
  try {
    parse_ndjson(ndjson, r);
  } catch (const Error& e) {
    return {cloudflare_code(e.code()), e.message()};
  }
  return {0, "accepted"};
}

TEST(VectorText, LinesBecomeVectors) {
  const auto parsed = parse_ndjson(
      "{\"id\":\"1\",\"values\":[1,2.5,-3e-2],\"namespace\":\"n\",\"metadata\":{\"a\": 1.0, \"b\":[\"x\"]}}\r\n\n"
      "{\"values\":[0,0,0],\"id\":\"ü\",\"note\":1,\"namespace\":null,\"metadata\":{}}\n",
      rules());
  ASSERT_EQ(parsed.vectors.size(), 2u);
  EXPECT_EQ(parsed.vectors[0].values, (std::vector<float>{1, 2.5F, -0.03F}));
  EXPECT_EQ(parsed.vectors[0].ns, "n");
  EXPECT_EQ(parsed.vectors[0].metadata, R"({"a":1,"b":["x"]})");
  EXPECT_EQ(parsed.vectors[1].id, "ü");
  EXPECT_FALSE(parsed.vectors[1].ns);
  EXPECT_EQ(parsed.vectors[1].metadata, "");
  EXPECT_EQ(parsed.unknown_fields, std::vector<std::string>{"note"});
}

TEST(VectorText, LimitsAreTheServicesInItsWords) {
  const std::string id65(65, 'i');
  EXPECT_EQ(refusal(R"({"id":")" + id65 + R"(","values":[1,2,3]})").text, "id too long; max is 64 bytes, got 65 bytes");
  EXPECT_EQ(refusal(R"({"id":")" + id65 + R"(","values":[1,2,3]})").code, 40008);
  EXPECT_EQ(refusal(R"({"id":"a","values":[1,2]})").text,
            "invalid vector for id=\"a\", expected 3 dimensions, and got 2 dimensions");
  EXPECT_EQ(refusal(R"({"id":"a","values":[1,2]})").code, 40012);
  EXPECT_EQ(refusal(R"({"id":"a","values":[1,2,1e39]})").code, 40012);
  EXPECT_EQ(refusal(R"({"id":"a","values":[1,2,NaN]})").code, 40023);
  EXPECT_EQ(refusal(R"({"id":"a","values":[1,2,null]})").code, 40023);
  const std::string big = R"({"id":"a","values":[1,2,3],"metadata":{"t":")" + std::string(11 << 10, 'x') + "\"}}";
  EXPECT_EQ(refusal(big).code, 40016);
  EXPECT_EQ(refusal(big).text,
            "oversized metadata for vector id=\"a\"; the compact JSON representation of the metadata must not exceed "
            "10240 bytes, got 11272 bytes");
  EXPECT_EQ(refusal(R"({"id":"a","values":[1,2,3],"namespace":")" + id65 + "\"}").code, 40009);
  EXPECT_EQ(refusal(R"({"id":"a","values":[1,2,3],"metadata":{"a.b":1}})").code, 40012);
  EXPECT_EQ(refusal(R"({"id":"a","values":[1,2,3],"metadata":[]})").code, 40023);
  auto few = rules();
  few.most_vectors = 1;
  const std::string two = "{\"id\":\"a\",\"values\":[1,2,3]}\n{\"id\":\"b\",\"values\":[1,2,3]}";
  EXPECT_EQ(refusal(two, few).text, "too many vectors in payload; max is 1, got 2");
}

TEST(VectorText, ABrokenLineIsNamedOrDiscarded) {
  const std::string lines = "{\"id\":\"a\",\"values\":[1,2,3]}\n{\"id\":\"b\",\n{\"id\":\"c\",\"values\":[1,2,3]}";
  const auto refused = refusal(lines);
  EXPECT_EQ(refused.code, 40023);
  EXPECT_TRUE(refused.text.starts_with("failed to parse upsert vectors request in json format: line 2: "))
      << refused.text;
  auto lenient = rules();
  lenient.discard_unparsable = true;
  const auto parsed = parse_ndjson(lines, lenient);
  EXPECT_EQ(parsed.vectors.size(), 2u);
  EXPECT_EQ(parsed.discarded, 1u);
  EXPECT_EQ(refusal(R"({"id":"a","values":[1]})", lenient).code, 40012) << "parsable, and wrong";
  EXPECT_EQ(refusal("").code, 40023);
  EXPECT_EQ(refusal("\n \n").code, 40023);
  EXPECT_EQ(refusal("\"\xFF\"").code, 40023);
}

TEST(VectorText, TheFirstVectorMaySetTheDimensions) {
  auto open = rules();
  open.dimensions = 0;
  EXPECT_EQ(parse_ndjson(R"({"id":"a","values":[1,2]})", open).vectors[0].values.size(), 2u);
  EXPECT_EQ(refusal("{\"id\":\"a\",\"values\":[1,2]}\n{\"id\":\"b\",\"values\":[1]}", open).code, 40012);
}

TEST(VectorText, TheObjectFormOfTheFirstVersion) {
  EXPECT_EQ(parse_vectors_object(R"({"vectors":[{"id":"a","values":[1,2,3]}]})", rules()).vectors.size(), 1u);
  EXPECT_THROW(parse_vectors_object(R"({"vectors":{}})", rules()), Error);
  EXPECT_THROW(parse_vectors_object("[]", rules()), Error);
}

TEST(VectorText, QueryVectors) {
  EXPECT_EQ(parse_query_values(parse_json("[1,2,3]"), 3).size(), 3u);
  try {
    parse_query_values(parse_json("[1,2]"), 3);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.message(), "invalid query vector, expected 3 dimensions, and got 2 dimensions");
    EXPECT_EQ(cloudflare_code(e.code()), 40006);
  }
  EXPECT_THROW(parse_query_values(parse_json("[[1,2,3]]"), 0), Error);
  EXPECT_THROW(parse_query_values(parse_json("[1,2,1e300]"), 3), Error);
}

TEST(CompactJson, IsWhatJavaScriptWrites) {
  for (const char* text : {R"({"a":1,"b":0.5,"c":-2,"d":[],"e":{},"f":null,"g":true,"h":"x\"\\\n\u0001ü"})", "1e+21",
                           "9007199254740991", "-0.25"}) {
    EXPECT_EQ(compact_json(parse_json(text)), text);
  }
  EXPECT_EQ(compact_json(parse_json("1.0")), "1");
  std::string out;
  write_number(out, static_cast<double>(58.8F));
  EXPECT_EQ(out, "58.79999923706055");
}

}  // namespace
}  // namespace glia::vectorize
