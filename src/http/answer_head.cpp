#include "http/answer_head.h"

#include <array>
#include <cstdio>
#include <ctime>

#include <boost/beast/http/status.hpp>

#include "http/head_check.h"

namespace glia::http {
namespace {

bool ours(std::string_view name) {
  return name == "content-length" || name == "transfer-encoding" || name == "connection" || name == "date";
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += ": ";
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    out += (byte < 0x20 && c != '\t') || byte == 0x7F ? ' ' : c;
  }
  out += "\r\n";
}

}  // namespace

std::string_view reason_phrase(int status) {
  const auto known = boost::beast::http::int_to_status(static_cast<unsigned>(status));
  if (known == boost::beast::http::status::unknown) return {};
  const auto text = boost::beast::http::obsolete_reason(known);
  return {text.data(), text.size()};
}

std::string http_date(std::int64_t unix_s) {
  constexpr std::array kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto seconds = static_cast<std::time_t>(unix_s);
  std::tm tm{};
  ::gmtime_r(&seconds, &tm);
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%s, %02d %s %04d %02d:%02d:%02d GMT",
                kDays.at(static_cast<std::size_t>(tm.tm_wday)), tm.tm_mday,
                kMonths.at(static_cast<std::size_t>(tm.tm_mon)), tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
  return text.data();
}

std::string format_head(const AnswerHead& head, const Headers& headers) {
  std::string out = head.http_1_0 ? "HTTP/1.0 " : "HTTP/1.1 ";
  out += std::to_string(head.status);
  out += ' ';
  out += reason_phrase(head.status);
  out += "\r\n";
  for (const auto& [name, value] : headers) {
    if (is_token(name) && !ours(lower(name))) append_field(out, name, value);
  }
  append_field(out, "date", http_date(head.unix_s));
  if (head.framing == BodyFraming::length) append_field(out, "content-length", std::to_string(head.length));
  if (head.framing == BodyFraming::chunked) append_field(out, "transfer-encoding", "chunked");
  if (head.upgrade) append_field(out, "connection", "upgrade");
  if (head.close && !head.upgrade) append_field(out, "connection", "close");
  out += "\r\n";
  return out;
}

void append_chunk(std::string& out, std::string_view data) {
  if (data.empty()) return;  // an empty chunk would end the body
  std::array<char, 24> size{};
  std::snprintf(size.data(), size.size(), "%zx\r\n", data.size());
  out += size.data();
  out += data;
  out += "\r\n";
}

}  // namespace glia::http
