// The one door to Boost.JSON: the alias and a parser with the project's limits.
#pragma once

#include <string_view>

#include <boost/json.hpp>

namespace glia {

namespace json = boost::json;

/// Parses one JSON document; nesting beyond 64, trailing bytes, duplicate BOMs and invalid UTF-8 are refused.
/// Errors: throws glia::Error(invalid_input) whose detail says what and at which byte.
json::value parse_json(std::string_view text);

}  // namespace glia
