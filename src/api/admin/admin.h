// The project's own routes: /health /metrics /version, and /glia/v1/… for glia-dev and the CLI
// (docs/protocol-internal.md).
#pragma once

#include <memory>

#include "api/context.h"
#include "api/reply.h"
#include "http/server.h"

namespace glia::api {

inline constexpr int kInternalProtocol = 1;

void serve_admin(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply,
                 const http::Request& request);

}  // namespace glia::api
