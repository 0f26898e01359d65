#include "base/json.h"

#include <string>

#include "base/error.h"
#include "base/utf8.h"

namespace glia {

json::value parse_json(std::string_view text) {
  if (const auto bad = first_invalid_utf8(text); bad != std::string_view::npos) {
    throw Error(ErrorCode::invalid_input, "the body is not valid UTF-8 (byte " + std::to_string(bad) + ")");
  }
  json::parse_options options;
  options.max_depth = 64;
  json::stream_parser parser({}, options);
  boost::system::error_code ec;
  const std::size_t used = parser.write_some(text.data(), text.size(), ec);
  if (!ec && used < text.size()) ec = json::error::extra_data;
  if (!ec) parser.finish(ec);
  if (ec) {
    throw Error(ErrorCode::invalid_input,
                "the body is not valid JSON (" + ec.message() + " at byte " + std::to_string(used) + ")");
  }
  return parser.release();
}

}  // namespace glia
