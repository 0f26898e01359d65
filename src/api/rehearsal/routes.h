// What a test asks of its own session (docs/protocol-internal.md): its faults, its calls.
#pragma once

#include <memory>
#include <string_view>

#include "api/reply.h"

namespace glia::api {

/// Answers `action` of /glia/v1/sessions/<id>/<action>. False: it is none of these. Errors: glia::Error.
bool serve_rehearsal(const std::shared_ptr<Reply>& reply, const http::Request& request, const Session& session,
                     std::string_view action);

}  // namespace glia::api
