#include "base/error.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace glia {
namespace {

TEST(Error, CarriesCloudflaresCodeAndStatus) {
  const Error e(ErrorCode::invalid_input, "messages[0].role is missing");
  EXPECT_EQ(cloudflare_code(e.code()), 5006);
  EXPECT_EQ(http_status(e.code()), 400);
  EXPECT_STREQ(e.what(), "Invalid input: messages[0].role is missing");
  EXPECT_EQ(cloudflare_code(ErrorCode::quota_exceeded), 3036);
  EXPECT_EQ(http_status(ErrorCode::quota_exceeded), 429);
  EXPECT_EQ(error_name(ErrorCode::no_such_model), "no_such_model");
}

TEST(Error, CanBeWordedAsTheServiceDoes) {
  const Error error = Error::worded(ErrorCode::vectorize_query_vector, "invalid query vector, expected 3 dimensions");
  EXPECT_EQ(error.message(), "invalid query vector, expected 3 dimensions");
  EXPECT_EQ(error.detail(), error.message());
  EXPECT_STREQ(error.what(), error.message().c_str());
  EXPECT_EQ(cloudflare_code(error.code()), 40006);
}

std::string refusal(std::string_view text) {
  try {
    parse_json(text);
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::invalid_input);
    return e.detail();
  }
  return "accepted";
}

TEST(ParseJson, RefusesWhatIsNotOneSmallDocument) {
  EXPECT_EQ(parse_json(R"({"a":[1,2.5,"x"]})").at("a").as_array().size(), 3u);
  EXPECT_NE(refusal("{").find("not valid JSON"), std::string::npos);
  EXPECT_NE(refusal("{} x").find("not valid JSON"), std::string::npos);
  EXPECT_NE(refusal("\"\xFF\"").find("UTF-8 (byte 1)"), std::string::npos);
  EXPECT_NE(refusal(std::string(65, '[') + std::string(65, ']')).find("not valid JSON"), std::string::npos);
}

}  // namespace
}  // namespace glia
