#include "api/rest/accounts.h"

#include "api/envelope.h"
#include "api/rest/rest.h"
#include "api/run_request.h"

namespace glia::api {
namespace {

constexpr std::string_view kLocal = "local";
constexpr std::string_view kSince = "2025-11-24T00:00:00Z";  ///< the shape wants a time

json::object account(std::string_view id) {
  return {{"id", id},
          {"name", id},
          {"type", "standard"},
          {"settings", json::object{{"enforce_twofactor", false}}},
          {"created_on", kSince}};
}

json::object list_of(json::object item) {
  json::object body = envelope(json::array{std::move(item)});
  body["result_info"] =
      json::object{{"page", 1}, {"per_page", 20}, {"total_pages", 1}, {"count", 1}, {"total_count", 1}};
  return body;
}

json::object verified() {
  json::object body = envelope(json::object{{"id", kLocal}, {"status", "active"}});
  body["messages"] =
      json::array{json::object{{"code", 10000}, {"message", "This API Token is valid and active"}, {"type", nullptr}}};
  return body;
}

/// The Authorization header as the service wants it; without one it cannot say anything about a token.
void need_token(const http::Request& request) {
  const auto given = request.header("authorization");
  constexpr std::string_view kBearer = "Bearer ";
  if (!given || !given->starts_with(kBearer) || given->size() == kBearer.size()) {
    throw Error(ErrorCode::authentication, "the header authorization is missing; Bearer and any token is expected");
  }
}

}  // namespace

bool serve_accounts(const std::shared_ptr<Context>& /*context*/, const std::shared_ptr<Reply>& reply,
                    const http::Request& request) {
  std::string_view path = std::string_view(request.path).substr(kRestRoot.size());
  constexpr std::string_view kAccounts = "accounts/";
  if (path == "accounts" || path == "memberships") {
    need_method(request, reply, "GET");
    json::object item = account(kLocal);
    if (path == "memberships") {
      item =
          json::object{{"id", kLocal}, {"status", "accepted"}, {"account", std::move(item)}, {"roles", json::array{}}};
    }
    reply->json(200, json::serialize(list_of(std::move(item))));
    return true;
  }
  const bool of_account = path.starts_with(kAccounts);
  if (of_account) path.remove_prefix(kAccounts.size());
  const auto slash = path.find('/');
  if (path == "user/tokens/verify" ||
      (of_account && slash > 0 && slash != std::string_view::npos && path.substr(slash + 1) == "tokens/verify")) {
    need_method(request, reply, "GET");
    need_token(request);
    reply->json(200, json::serialize(verified()));
    return true;
  }
  if (!of_account || path.empty() || slash != std::string_view::npos) return false;
  need_method(request, reply, "GET");
  reply->json(200, json::serialize(envelope(account(path))));
  return true;
}

}  // namespace glia::api
