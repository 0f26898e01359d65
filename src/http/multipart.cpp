#include "http/multipart.h"

#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "http/head_check.h"

namespace glia::http {
namespace {

constexpr std::size_t kMaxBoundary = 70;

[[noreturn]] void refuse(std::string_view why) { throw Error(ErrorCode::invalid_input, why); }
[[noreturn]] void ends_early() { throw Error(ErrorCode::incomplete_request, "the form ends before its last boundary"); }

bool boundary_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("'()+_,-./:=? ").find(c) != std::string_view::npos;
}

/// A quoted string from its opening quote on; moves `text` behind the closing one. Browsers write a quote in a name as
/// %22, curl as \".
std::optional<std::string> take_quoted(std::string_view& text) {
  std::string out;
  for (std::size_t i = 1; i < text.size(); i++) {
    if (text[i] == '"') {
      text.remove_prefix(i + 1);
      return out;
    }
    const bool escaped = text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == '"' || text[i + 1] == '\\');
    out += escaped ? text[++i] : text[i];
  }
  return std::nullopt;
}

/// The next "; name=value" of a header value, which `text` then has no more. None at the end or where it is malformed.
std::optional<std::pair<std::string, std::string>> take_parameter(std::string_view& text) {
  text = trim(text);
  if (!text.starts_with(';')) return std::nullopt;
  text = trim(text.substr(1));
  const auto equals = text.find('=');
  if (equals == std::string_view::npos || !is_token(trim(text.substr(0, equals)))) return std::nullopt;
  std::string name = lower(trim(text.substr(0, equals)));
  text = trim(text.substr(equals + 1));
  if (text.starts_with('"')) {
    auto value = take_quoted(text);
    if (!value) return std::nullopt;
    return std::pair(std::move(name), std::move(*value));
  }
  const auto end = text.find(';');
  std::string value(trim(text.substr(0, end)));
  text.remove_prefix(end == std::string_view::npos ? text.size() : end);
  return std::pair(std::move(name), std::move(value));
}

/// Content-Disposition of a part: form-data; name="…"; filename="…".
void read_disposition(std::string_view value, FormPart& part, bool& named) {
  const auto end = value.find(';');
  if (lower(trim(value.substr(0, end))) != "form-data") refuse("a part of the form is not form-data");
  std::string_view rest = end == std::string_view::npos ? std::string_view{} : value.substr(end);
  while (auto parameter = take_parameter(rest)) {
    auto& [name, text] = *parameter;
    if (first_invalid_utf8(text) != std::string_view::npos) refuse("a name in the form is not UTF-8");
    if (name == "name") {
      if (std::exchange(named, true)) refuse("a part of the form has two names");
      part.name = std::move(text);
    } else if (name == "filename") {
      part.filename = std::move(text);
    }
  }
  if (!rest.empty()) refuse("the header content-disposition of a part is malformed");
}

/// A part's headers from the front of `text`, up to and including the empty line.
FormPart take_headers(std::string_view& text, std::size_t most) {
  FormPart part;
  bool named = false;
  std::size_t bytes = 0;
  for (;;) {
    const auto end = text.substr(0, most - bytes + 2).find("\r\n");
    if (end == std::string_view::npos) {
      if (text.size() > most - bytes) refuse("the headers of a part are too long");
      ends_early();
    }
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 2);
    bytes += end;
    if (line.empty()) break;
    const auto colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) {
      refuse("a header of a part is not NAME: VALUE");
    }
    const std::string name = lower(line.substr(0, colon));
    const std::string_view value = trim(line.substr(colon + 1));
    if (name == "content-disposition") {
      read_disposition(value, part, named);
    } else if (name == "content-type") {
      part.content_type = lower(value);
    } else if (name == "content-transfer-encoding" && lower(value) != "binary" && lower(value) != "8bit" &&
               lower(value) != "7bit") {
      refuse("a part of the form has a transfer encoding; parts are sent as they are");
    }
  }
  if (!named) refuse("a part of the form has no name");
  return part;
}

/// Walks from one delimiter line to the next: CR LF "--" boundary, then white space and CR LF, or "--" after the last.
class Delimiters {
 public:
  Delimiters(std::string_view body, std::string_view boundary)
      : delimiter_("\r\n--" + std::string(boundary)), rest_(body) {}

  /// What stands before the next delimiter line, which is passed.
  std::string_view next() {
    const std::string_view first = std::string_view(delimiter_).substr(2);  // with nothing before it
    const std::string_view text = rest_;
    std::size_t at = text.starts_with(first) ? 0 : text.find(delimiter_);
    while (at != std::string_view::npos) {
      rest_ = text.substr(at + (text.substr(at).starts_with(first) ? first.size() : delimiter_.size()));
      if (takes_line_end()) return text.substr(0, at);
      at = text.find(delimiter_, at + 1);  // a longer line that only begins like the boundary
    }
    ends_early();
  }
  bool ended() const { return ended_; }
  /// What follows the delimiter line; to be shortened by what was read of it.
  std::string_view& rest() { return rest_; }

 private:
  bool takes_line_end() {
    ended_ = rest_.starts_with("--");
    if (ended_) return true;
    const auto end = rest_.find_first_not_of(" \t");
    if (end == std::string_view::npos || !rest_.substr(end).starts_with("\r\n")) return false;
    rest_.remove_prefix(end + 2);
    return true;
  }

  const std::string delimiter_;
  std::string_view rest_;
  bool ended_ = false;
};

}  // namespace

std::optional<std::string> form_boundary(std::string_view content_type) {
  const auto end = content_type.find(';');
  if (end == std::string_view::npos || lower(trim(content_type.substr(0, end))) != "multipart/form-data") return {};
  std::string_view rest = content_type.substr(end);
  while (auto parameter = take_parameter(rest)) {
    if (parameter->first != "boundary") continue;
    const std::string& value = parameter->second;
    if (value.empty() || value.size() > kMaxBoundary || value.ends_with(' ')) return {};
    for (const char c : value) {
      if (!boundary_char(c)) return {};
    }
    return value;
  }
  return {};
}

std::vector<FormPart> parse_form(std::string_view body, std::string_view boundary, const FormLimits& limits) {
  Delimiters form(body, boundary);
  std::vector<FormPart> parts;
  form.next();  // what stands before the first boundary is nobody's
  while (!form.ended()) {
    if (parts.size() == limits.max_parts) {
      refuse("the form has more than " + std::to_string(limits.max_parts) + " parts");
    }
    parts.push_back(take_headers(form.rest(), limits.max_part_header_bytes));
    parts.back().data = form.next();
  }
  return parts;
}

}  // namespace glia::http
