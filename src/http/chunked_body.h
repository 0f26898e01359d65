// The chunked transfer coding, read strictly from bytes in any pieces (RFC 9112, section 7.1). Extensions and trailers
// are checked and dropped.
//
// Not Beast's parser: it asserts on a last chunk that arrives byte by byte, which a client can do.
// Thread rule: one thread at a time. Errors: problem(), never thrown.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace glia::http {

class ChunkedBody {
 public:
  /// Most bytes of one size line, and of all trailers together.
  static constexpr std::size_t kMaxLine = 4096;

  /// Takes from the front of `bytes`, appends at most `room` bytes of content to `out`, returns how much was taken.
  /// Takes less than all at the end, on a problem, or when `room` is used up.
  std::size_t feed(std::string_view bytes, std::size_t room, std::string& out);

  bool done() const { return state_ == State::done; }
  /// Empty while all is well.
  std::string_view problem() const { return problem_; }

 private:
  enum class State { size_line, data, data_end, trailer, done };

  /// Collects a line up to CR LF; true when line_ holds it whole.
  bool take_line(std::string_view bytes, std::size_t& used);
  void read_size_line();
  void read_trailer_line();
  void fail(std::string_view why) { problem_ = why; }

  State state_ = State::size_line;
  std::uint64_t left_ = 0;  ///< of the chunk's content
  std::size_t trailer_bytes_ = 0;
  std::string line_;
  std::string_view problem_;  ///< a literal
};

}  // namespace glia::http
