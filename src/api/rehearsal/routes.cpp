#include "api/rehearsal/routes.h"

#include "api/rehearsal/rehearsal.h"
#include "api/run_request.h"

namespace glia::api {
namespace {

constexpr std::size_t kMostFaultsBytes = 256 << 10;

void need(const std::shared_ptr<Reply>& reply, const http::Request& request, std::string_view method) {
  if (request.method == method) return;
  reply->add_header("allow", std::string(method));
  throw Error(ErrorCode::method_not_allowed, std::string(method) + " is possible here");
}

}  // namespace

bool serve_rehearsal(const std::shared_ptr<Reply>& reply, const http::Request& request, const Session& session,
                     std::string_view action) {
  if (!session.rehearsal) return false;
  if (action == "faults") {
    need(reply, request, "PUT");
    if (request.body.size() > kMostFaultsBytes) throw Error(ErrorCode::request_too_large);
    const json::object body = parse_object(request.body);
    const auto* rules = body.if_contains("faults");
    if (rules == nullptr) throw Error(ErrorCode::invalid_input, "faults: missing");
    session.rehearsal->faults().set(*rules);
  } else if (action == "calls") {
    need(reply, request, "GET");
    reply->json(200, json::serialize(session.rehearsal->calls()));
    return true;
  } else if (action == "reset") {
    need(reply, request, "POST");
    session.rehearsal->reset();
  } else {
    return false;
  }
  reply->send(204, {}, {});
  return true;
}

}  // namespace glia::api
