// The inputs of a run as binding and REST take them: Workers AI's own form, or OpenAI's Responses form for the ids
// whose catalogue entry documents it.
#pragma once

#include "api/context.h"
#include "api/reply.h"
#include "api/text_call.h"

namespace glia::api {

/// Sets the call's inputs, stream and format; call.request.model is set. `envelope`: Cloudflare's around whole answers.
/// Errors: glia::Error(invalid_input).
void read_native_inputs(const Context& context, const Reply& reply, json::object inputs, bool envelope, TextCall& call);

}  // namespace glia::api
