#include "http/head_check.h"

#include <algorithm>

namespace glia::http {
namespace {

bool token_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\t') || byte == 0x7F;
}

/// Fields that say where a message ends or whom it is for; each at most once.
struct Framing {
  std::optional<std::string_view> length;
  std::optional<std::string_view> encoding;
  std::optional<std::string_view> host;
};

std::optional<HeadProblem> check_request_line(std::string_view line) {
  const auto first = line.find(' ');
  const auto last = line.rfind(' ');
  if (first == std::string_view::npos || first == last || line.find(' ', first + 1) != last) {
    return HeadProblem{400, "the request line is not METHOD TARGET VERSION"};
  }
  if (!is_token(line.substr(0, first))) return HeadProblem{400, "the method is not a token"};
  const std::string_view version = line.substr(last + 1);
  if (version == "HTTP/1.1" || version == "HTTP/1.0") return std::nullopt;
  if (version.starts_with("HTTP/")) return HeadProblem{505, "this server speaks HTTP/1.1"};
  return HeadProblem{400, "the request line has no HTTP version"};
}

bool set_once(std::optional<std::string_view>& slot, std::string_view value) {
  if (slot) return false;
  slot = value;
  return true;
}

std::optional<HeadProblem> check_field(std::string_view line, Framing& framing) {
  if (line.front() == ' ' || line.front() == '\t') return HeadProblem{400, "folded header lines are not accepted"};
  const auto colon = line.find(':');
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) {
    return HeadProblem{400, "a header line is not NAME: VALUE"};
  }
  const std::string name = lower(line.substr(0, colon));
  const std::string_view value = trim(line.substr(colon + 1));
  if ((name == "content-length" && !set_once(framing.length, value)) ||
      (name == "transfer-encoding" && !set_once(framing.encoding, value)) ||
      (name == "host" && !set_once(framing.host, value))) {
    return HeadProblem{400, "the header " + name + " is given twice"};
  }
  return std::nullopt;
}

std::optional<HeadProblem> check_framing(const Framing& framing, bool http_1_0) {
  if (framing.length && framing.encoding) {
    return HeadProblem{400, "content-length and transfer-encoding exclude each other"};
  }
  if (framing.length) {
    const std::string_view digits = *framing.length;
    const bool number =
        !digits.empty() && std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!number || digits.size() > 18) return HeadProblem{400, "content-length is not a length"};
  }
  if (framing.encoding) {
    if (http_1_0) return HeadProblem{400, "HTTP/1.0 has no transfer-encoding"};
    if (lower(*framing.encoding) != "chunked") return HeadProblem{501, "the only transfer coding here is chunked"};
  }
  if (!framing.host && !http_1_0) return HeadProblem{400, "the header host is missing"};
  return std::nullopt;
}

}  // namespace

bool is_token(std::string_view text) { return !text.empty() && std::all_of(text.begin(), text.end(), token_char); }

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::optional<HeadProblem> check_head(std::string_view head, std::size_t max_fields) {
  Framing framing;
  std::string_view request_line;
  std::size_t fields = 0;
  while (!head.empty()) {
    const auto end = head.find("\r\n");
    if (end == std::string_view::npos) return HeadProblem{400, "the head ends without an empty line"};
    const std::string_view line = head.substr(0, end);
    head.remove_prefix(end + 2);
    if (std::any_of(line.begin(), line.end(), control)) {
      return HeadProblem{400, "a control character in the request head"};
    }
    if (request_line.empty()) {
      if (auto problem = check_request_line(line)) return problem;
      request_line = line;
    } else if (!line.empty()) {
      if (++fields > max_fields) return HeadProblem{431, "more than " + std::to_string(max_fields) + " header fields"};
      if (auto problem = check_field(line, framing)) return problem;
    }
  }
  return check_framing(framing, request_line.ends_with("HTTP/1.0"));
}

}  // namespace glia::http
