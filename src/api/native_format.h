// Workers AI's own shapes of answers, the same for binding and REST.
//   text      {"response", "usage"}; as a stream {"response": piece} events, a last one with "usage", then [DONE]
//   vectors   {"shape": [texts, width], "data": [[…], …], "pooling"}; where contexts were embedded, "response" for
//   "data" scores    {"response": [{"id", "score"}, …]} labels    [{"label", "score"}, …]
#pragma once

#include <memory>

#include "api/text_call.h"

namespace glia::api {

/// `envelope`: REST's {"result": …, "success": true, "errors": [], "messages": notes}; streams have none.
std::unique_ptr<TextFormat> native_format(bool envelope);

}  // namespace glia::api
