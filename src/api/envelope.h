// Cloudflare's envelope around every answer of /client/v4 that is no stream.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace glia::api {

/// `notes` become {"code", "message"} entries of "messages".
json::object envelope(json::value result, const std::vector<std::string>& notes = {});

}  // namespace glia::api
