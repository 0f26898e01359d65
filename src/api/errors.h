// glia::Error in each dialect's shape. Never a pointer, a file system path or foreign exception text.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/json.h"

namespace glia::api {

enum class Dialect {
  binding,        ///< run: {internalCode, message, name, description}
  binding_other,  ///< models, toMarkdown, gateway: {errors: [{code, message}], …}
  vectorize,      ///< {code, error}
  rest,           ///< Cloudflare's envelope
  openai,         ///< {error: {message, type, param, code}}
  admin,          ///< {error: {code, message}}
};

std::string_view dialect_name(Dialect dialect);  ///< label of metrics: "binding", "rest", …

struct ErrorAnswer {
  int status = 500;
  std::string body;
  int retry_after_s = 0;  ///< 0: no Retry-After
};

/// `param`: the request field, where a dialect names it.
ErrorAnswer error_answer(Dialect dialect, const Error& error, std::string_view param = {});

/// The event that ends a stream which failed after its first byte.
std::string error_event(Dialect dialect, const Error& error);

}  // namespace glia::api
