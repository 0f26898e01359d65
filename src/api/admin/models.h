// /glia/v1/models, status, load and stop: which weights answer, which are in memory, and moving them in and out.
// Errors: glia::Error, as every dialect's. Thread rule: called on the I/O thread; loads answer from a thread of their
// own.
#pragma once

#include <memory>

#include "api/context.h"
#include "api/reply.h"
#include "http/server.h"

namespace glia::api {

void serve_models(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply);
void serve_status(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply);
void serve_load(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply,
                const http::Request& request);
void serve_stop(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply,
                const http::Request& request);

}  // namespace glia::api
