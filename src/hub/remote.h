// The hub over the network: lists of files and pieces of files, asked for again where that may help.
//
// The token goes to the endpoint's own origin and nowhere else, whatever redirects say.
// Thread rule: one thread at a time. Errors: glia::Error: model_unavailable saying what to do (not there, private,
// gated, the server broken), rate_limited when the hub wants a longer wait than kMostWaitSeconds, aborted when
// cancelled. Source: huggingface_hub's errors and headers (X-Error-Code, X-Linked-Etag, X-Linked-Size, X-Repo-Commit).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "http/fetch.h"
#include "hub/environment.h"
#include "hub/listing.h"
#include "hub/reference.h"

namespace glia::hub {

inline constexpr int kMostWaitSeconds = 300;  ///< for the hub's Retry-After, in all of one piece's attempts

struct RemoteOptions {
  Environment environment;
  http::FetchOptions fetch;                                       ///< its `cancelled` also ends waits
  int attempts = 5;                                               ///< without a byte of progress
  int backoff_ms = 1000;                                          ///< before the second attempt; doubles
  std::function<void(const std::string& sentence)> on_wait = {};  ///< before it waits for the server to recover
};

class Remote {
 public:
  explicit Remote(RemoteOptions options);

  Listing list(const Reference& reference);

  /// What one reader of a file keeps between its pieces.
  struct Source {
    std::string repo;
    std::string commit;
    RemoteFile file;
    std::string location = {};  ///< where the last piece came from, to spare the hub; may be stale
    bool ranges = true;         ///< false: the server sends the whole file whatever is asked for
  };
  /// The bytes from `begin` to `end` in order, each once, however often the connection breaks.
  void read(Source& source, std::uint64_t begin, std::uint64_t end,
            const std::function<void(std::string_view bytes)>& sink);

 private:
  /// What is being asked for, for errors.
  struct Subject {
    std::string repo;
    std::string revision;
    std::string file;
  };
  /// Calls `attempt` until it returns nothing; what it returns instead is the answer that was not hoped for. Waits in
  /// between; `progress` true (it is reset) starts counting anew.
  void patiently(const Subject& subject, bool& progress,
                 const std::function<std::optional<http::FetchAnswer>()>& attempt);
  http::FetchAnswer ask(std::string& url, const http::Headers& headers,
                        const std::function<bool(const http::FetchAnswer&)>& on_head, const http::OnData& on_data);
  [[noreturn]] void refuse(const http::FetchAnswer& answer, const Subject& subject) const;
  void pause(std::int64_t ms) const;
  bool is_cancelled() const;

  RemoteOptions options_;
  std::string origin_;
  http::Fetcher fetcher_;
};

}  // namespace glia::hub
