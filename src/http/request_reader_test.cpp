#include "http/request_reader.h"

#include <gtest/gtest.h>

#include <random>

namespace glia::http {
namespace {

using State = RequestReader::State;

constexpr std::string_view kLength =
    "POST /run?version=3&userInputs=%7B%22a%22%3A1%7D HTTP/1.1\r\n"
    "Host: workers-binding.ai\r\n"
    "CF-Consn-Model-Id:  @cf/meta/llama \t\r\n"
    "Content-Length: 11\r\n"
    "\r\n"
    "hello world";

constexpr std::string_view kChunked =
    "POST /a%20b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    "5;name=value\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\nX-Trailer: 1\r\n\r\n";

/// Feeds pieces cut at the given sizes; what one feed leaves is offered again with the next piece.
std::size_t feed(RequestReader& reader, std::string_view bytes, std::size_t piece) {
  std::string waiting;
  std::size_t used = 0;
  while (!bytes.empty() && reader.state() != State::done && reader.state() != State::refused) {
    waiting += bytes.substr(0, piece);
    bytes.remove_prefix(std::min(piece, bytes.size()));
    const std::size_t n = reader.feed(waiting);
    waiting.erase(0, n);
    used += n;
  }
  return used;
}

TEST(RequestReader, ReadsTheSameFromPiecesOfEverySize) {
  for (const std::string_view text : {kLength, kChunked}) {
    for (std::size_t piece = 1; piece <= text.size(); piece++) {
      RequestReader reader({});
      ASSERT_EQ(feed(reader, text, piece), text.size()) << piece;
      ASSERT_EQ(reader.state(), State::done) << piece << reader.refusal().reason;
      EXPECT_EQ(reader.request().body, "hello world") << piece;
      EXPECT_TRUE(reader.keep_alive());
    }
  }
}

TEST(RequestReader, ReadsTheSameFromTwoPartsCutAnywhere) {
  for (const std::string_view text : {kLength, kChunked}) {
    for (std::size_t cut = 1; cut < text.size(); cut++) {
      RequestReader reader({});
      std::string waiting(text.substr(0, cut));
      waiting.erase(0, reader.feed(waiting));
      waiting += text.substr(cut);
      reader.feed(waiting);
      ASSERT_EQ(reader.state(), State::done) << cut << reader.refusal().reason;
      EXPECT_EQ(reader.request().body, "hello world") << cut;
    }
  }
}

TEST(RequestReader, GivesDecodedPartsAndLowerCaseNames) {
  RequestReader reader({});
  reader.feed(kLength);
  const Request& request = reader.request();
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.path, "/run");
  EXPECT_EQ(request.param("userInputs"), R"({"a":1})");
  EXPECT_EQ(request.header("cf-consn-model-id"), "@cf/meta/llama");
  EXPECT_EQ(request.header("x-absent"), std::nullopt);
}

TEST(RequestReader, LeavesTheNextRequestAlone) {
  RequestReader reader({});
  const std::string two = std::string(kChunked) + std::string(kLength);
  EXPECT_EQ(reader.feed(two), kChunked.size());
  EXPECT_EQ(reader.state(), State::done);
}

TEST(RequestReader, SkipsEmptyLinesBeforeARequest) {
  RequestReader reader({});
  reader.feed("\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(reader.state(), State::done);
}

TEST(RequestReader, AnAbsoluteTargetNamesTheHost) {
  RequestReader reader({});
  reader.feed("POST https://workers-binding.ai/run?version=3 HTTP/1.1\r\nHost: other\r\n\r\n");
  EXPECT_EQ(reader.state(), State::done);
  EXPECT_EQ(reader.request().path, "/run");
  EXPECT_EQ(reader.request().header("host"), "workers-binding.ai");
}

TEST(RequestReader, TellsWhenTheClientWaitsToContinue) {
  RequestReader reader({});
  reader.feed("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n\r\n");
  EXPECT_TRUE(reader.wants_continue());
  reader.feed("abc");
  EXPECT_FALSE(reader.wants_continue());
  EXPECT_EQ(reader.state(), State::done);
}

struct Hostile {
  const char* name;
  std::string bytes;
  int status;
};

std::string post(const std::string& fields, const std::string& body = {}) {
  return "POST / HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n" + body;
}

std::vector<Hostile> hostile() {
  using namespace std::string_literals;
  const std::string chunked = "Transfer-Encoding: chunked\r\n";
  return {
      {"both framings", post("Content-Length: 5\r\n" + chunked, "0\r\n\r\n"), 400},
      {"both framings, other order", post(chunked + "Content-Length: 5\r\n", "0\r\n\r\n"), 400},
      {"two lengths", post("Content-Length: 5\r\nContent-Length: 6\r\n"), 400},
      {"two equal lengths", post("Content-Length: 5\r\nContent-Length: 5\r\n"), 400},
      {"list of lengths", post("Content-Length: 5, 5\r\n"), 400},
      {"negative length", post("Content-Length: -1\r\n"), 400},
      {"signed length", post("Content-Length: +5\r\n"), 400},
      {"hexadecimal length", post("Content-Length: 0x5\r\n"), 400},
      {"length beyond 64 bits", post("Content-Length: 99999999999999999999999\r\n"), 400},
      {"empty length", post("Content-Length:\r\n"), 400},
      {"length over the limit", post("Content-Length: 104857600\r\n"), 413},
      {"space before the colon", post("Content-Length : 5\r\n"), 400},
      {"chunked twice", post(chunked + chunked), 400},
      {"another coding", post("Transfer-Encoding: gzip, chunked\r\n"), 501},
      {"coding with a vertical tab", post("Transfer-Encoding: \x0b"s + "chunked\r\n"), 400},
      {"chunked in HTTP/1.0", "POST / HTTP/1.0\r\n" + chunked + "\r\n", 400},
      {"chunk size that is none", post(chunked, "xyz\r\n"), 400},
      {"negative chunk size", post(chunked, "-1\r\n"), 400},
      {"chunk size beyond 64 bits", post(chunked, "fffffffffffffffff\r\n"), 400},
      {"chunk without its line end", post(chunked, "3\r\nabcdef\r\n"), 400},
      {"chunk over the limit", post(chunked, "2000\r\n" + std::string(0x2000, 'a') + "\r\n"), 413},
      {"endless chunk extension", post(chunked, "1;" + std::string(9000, 'a')), 400},
      {"endless trailer", post(chunked, "0\r\nA: " + std::string(9000, 'a')), 400},
      {"folded line", post("X-A: 1\r\n  2\r\n"), 400},
      {"folded first line", "POST / HTTP/1.1\r\n Host: x\r\n\r\n", 400},
      {"NUL in a value", post("X-A: 1"s + '\0' + "2\r\n"), 400},
      {"NUL in the target", "GET /a"s + '\0' + "b HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"encoded NUL in the target", "GET /a%00b HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"broken escape", "GET /a%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"bare line feeds", "GET / HTTP/1.1\nHost: x\n\n", 400},
      {"bare carriage return", "GET / HTTP/1.1\r\nX: a\rb\r\nHost: x\r\n\r\n", 400},
      {"field without a colon", post("nonsense\r\n"), 400},
      {"field without a name", post(": value\r\n"), 400},
      {"no host", "GET / HTTP/1.1\r\n\r\n", 400},
      {"two hosts", "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400},
      {"four words", "GET / x HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"no version", "GET /\r\nHost: x\r\n\r\n", 400},
      {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"TLS", "\x16\x03\x01\x02\x00\x01\x00"s, 400},
      {"star target", "GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"authority target", "CONNECT evil:443 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"user in the target", "GET http://a@b/ HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"unknown expectation", post("Expect: miracles\r\nContent-Length: 1\r\n"), 417},
      {"huge field", post("X-A: " + std::string(10000, 'a') + "\r\n"), 431},
      {"huge target", "GET /" + std::string(10000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n", 431},
      {"endless head", "GET / HTTP/1.1\r\n" + std::string(10000, 'a'), 431},
      {"too many fields", post([] {
         std::string fields;
         for (int i = 0; i < 300; i++) fields += "a: b\r\n";
         return fields;
       }()),
       431},
  };
}

TEST(RequestReader, RefusesWhatTwoProgramsCouldReadDifferently) {
  const ReaderLimits limits{.max_header_bytes = 8192, .max_body_bytes = 4096};
  for (const Hostile& h : hostile()) {
    for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, h.bytes.size()}) {
      RequestReader reader(limits);
      feed(reader, h.bytes, piece);
      EXPECT_EQ(reader.state(), State::refused) << h.name << " in pieces of " << piece;
      EXPECT_EQ(reader.refusal().status, h.status) << h.name << ": " << reader.refusal().reason;
      EXPECT_FALSE(reader.refusal().reason.empty());
    }
  }
}

TEST(RequestReader, SurvivesFlippedBytes) {
  std::mt19937 random(1);
  for (int round = 0; round < 20000; round++) {
    std::string text(round % 2 == 0 ? kLength : kChunked);
    for (int flips = 0; flips < 3; flips++) text[random() % text.size()] = static_cast<char>(random());
    RequestReader reader({.max_header_bytes = 1024, .max_body_bytes = 64});
    feed(reader, text, 1 + random() % 40);
    EXPECT_LE(reader.body_bytes(), 64u);
  }
}

TEST(RequestReader, HoldsNoMoreThanTheBodyLimit) {
  RequestReader reader({.max_header_bytes = 1024, .max_body_bytes = 1000});
  reader.feed(post("Transfer-Encoding: chunked\r\n", "fffffff\r\n"));
  const std::string piece(1 << 20, 'x');
  reader.feed(piece);
  EXPECT_EQ(reader.state(), State::refused);
  EXPECT_EQ(reader.refusal().status, 413);
  EXPECT_LE(reader.body_bytes(), 1000u);
}

}  // namespace
}  // namespace glia::http
