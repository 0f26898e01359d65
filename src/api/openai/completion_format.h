// text_completion objects, the same for whole answers and chunks.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "api/text_call.h"

namespace glia::api {

/// `request_id` becomes part of "cmpl-…"; `created`: unix seconds; `echo` stands before the answer.
std::unique_ptr<TextFormat> completion_format(std::string_view request_id, std::int64_t created, bool include_usage,
                                              std::string echo);

}  // namespace glia::api
