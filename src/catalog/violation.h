// What a schema found wrong, in words for the client.
#pragma once

#include <string>

namespace glia::catalog {

/// `path` as a client reads it: "messages[0].role"; empty where the input as a whole is meant. `message`: what is
/// allowed.
struct Violation {
  std::string path;
  std::string message;
};

/// "messages[0].content: must be a string or an array of parts".
inline std::string describe(const Violation& v) { return v.path.empty() ? v.message : v.path + ": " + v.message; }

}  // namespace glia::catalog
