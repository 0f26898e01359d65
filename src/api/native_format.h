// Workers AI's own shape of text generation, the same for binding and REST:
// {"response", "usage"}; as a stream {"response": piece} events, a last one with "usage", then [DONE].
#pragma once

#include <memory>

#include "api/text_call.h"

namespace glia::api {

/// `envelope`: REST's {"result": …, "success": true, "errors": [], "messages": notes}; streams have none.
std::unique_ptr<TextFormat> native_format(bool envelope);

}  // namespace glia::api
