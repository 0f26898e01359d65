// Server-sent events (WHATWG HTML, section 9.2). `data` holds no line break: JSON as it is serialised here.
#pragma once

#include <string>
#include <string_view>

namespace glia::http {

inline constexpr std::string_view kEventStream = "text/event-stream";

inline std::string sse_data(std::string_view data) {
  std::string out;
  out.reserve(data.size() + 8);
  out += "data: ";
  out += data;
  out += "\n\n";
  return out;
}

inline std::string sse_event(std::string_view name, std::string_view data) {
  std::string out = "event: ";
  out += name;
  out += '\n';
  return out + sse_data(data);
}

/// Keeps a connection alive; clients skip it.
inline constexpr std::string_view kSseComment = ":\n\n";

}  // namespace glia::http
