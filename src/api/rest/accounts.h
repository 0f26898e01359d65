// What clients of Cloudflare's API ask about themselves before they ask for anything else: the token and the accounts.
// Here every token is active and every name of an account works, each with a ledger of its own; the list shows "local".
// Source: Cloudflare's API reference, user/tokens/verify, accounts, memberships.
#pragma once

#include <memory>

#include "api/context.h"
#include "api/reply.h"
#include "http/server.h"

namespace glia::api {

/// Answers GET user/tokens/verify, accounts/{id}/tokens/verify, accounts, accounts/{id} and memberships below
/// /client/v4/. False for any other path.
bool serve_accounts(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply,
                    const http::Request& request);

}  // namespace glia::api
