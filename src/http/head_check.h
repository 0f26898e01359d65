// The strict part of reading a request head: what RFC 9112 lets a server refuse because two programs could read it
// differently (request smuggling).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace glia::http {

struct HeadProblem {
  int status;
  std::string reason;
};

/// Looks at a whole head, request line to empty line, CRLF included. nullopt when it is sound.
std::optional<HeadProblem> check_head(std::string_view head, std::size_t max_fields);

bool is_token(std::string_view text);
std::string lower(std::string_view text);
/// Without spaces and tabs at both ends.
std::string_view trim(std::string_view text);

}  // namespace glia::http
