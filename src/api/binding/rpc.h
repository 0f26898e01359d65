// Methods of env.AI that workerd calls by RPC instead of HTTP: aiSearch(), websearch(), and with the compatibility flag
// "experimental" gateway() and autorag(). Miniflare carries them over a WebSocket with the query MF-Binding, in
// capnweb's JSON messages; Miniflare 4 opens it with every request, used or not.
//
// None of them is served: the socket is closed at once with a reason that names them, which every call on it then
// throws, before or after. (Its message "abort" would say the same, but capnweb 0.5 throws that as an object without a
// text.) Source: capnweb 0.5 and 0.12 as bundled in miniflare 4 and 5.
#pragma once

#include <memory>

#include "api/reply.h"
#include "http/server.h"

namespace glia::api {

bool is_rpc_session(const http::Request& request);

/// Errors: glia::Error(incomplete_request) where the WebSocket's handshake is none, (not_served) where there is none.
void refuse_rpc_session(const std::shared_ptr<Reply>& reply, const http::Request& request);

}  // namespace glia::api
