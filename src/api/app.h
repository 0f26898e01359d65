// The HTTP face of Glia: one handler for every dialect, wired to services that the application passes in.
//
//   binding/  what workerd's Ai class sends: raw, or forwarded by Miniflare with MF-* headers
//   rest/     /client/v4/accounts/{id}/ai/…, Cloudflare's envelope
//   openai/   /v1/… and /client/v4/accounts/{id}/ai/v1/…, OpenAI's shapes
//   admin/    /health /metrics /version and /glia/v1/… (docs/protocol-internal.md)
//
// Ownership: destroy the http::Server first, then the App (it ends its worker threads), then the Runner, whose last
// sinks may still report; catalogue, clock and what the functions of Services use outlive all three. Thread rule:
// handler() and refusal() are called on the server's I/O thread; leases() from any thread. Errors: none are thrown to
// the server; each becomes an answer in its dialect.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "catalog/catalog.h"
#include "engine/engine.h"
#include "http/server.h"
#include "ledger/ledger.h"
#include "tasks/runner.h"
#include "tasks/weights.h"
#include "vectorize/vectorize.h"

namespace glia::api {

struct Services {
  tasks::Runner* runner = nullptr;
  const catalog::Catalog* catalog = nullptr;
  const Clock* clock = nullptr;
  /// Which weights answer for an id here.
  std::function<tasks::ResolvedWeights(const catalog::ModelEntry&)> weights;
  /// Rows of the ledger; may wait for the disk (called on a worker thread).
  std::function<std::vector<ledger::UsageRow>(std::string_view account, int days)> usage;
  /// The models in memory; null: there are none, and none can be loaded by name.
  engine::Engine* engine = nullptr;
  /// Vector indexes; null: there are none, and `no_vectorize` says why.
  vectorize::Vectorize* vectorize = nullptr;
  std::string no_vectorize;
  /// False while models are preloaded: /health says 503. Empty: always ready.
  std::function<bool()> ready;
  /// Unguessable ids for requests and sessions. Empty: 128 random bits in hex.
  std::function<std::string()> new_id;
};

struct AppInfo {
  std::string version;  ///< "0.1.0"
  std::string device;   ///< "cpu avx512"
  std::string profile;  ///< "tiny"
  std::string host;     ///< the configured host: browsers may name it in Host and Origin, besides loopback names
};

/// Open event streams of sessions: each is a lease on this server.
struct Leases {
  bool ever = false;
  std::size_t open = 0;
  std::int64_t none_since_ns = 0;  ///< steady clock of Services; when the last one ended (open == 0)

  /// What `glia serve --while-leased` asks: had leases, and none for `ns`.
  bool abandoned(std::int64_t now_ns, std::int64_t ns) const {
    return ever && open == 0 && now_ns - none_since_ns >= ns;
  }
};

class App {
 public:
  App(Services services, AppInfo info);
  ~App();
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  /// For http::Server::start.
  http::Handler handler();
  /// For http::ServerOptions::refusal: 413 and the like in the dialect of the path.
  http::RefusalFormat refusal();
  Leases leases() const;
  /// Ends the event streams of all sessions, so that a drain need not wait for them.
  void close_sessions();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace glia::api
