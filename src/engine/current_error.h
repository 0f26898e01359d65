// The exception being handled, as one of ours. Only inside a catch block.
#pragma once

#include "base/error.h"

namespace glia::engine {

inline Error current_error() {
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (...) {
    return Error(ErrorCode::internal);
  }
}

}  // namespace glia::engine
