#include "base/error.h"

#include <array>
#include <cstddef>
#include <utility>

namespace glia {
namespace {

struct Row {
  std::string_view name;
  int code;
  int http;
  std::string_view text;
};

constexpr std::array kRows = {
#define GLIA_ERROR(name, code, http, text) Row{#name, code, http, text},
#include "base/error_codes.inc"
#undef GLIA_ERROR
};

const Row& row(ErrorCode code) { return kRows.at(static_cast<std::size_t>(code)); }

}  // namespace

int cloudflare_code(ErrorCode code) { return row(code).code; }
int http_status(ErrorCode code) { return row(code).http; }
std::string_view default_text(ErrorCode code) { return row(code).text; }
std::string_view error_name(ErrorCode code) { return row(code).name; }

Error::Error(ErrorCode code, std::string_view detail) : code_(code), detail_(detail), message_(default_text(code)) {
  if (!detail.empty()) {
    message_ += ": ";
    message_ += detail;
  }
}

Error Error::worded(ErrorCode code, std::string message) {
  Error error(code);
  error.detail_ = message;
  error.message_ = std::move(message);
  return error;
}

}  // namespace glia
