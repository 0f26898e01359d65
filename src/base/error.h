// Errors as data: one enum of what can go wrong, with Cloudflare's internal code, HTTP status and default text.
// The list lives in catalog/errors.json and is generated into error_codes.inc.
//
// Library rooms throw glia::Error for anything that input, files or load can cause. Asserts are for programmer errors
// only. `what()` is safe to show a client: it never holds a pointer, a file system path or foreign exception text.
// Thread rule: values; freely copied between threads.
#pragma once

#include <exception>
#include <string>
#include <string_view>

namespace glia {

enum class ErrorCode {
#define GLIA_ERROR(name, code, http, text) name,
#include "base/error_codes.inc"
#undef GLIA_ERROR
};

/// Cloudflare's internal code, e.g. 5006.
int cloudflare_code(ErrorCode code);
/// HTTP status of the REST API, e.g. 400.
int http_status(ErrorCode code);
/// Default text, e.g. "Invalid input".
std::string_view default_text(ErrorCode code);
/// Name as in catalog/errors.json, e.g. "invalid_input".
std::string_view error_name(ErrorCode code);

class Error : public std::exception {
 public:
  /// The default text, then ": detail" where a detail is given. `detail` is shown to clients.
  explicit Error(ErrorCode code, std::string_view detail = {});
  /// The whole message in the words that the service has for it, instead of the default text; it is the detail too.
  static Error worded(ErrorCode code, std::string message);

  ErrorCode code() const { return code_; }
  /// The detail alone; empty when none was given.
  const std::string& detail() const { return detail_; }
  const char* what() const noexcept override { return message_.c_str(); }
  const std::string& message() const { return message_; }

  /// Seconds a client should wait before it tries again (Retry-After); 0 where it does not apply.
  int retry_after_s = 0;

 private:
  ErrorCode code_;
  std::string detail_;
  std::string message_;
};

}  // namespace glia
