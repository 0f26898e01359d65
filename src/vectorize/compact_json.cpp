#include "vectorize/compact_json.h"

#include <charconv>
#include <cmath>

namespace glia::vectorize {
namespace {

/// Whole numbers up to 2^53 without a point or an exponent.
constexpr double kExactWhole = 9007199254740992.0;

template <class Number>
void append(std::string& out, Number value) {
  char text[40];
  const auto end = std::to_chars(text, text + sizeof(text), value);
  out.append(text, end.ptr);
}

template <class Float>
void append_float(std::string& out, Float value) {
  if (!std::isfinite(value)) {
    out += "null";
  } else if (value == std::trunc(value) && std::fabs(static_cast<double>(value)) < kExactWhole) {
    append(out, static_cast<std::int64_t>(value));
  } else {
    append(out, value);
  }
}

}  // namespace

void write_number(std::string& out, double value) { append_float(out, value); }
void write_short_number(std::string& out, float value) { append_float(out, value); }

void write_text(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte >= 0x20) {
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  out += '"';
}

void write_compact(std::string& out, const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      out += "null";
      return;
    case json::kind::bool_:
      out += value.get_bool() ? "true" : "false";
      return;
    case json::kind::int64:
      return append(out, value.get_int64());
    case json::kind::uint64:
      return append(out, value.get_uint64());
    case json::kind::double_:
      return write_number(out, value.get_double());
    case json::kind::string:
      return write_text(out, value.get_string());
    case json::kind::array: {
      char before = '[';
      for (const auto& item : value.get_array()) {
        out += before;
        write_compact(out, item);
        before = ',';
      }
      out += value.get_array().empty() ? "[]" : "]";
      return;
    }
    case json::kind::object: {
      char before = '{';
      for (const auto& [key, item] : value.get_object()) {
        out += before;
        write_text(out, key);
        out += ':';
        write_compact(out, item);
        before = ',';
      }
      out += value.get_object().empty() ? "{}" : "}";
      return;
    }
  }
}

std::string compact_json(const json::value& value) {
  std::string out;
  write_compact(out, value);
  return out;
}

}  // namespace glia::vectorize
