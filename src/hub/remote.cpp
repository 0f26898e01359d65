#include "hub/remote.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include "base/error.h"
#include "http/url.h"

namespace glia::hub {
namespace {

constexpr int kMostRedirects = 10;
constexpr std::size_t kMostListingBytes = std::size_t{64} << 20;

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}
bool may_recover(int status) { return status == 408 || status == 429 || (status >= 500 && status < 600); }

Error unavailable(const std::string& sentence) { return Error(ErrorCode::model_unavailable, sentence); }

}  // namespace

Remote::Remote(RemoteOptions options)
    : options_(std::move(options)),
      origin_(http::origin_of(options_.environment.endpoint).value_or("")),
      fetcher_(options_.fetch) {
  if (origin_.empty()) throw Error(ErrorCode::invalid_input, "HF_ENDPOINT is no http or https address");
}

bool Remote::is_cancelled() const {
  return options_.fetch.cancelled != nullptr && options_.fetch.cancelled->load(std::memory_order_relaxed);
}

void Remote::pause(std::int64_t ms) const {
  using Clock = std::chrono::steady_clock;
  const auto until = Clock::now() + std::chrono::milliseconds(ms);
  while (Clock::now() < until) {
    if (is_cancelled()) throw Error(ErrorCode::aborted);
    std::this_thread::sleep_for(std::min<Clock::duration>(std::chrono::milliseconds(50), until - Clock::now()));
  }
}

/// One answer that is no redirect; `url` becomes where it came from.
http::FetchAnswer Remote::ask(std::string& url, const http::Headers& headers,
                              const std::function<bool(const http::FetchAnswer&)>& on_head,
                              const http::OnData& on_data) {
  for (int hop = 0; hop <= kMostRedirects; hop++) {
    http::Headers sent = headers;
    if (!options_.environment.token.empty() && http::origin_of(url) == origin_) {
      sent.emplace_back("authorization", "Bearer " + options_.environment.token);
    }
    const auto head = [&](const http::FetchAnswer& answer) {
      if (is_redirect(answer.status)) return on_head(answer) && false;
      return on_head(answer);
    };
    auto answer = fetcher_.get(url, sent, head, on_data);
    if (answer.cancelled || is_cancelled()) throw Error(ErrorCode::aborted);
    if (!is_redirect(answer.status)) return answer;
    const auto next = http::redirected(url, std::string(answer.header("location").value_or("")));
    if (!next) throw unavailable("the hub redirects to what is no address");
    if (url.starts_with("https:") && !next->starts_with("https:")) {
      throw unavailable("the hub redirects from https to http, which is not followed");
    }
    url = *next;
  }
  throw unavailable("the hub redirects in a circle");
}

void Remote::refuse(const http::FetchAnswer& answer, const Subject& subject) const {
  const std::string_view code = answer.header("x-error-code").value_or("");
  const auto& [repo, revision, file] = subject;
  const bool has_token = !options_.environment.token.empty();
  if (code == "GatedRepo") {
    throw unavailable(
        repo + " is gated: agree to its terms at " + options_.environment.endpoint + "/" + repo +
        (has_token ? ", with the account of the token in use" : ", and set HF_TOKEN to a token of that account"));
  }
  if (code == "RevisionNotFound") throw unavailable("there is no revision " + revision + " of " + repo);
  if (code == "EntryNotFound") throw unavailable("there is no " + file + " in " + repo + " at " + revision);
  if (answer.status == 401 || answer.status == 403) {
    throw unavailable("there is no " + repo + " on the hub, or it is private or gated: " +
                      (has_token ? "the token in use may not read it" : "set HF_TOKEN to a token that may read it"));
  }
  if (answer.status == 404 || answer.status == 410) throw unavailable("there is no " + repo + " on the hub");
  if (answer.status == 429) {
    throw Error(ErrorCode::rate_limited, "the hub allows no more requests for now; pull again later to go on");
  }
  throw unavailable("the hub answers with HTTP " + std::to_string(answer.status) + " for " + repo);
}

void Remote::patiently(const Subject& subject, bool& progress,
                       const std::function<std::optional<http::FetchAnswer>()>& attempt) {
  int failures = 0;
  std::int64_t waited_ms = 0;
  while (true) {
    std::optional<http::FetchAnswer> answer;
    std::optional<std::string> unreachable;
    try {
      answer = attempt();
      if (!answer) return;
    } catch (const http::Unreachable& error) {
      if (error.why == http::Unreachable::Why::untrusted) throw unavailable(error.detail());
      unreachable = error.detail();
    }
    if (std::exchange(progress, false)) failures = 0;
    std::int64_t wait_ms = static_cast<std::int64_t>(options_.backoff_ms) << std::min(failures, 6);
    failures++;
    if (answer) {
      if (!may_recover(answer->status)) refuse(*answer, subject);
      if (const auto after = number(answer->header("retry-after").value_or(""))) {
        wait_ms = static_cast<std::int64_t>(std::min<std::uint64_t>(*after, 1 << 20)) * 1000;
      }
    }
    waited_ms += wait_ms;
    if (failures >= options_.attempts || waited_ms > kMostWaitSeconds * 1000) {
      if (answer) refuse(*answer, subject);
      throw unavailable(*unreachable);
    }
    if (options_.on_wait) {
      options_.on_wait((answer ? "the hub answers with HTTP " + std::to_string(answer->status) : *unreachable) +
                       "; asking again in " + std::to_string((wait_ms + 999) / 1000) + " s");
    }
    pause(wait_ms);
  }
}

Listing Remote::list(const Reference& reference) {
  const std::string revision(reference.revision_or_main());
  std::string body;
  bool progress = false;
  patiently({reference.repo, revision, "the list"}, progress, [&]() -> std::optional<http::FetchAnswer> {
    std::string url = options_.environment.endpoint + "/api/models/" + reference.repo + "/revision/" +
                      http::percent_encode(revision) + "?blobs=true";
    body.clear();
    auto answer = ask(
        url, {}, [](const http::FetchAnswer&) { return true; },
        [&](std::string_view piece) {
          if (body.size() + piece.size() > kMostListingBytes) throw unavailable("the hub's list of files is too long");
          body += piece;
          return true;
        });
    if (answer.status == 200) return std::nullopt;
    return answer;
  });
  return parse_listing(body);
}

}  // namespace glia::hub
