#include "http/chunked_body.h"

#include <gtest/gtest.h>

namespace glia::http {
namespace {

constexpr std::size_t kPlenty = 1 << 20;

TEST(ChunkedBody, ReadsTheSameFromPiecesOfEverySize) {
  const std::string text = "5;a=\"b\"\r\nhello\r\n0A\r\n, my world\r\n0;x\r\nX: 1\r\nY:\r\n\r\nnext";
  const std::size_t end = text.size() - 4;
  for (std::size_t piece = 1; piece <= text.size(); piece++) {
    ChunkedBody body;
    std::string out;
    std::size_t used = 0;
    for (std::size_t at = 0; at < text.size() && !body.done(); at += piece) {
      used += body.feed(std::string_view(text).substr(at, piece), kPlenty, out);
    }
    EXPECT_TRUE(body.done()) << piece << body.problem();
    EXPECT_EQ(out, "hello, my world") << piece;
    EXPECT_EQ(used, end) << piece;
  }
}

TEST(ChunkedBody, StopsWhenTheRoomIsUsedUp) {
  ChunkedBody body;
  std::string out;
  EXPECT_EQ(body.feed("8\r\nabcdefgh\r\n", 3, out), 6u);
  EXPECT_EQ(out, "abc");
  EXPECT_EQ(body.feed("defgh\r\n0\r\n\r\n", kPlenty, out), 12u);
  EXPECT_EQ(out, "abcdefgh");
  EXPECT_TRUE(body.done());
}

TEST(ChunkedBody, RefusesWhatIsNotTheCoding) {
  for (const std::string& text : {std::string("\r\n"),
                                  std::string("g\r\n"),
                                  std::string("-1\r\n"),
                                  std::string("+1\r\n"),
                                  std::string("0x1\r\n"),
                                  std::string(" 1\r\n"),
                                  std::string("1 \r\n"),
                                  std::string("1 ;a\r\n"),
                                  std::string("1\n"),
                                  std::string("1\ra"),
                                  std::string("1000000000000000\r\n"),
                                  std::string("ffffffffffffffff\r\n"),
                                  std::string("1\r\nab\r\n"),
                                  std::string("1\r\na\n"),
                                  std::string("1\r\na\rx"),
                                  std::string("1;a\x01\r\n"),
                                  std::string("0\r\nbad trailer\r\n"),
                                  std::string("0\r\n folded: 1\r\n"),
                                  std::string("0\r\n: x\r\n"),
                                  "1;" + std::string(5000, 'x'),
                                  "0\r\nA: " + std::string(5000, 'x'),
                                  [] {
                                    std::string many = "0\r\n";
                                    for (int i = 0; i < 2000; i++) many += "a: b\r\n";
                                    return many;
                                  }()}) {
    ChunkedBody body;
    std::string out;
    body.feed(text, kPlenty, out);
    EXPECT_FALSE(body.problem().empty()) << text.substr(0, 40);
    EXPECT_FALSE(body.done());
    EXPECT_EQ(body.feed("0\r\n\r\n", kPlenty, out), 0u) << "takes nothing more";
  }
}

}  // namespace
}  // namespace glia::http
