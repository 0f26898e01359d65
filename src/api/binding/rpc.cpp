#include "api/binding/rpc.h"

namespace glia::api {

bool is_rpc_session(const http::Request& request) {
  return !request.header("mf-url") && request.param("MF-Binding").has_value();
}

void refuse_rpc_session(const std::shared_ptr<Reply>& reply, const http::Request& request) {
  const Error error(ErrorCode::not_served, "AI Search, AutoRAG, AI Gateway and web search by RPC; env.AI.run() is");
  reply->set_quiet();
  if (!http::wants_websocket(request)) throw error;
  const auto socket = reply->accept_websocket(request, {});
  socket->close(1000, error.message());
  reply->end();
}

}  // namespace glia::api
