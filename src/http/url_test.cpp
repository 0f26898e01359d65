#include "http/url.h"

#include <gtest/gtest.h>

#include "http/answer_head.h"

namespace glia::http {
namespace {

TEST(Url, DecodesAndEncodes) {
  EXPECT_EQ(percent_decode("a%2Fb+c"), "a/b+c");
  EXPECT_EQ(percent_decode("a%2fb+c", true), "a/b c");
  EXPECT_EQ(percent_decode("%"), std::nullopt);
  EXPECT_EQ(percent_decode("%4"), std::nullopt);
  EXPECT_EQ(percent_decode("%00"), std::nullopt);
  EXPECT_EQ(percent_encode("@cf/a b~"), "%40cf%2Fa%20b~");
}

TEST(Url, ReadsQueriesInOrder) {
  const auto query = parse_query("a=1&&b&c=%26%3D&a=2");
  ASSERT_TRUE(query);
  ASSERT_EQ(query->size(), 4u);
  EXPECT_EQ((*query)[1].first, "b");
  EXPECT_EQ((*query)[1].second, "");
  EXPECT_EQ((*query)[2].second, "&=");
  EXPECT_EQ((*query)[3].second, "2");
  EXPECT_FALSE(parse_query("a=%"));
}

TEST(Url, ReadsEveryFormOfTarget) {
  EXPECT_EQ(parse_target("/a/%40cf%2Fx?q=1#f")->path, "/a/@cf/x");
  EXPECT_EQ(parse_target("http://h:1?x=1")->path, "/");
  EXPECT_EQ(parse_target("http://h:1/p")->authority, "h:1");
  EXPECT_EQ(parse_target("*")->path, "*");
  EXPECT_FALSE(parse_target("/%FF"));
  EXPECT_FALSE(parse_target("/?a=%C3"));
  EXPECT_EQ(parse_target("/%C3%A9")->path, "/\xC3\xA9");
  EXPECT_FALSE(parse_target("relative"));
  EXPECT_FALSE(parse_target("ftp://h/"));
  EXPECT_FALSE(parse_target("http:///p"));
}

TEST(AnswerHead, CannotBeBrokenOutOf) {
  AnswerHead head;
  head.status = 200;
  head.framing = BodyFraming::length;
  head.length = 3;
  head.unix_s = 1795525357;
  const std::string text =
      format_head(head, {{"x-note", "a\r\nset-cookie: b\0"}, {"bad name", "x"}, {"Connection", "y"}});
  EXPECT_EQ(text,
            "HTTP/1.1 200 OK\r\nx-note: a  set-cookie: b\r\ndate: Tue, 24 Nov 2026 13:02:37 GMT\r\n"
            "content-length: 3\r\n\r\n");
}

TEST(AnswerHead, ChunksAreNeverEmpty) {
  std::string out;
  append_chunk(out, "");
  EXPECT_EQ(out, "");
  append_chunk(out, std::string(17, 'a'));
  EXPECT_EQ(out, "11\r\naaaaaaaaaaaaaaaaa\r\n");
}

}  // namespace
}  // namespace glia::http
