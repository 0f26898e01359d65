#include "http/websocket_frames.h"

#include <gtest/gtest.h>

#include <vector>

#include "http/websocket_client.h"

namespace glia::http {
namespace {

using Event = FrameReader::Event;

struct Seen {
  Event event;
  std::string payload;
  std::uint16_t code = 0;
  friend bool operator==(const Seen&, const Seen&) = default;
};

/// What a reader makes of bytes that arrive `step` at a time.
std::vector<Seen> read(std::string_view bytes, std::size_t step = 1, std::size_t most = 70000) {
  FrameReader reader(most);
  std::vector<Seen> seen;
  while (!bytes.empty()) {
    std::string_view piece = bytes.substr(0, step);
    bytes.remove_prefix(piece.size());
    while (!piece.empty()) {
      piece.remove_prefix(reader.feed(piece));
      if (reader.event() == Event::none) continue;
      seen.push_back({reader.event(), reader.payload(), reader.close_code()});
      if (reader.event() == Event::failed || reader.event() == Event::close) return seen;
    }
  }
  return seen;
}

std::uint16_t failure(std::string_view bytes) {
  const auto seen = read(bytes);
  return !seen.empty() && seen.back().event == Event::failed ? seen.back().code : std::uint16_t{0};
}

TEST(AcceptKey, IsTheStandardsOwnExample) {
  EXPECT_EQ(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(Frames, MessagesOfEveryLength) {
  for (const std::size_t n : {0u, 1u, 125u, 126u, 127u, 65535u, 65536u, 70000u}) {
    const std::string text(n, 'x');
    for (const std::size_t step : {1u, 3u, 100000u}) {
      const std::vector<Seen> expected{{Event::text, text}, {Event::binary, text}};
      EXPECT_EQ(read(client_frame(FrameKind::text, text) + client_frame(FrameKind::binary, text), step), expected) << n;
    }
  }
}

TEST(Frames, FragmentsWithControlFramesBetween) {
  const std::string bytes = client_frame(FrameKind::text, "h\xC3", false) + client_frame(FrameKind::ping, "p") +
                            client_frame(FrameKind::continuation, "\xA9", false) + client_frame(FrameKind::pong, "") +
                            client_frame(FrameKind::continuation, "!") +
                            client_frame(FrameKind::close,
                                         "\x03\xE8"
                                         "bye");
  const std::vector<Seen> expected{
      {Event::ping, "p"}, {Event::pong, ""}, {Event::text, "h\xC3\xA9!"}, {Event::close, "bye", 1000}};
  EXPECT_EQ(read(bytes), expected);
  EXPECT_EQ(read(bytes, bytes.size()), expected);
}

TEST(Frames, ACloseMayBeBare) {
  EXPECT_EQ(read(client_frame(FrameKind::close, "")), (std::vector<Seen>{{Event::close, "", 1005}}));
}

TEST(Frames, RefusesWhatIsNoFrame) {
  EXPECT_EQ(failure(frame(FrameKind::text, "unmasked")), 1002);
  EXPECT_EQ(failure("\xC1\x80"), 1002) << "a reserved bit";
  EXPECT_EQ(failure("\x83\x80"), 1002) << "an unknown opcode";
  EXPECT_EQ(failure("\x8B\x80"), 1002) << "an unknown control";
  EXPECT_EQ(failure("\x09\x80"), 1002) << "a fragmented ping";
  EXPECT_EQ(failure("\x89\xFE"), 1002) << "a long ping";
  EXPECT_EQ(failure(client_frame(FrameKind::continuation, "x")), 1002) << "nothing to continue";
  EXPECT_EQ(failure(client_frame(FrameKind::text, "a", false) + client_frame(FrameKind::text, "b")), 1002);
  EXPECT_EQ(failure(std::string("\x82\xFE\0\x05mask", 8)), 1002) << "a length longer than it need be";
  EXPECT_EQ(failure(std::string("\x82\xFF\0\0\0\0\0\0\xFF\xFFmask", 14)), 1002);
  EXPECT_EQ(failure(std::string("\x82\xFF\x80\0\0\0\0\0\0\0mask", 14)), 1002);
  EXPECT_EQ(failure(client_frame(FrameKind::close, "\x03")), 1002) << "half a code";
  EXPECT_EQ(failure(client_frame(FrameKind::close, "\x03\xED")), 1002) << "1005 is never sent";
  EXPECT_EQ(failure(client_frame(FrameKind::close, "\x03\xE8\xFF")), 1007);
  EXPECT_EQ(failure(client_frame(FrameKind::text, "\xFF")), 1007);
}

TEST(Frames, AMessageIsBoundBeforeItArrives) {
  EXPECT_EQ(failure(std::string("\x82\xFF\0\0\0\0\x7F\xFF\xFF\xFFmask", 14)), 1009);
  EXPECT_EQ(read(client_frame(FrameKind::binary, "1234567", false) + client_frame(FrameKind::continuation, "89"), 1, 8)
                .back()
                .code,
            1009);
  EXPECT_EQ(read(client_frame(FrameKind::binary, "1234567", false) + client_frame(FrameKind::continuation, "8"), 1, 8)
                .back()
                .payload,
            "12345678");
}

TEST(Frames, OursAreWholeAndUnmasked) {
  EXPECT_EQ(frame(FrameKind::text, "Hello"), "\x81\x05Hello");
  EXPECT_EQ(frame(FrameKind::binary, std::string(256, 'x')).substr(0, 4), std::string("\x82\x7E\x01\x00", 4));
  EXPECT_EQ(frame(FrameKind::binary, std::string(65536, 'x')).substr(0, 10),
            std::string("\x82\x7F\0\0\0\0\0\1\0\0", 10));
  EXPECT_EQ(close_frame(1001, "bye"),
            "\x88\x05\x03\xE9"
            "bye");
  const std::string cut = close_frame(1000, std::string(122, 'x') + "\xC3\xA9");
  EXPECT_EQ(cut.size(), 2u + 2u + 122u) << "cut before a character, not within";
}

}  // namespace
}  // namespace glia::http
