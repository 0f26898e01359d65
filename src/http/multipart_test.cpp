#include "http/multipart.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace glia::http {
namespace {

std::string refusal(std::string_view body, const FormLimits& limits = {}) {
  try {
    parse_form(body, "b", limits);
  } catch (const Error& error) {
    return error.detail();
  }
  return "accepted";
}

std::string part(std::string_view headers, std::string_view data) {
  return "--b\r\n" + std::string(headers) + "\r\n\r\n" + std::string(data) + "\r\n";
}

constexpr std::string_view kX = "Content-Disposition: form-data; name=\"x\"";

TEST(FormBoundary, OfAForm) {
  EXPECT_EQ(form_boundary("multipart/form-data; boundary=abc"), "abc");
  EXPECT_EQ(form_boundary("Multipart/Form-Data;charset=utf-8; Boundary=\"a b:c\""), "a b:c");
  for (const char* none : {"multipart/form-data", "multipart/mixed; boundary=a", "multipart/form-data; boundary=",
                           "multipart/form-data; boundary=\"a", "multipart/form-data; boundary=\"a\tb\"",
                           "multipart/form-data; boundary=\"a \"", "application/json", ""}) {
    EXPECT_FALSE(form_boundary(none)) << none;
  }
  EXPECT_FALSE(form_boundary("multipart/form-data; boundary=" + std::string(71, 'a')));
}

TEST(Form, PartsWithWhatTheyHold) {
  const std::string body =
      "a preamble\r\n" + part(kX, "one\r\ntwo") +
      part("content-disposition: form-data; name=\"file\"; filename=\"a \\\"b\\\".png\"\r\nContent-Type: Image/PNG",
           std::string_view("\0\x89--b\r\n--bc\r\n", 13)) +
      part("Content-Disposition: form-data; name=plain", "") + "--b--\r\nan epilogue";
  const auto parts = parse_form(body, "b");
  ASSERT_EQ(parts.size(), 3u);
  EXPECT_EQ(parts[0].name, "x");
  EXPECT_EQ(parts[0].data, "one\r\ntwo");
  EXPECT_FALSE(parts[0].filename);
  EXPECT_EQ(parts[1].filename, "a \"b\".png");
  EXPECT_EQ(parts[1].content_type, "image/png");
  EXPECT_EQ(parts[1].data, std::string_view("\0\x89--b\r\n--bc\r\n", 13)) << "a longer line is no boundary";
  EXPECT_EQ(parts[2].name, "plain");
  EXPECT_EQ(parts[2].data, "");
}

TEST(Form, EmptyOnes) {
  EXPECT_TRUE(parse_form("--b--", "b").empty());
  const auto parts = parse_form("--b \t\r\n" + std::string(kX) + "\r\n\r\n--b--", "b");
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_EQ(parts[0].data, "");
}

TEST(Form, EveryCutIsRefused) {
  const std::string body = part(kX, "one") + part(kX, "two") + "--b--";
  for (std::size_t n = 0; n < body.size(); n++) {
    EXPECT_NE(refusal(std::string_view(body).substr(0, n)), "accepted") << n;
  }
  EXPECT_EQ(refusal(body), "accepted");
}

TEST(Form, RefusesWhatIsNone) {
  EXPECT_EQ(refusal("no boundary at all"), "the form ends before its last boundary");
  EXPECT_EQ(refusal(part("Content-Type: text/plain", "x") + "--b--"), "a part of the form has no name");
  EXPECT_EQ(refusal(part("no header", "x") + "--b--"), "a header of a part is not NAME: VALUE");
  EXPECT_EQ(refusal(part("Content-Disposition: attachment; name=\"x\"", "x") + "--b--"),
            "a part of the form is not form-data");
  EXPECT_EQ(refusal(part("Content-Disposition: form-data; name=\"x", "x") + "--b--"),
            "the header content-disposition of a part is malformed");
  EXPECT_EQ(refusal(part("Content-Disposition: form-data; name=\"x\"; name=\"y\"", "x") + "--b--"),
            "a part of the form has two names");
  EXPECT_EQ(refusal(part("Content-Disposition: form-data; name=\"\xFF\"", "x") + "--b--"),
            "a name in the form is not UTF-8");
  EXPECT_EQ(refusal(part(std::string(kX) + "\r\nContent-Transfer-Encoding: base64", "x") + "--b--"),
            "a part of the form has a transfer encoding; parts are sent as they are");
}

TEST(Form, KeepsItsLimits) {
  FormLimits limits;
  limits.max_parts = 2;
  limits.max_part_header_bytes = 60;
  EXPECT_EQ(refusal(part(kX, "") + part(kX, "") + "--b--", limits), "accepted");
  EXPECT_EQ(refusal(part(kX, "") + part(kX, "") + part(kX, "") + "--b--", limits), "the form has more than 2 parts");
  const std::string long_header = std::string(kX) + "\r\nX: " + std::string(60, 'y');
  EXPECT_EQ(refusal(part(long_header, "") + "--b--", limits), "the headers of a part are too long");
}

}  // namespace
}  // namespace glia::http
