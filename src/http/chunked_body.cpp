#include "http/chunked_body.h"

#include <algorithm>
#include <charconv>

#include "http/head_check.h"

namespace glia::http {
namespace {

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t') || byte == 0x7F;
  });
}

}  // namespace

std::size_t ChunkedBody::feed(std::string_view bytes, std::size_t room, std::string& out) {
  std::size_t used = 0;
  while (used < bytes.size() && problem_.empty() && state_ != State::done) {
    if (state_ == State::data) {
      const std::size_t n = std::min<std::uint64_t>({left_, bytes.size() - used, room});
      if (n == 0) break;
      out.append(bytes.substr(used, n));
      used += n;
      room -= n;
      left_ -= n;
      if (left_ == 0) state_ = State::data_end;
      continue;
    }
    if (!take_line(bytes, used)) continue;
    if (state_ == State::size_line) {
      read_size_line();
    } else if (state_ == State::trailer) {
      read_trailer_line();
    } else if (line_.empty()) {
      state_ = State::size_line;
    } else {
      fail("a chunk is longer than its size");
    }
    line_.clear();
  }
  return used;
}

bool ChunkedBody::take_line(std::string_view bytes, std::size_t& used) {
  for (; used < bytes.size(); used++) {
    const char c = bytes[used];
    if ((c == '\n') != line_.ends_with('\r')) {
      fail("lines of the chunked coding end with CR LF");
      return false;
    }
    if (c == '\n') {
      line_.pop_back();
      used++;
      return true;
    }
    if (line_.size() >= kMaxLine) {
      fail("a chunk's size line or a trailer is too long");
      return false;
    }
    line_ += c;
  }
  return false;
}

void ChunkedBody::read_size_line() {
  const auto digits = std::find_if(line_.begin(), line_.end(), [](char c) {
    return !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'));
  });
  const auto count = static_cast<std::size_t>(digits - line_.begin());
  const std::string_view rest = std::string_view(line_).substr(count);
  if (count == 0 || count > 15) return fail("a chunk's size is no hexadecimal number");
  if ((!rest.empty() && rest.front() != ';') || has_control(rest)) return fail("a chunk's extension is malformed");
  std::from_chars(line_.data(), line_.data() + count, left_, 16);
  state_ = left_ == 0 ? State::trailer : State::data;
}

void ChunkedBody::read_trailer_line() {
  if (line_.empty()) {
    state_ = State::done;
    return;
  }
  trailer_bytes_ += line_.size();
  const auto colon = line_.find(':');
  if (trailer_bytes_ > kMaxLine) return fail("the trailers are too long");
  if (colon == std::string::npos || !is_token(std::string_view(line_).substr(0, colon)) || has_control(line_)) {
    fail("a trailer is not NAME: VALUE");
  }
}

}  // namespace glia::http
