#include "match.h"

#include <algorithm>
#include <optional>
#include <regex>
#include <sstream>
#include <vector>

namespace glia::protocol {
namespace {

/// The inside of "{{…}}"; nothing for other text.
std::optional<std::string_view> matcher(std::string_view text) {
  if (!text.starts_with("{{") || !text.ends_with("}}")) return std::nullopt;
  return text.substr(2, text.size() - 4);
}

std::string where(const std::string& at) { return at.empty() ? "the body" : at; }

bool matches(std::string_view name, const json::value& v) {
  if (name == "any") return true;
  if (name == "text") return v.is_string() && !v.get_string().empty();
  if (name == "int") return v.is_uint64() || (v.is_int64() && v.get_int64() >= 0);
  if (name == "number") return v.is_number();
  if (name == "array") return v.is_array();
  if (name == "object") return v.is_object();
  if (name.starts_with('~')) {
    return v.is_string() && std::regex_search(std::string(v.get_string()), std::regex(std::string(name.substr(1))));
  }
  return false;
}

std::string object_mismatch(const json::object& expected, const json::object& actual, const std::string& at) {
  bool open = false;
  for (const auto& [key, value] : expected) {
    if (key == "{{...}}") {
      open = true;
      continue;
    }
    const auto* other = actual.if_contains(key);
    if (other == nullptr) return where(at) + " lacks " + std::string(key);
    if (auto problem = mismatch(value, *other, at + "/" + std::string(key)); !problem.empty()) return problem;
  }
  for (const auto& [key, value] : actual) {
    if (!open && !expected.contains(key)) return where(at) + " has " + std::string(key) + " besides what is expected";
  }
  return {};
}

/// ["{{...}}", a, b]: some item is as a, some as b.
std::string holds_mismatch(const json::array& expected, const json::array& actual, const std::string& at) {
  for (std::size_t i = 1; i < expected.size(); i++) {
    const bool found = std::any_of(actual.begin(), actual.end(),
                                   [&](const json::value& item) { return mismatch(expected[i], item, at).empty(); });
    if (!found) return where(at) + " has no item " + json::serialize(expected[i]);
  }
  return {};
}

std::optional<json::value> as_json(std::string_view text) {
  boost::system::error_code ec;
  json::value value = json::parse(text, ec);
  if (ec) return std::nullopt;
  return value;
}

/// "event: x" and "data: y" lines between empty lines; comments are left out.
std::vector<std::string> events(std::string_view body) {
  std::vector<std::string> out;
  std::istringstream in{std::string(body)};
  std::string event;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(':')) continue;
    if (line.empty()) {
      if (!event.empty()) out.push_back(std::exchange(event, {}));
      continue;
    }
    if (line == "...") {
      if (!event.empty()) out.push_back(std::exchange(event, {}));
      out.push_back("...");
      continue;
    }
    event += (event.empty() ? "" : "\n") + line;
  }
  if (!event.empty()) out.push_back(event);
  return out;
}

std::string event_mismatch(std::string_view expected, std::string_view actual) {
  const auto split = [](std::string_view event) {
    const auto data = event.find("data: ");
    return std::pair(event.substr(0, data), data == std::string_view::npos ? event : event.substr(data + 6));
  };
  const auto [want_name, want] = split(expected);
  const auto [have_name, have] = split(actual);
  if (want_name != have_name) return "the event's name differs: " + std::string(actual);
  const auto want_json = as_json(want);
  const auto have_json = as_json(have);
  if (want_json && have_json) return mismatch(*want_json, *have_json);
  return text_mismatch(want, have);
}

std::string stream_mismatch(const std::vector<std::string>& expected, const std::vector<std::string>& actual,
                            std::size_t e, std::size_t a) {
  for (; e < expected.size(); e++, a++) {
    if (expected[e] == "...") {
      for (std::size_t skip = a; skip <= actual.size(); skip++) {
        if (stream_mismatch(expected, actual, e + 1, skip).empty()) return {};
      }
      return "after ...: no continuation is as expected";
    }
    if (a >= actual.size()) return "the stream ends before " + expected[e];
    if (auto problem = event_mismatch(expected[e], actual[a]); !problem.empty()) {
      return "event " + std::to_string(a + 1) + ": " + problem;
    }
  }
  return a == actual.size() ? "" : "the stream goes on: " + actual[a];
}

}  // namespace

std::string mismatch(const json::value& expected, const json::value& actual, const std::string& at) {
  if (expected.is_string()) {
    if (const auto name = matcher(expected.get_string())) {
      return matches(*name, actual) ? "" : where(at) + " is no " + std::string(*name) + ": " + json::serialize(actual);
    }
  }
  if (expected.is_object() && actual.is_object()) {
    return object_mismatch(expected.get_object(), actual.get_object(), at);
  }
  if (expected.is_array() && actual.is_array()) {
    const auto& want = expected.get_array();
    const auto& have = actual.get_array();
    if (!want.empty() && want[0] == json::value("{{...}}")) return holds_mismatch(want, have, at);
    if (want.size() != have.size()) return where(at) + " has " + std::to_string(have.size()) + " items";
    for (std::size_t i = 0; i < want.size(); i++) {
      if (auto problem = mismatch(want[i], have[i], at + "/" + std::to_string(i)); !problem.empty()) return problem;
    }
    return {};
  }
  const bool same = expected.is_number() && actual.is_number()
                        ? expected.to_number<double>() == actual.to_number<double>()
                        : expected == actual;
  return same ? "" : where(at) + " is " + json::serialize(actual) + ", not " + json::serialize(expected);
}

std::string text_mismatch(std::string_view expected, std::string_view actual) {
  if (const auto name = matcher(expected)) {
    return matches(*name, json::value(actual)) ? "" : "is no " + std::string(*name) + ": " + std::string(actual);
  }
  return expected == actual ? "" : "is \"" + std::string(actual) + "\", not \"" + std::string(expected) + "\"";
}

std::string body_mismatch(std::string_view expected, std::string_view actual) {
  if (expected.starts_with("data: ") || expected.starts_with("event: ") || expected.starts_with("...")) {
    return stream_mismatch(events(expected), events(actual), 0, 0);
  }
  if (expected == "{{empty}}") return actual.empty() ? "" : "the body is not empty: " + std::string(actual);
  if (expected.starts_with('~')) {
    return actual.find(expected.substr(1)) != std::string_view::npos
               ? ""
               : "the body does not hold " + std::string(expected);
  }
  const auto want = as_json(expected);
  if (!want) return text_mismatch(expected, actual);
  const auto have = as_json(actual);
  return have ? mismatch(*want, *have) : "the body is not JSON: " + std::string(actual);
}

}  // namespace glia::protocol
