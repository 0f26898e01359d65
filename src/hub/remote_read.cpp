// Remote::read: pieces of files, held against what the hub's list said of them.
#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "http/url.h"
#include "hub/remote.h"

namespace glia::hub {
namespace {

[[noreturn]] void mismatch(const RemoteFile& file, std::string_view what) {
  throw Error(ErrorCode::model_unavailable, "the hub sends " + std::string(what) + " for " + file.name);
}

std::string encoded_path(std::string_view path) {
  std::string out;
  while (true) {
    const auto slash = path.find('/');
    out += http::percent_encode(path.substr(0, slash));
    if (slash == path.npos) return out;
    out += '/';
    path.remove_prefix(slash + 1);
  }
}

/// `"abc"` and `W/"abc"` as abc.
std::string_view bare_etag(std::string_view etag) {
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') etag = etag.substr(1, etag.size() - 2);
  return etag;
}

/// What the hub itself says of the file beside sending or redirecting; a mirror need not say anything.
void check_metadata(const Remote::Source& source, const http::FetchAnswer& head) {
  if (head.status >= 400) return;
  const auto differs = [&](const char* name, std::string_view expected) {
    const auto value = head.header(name);
    return value && bare_etag(*value) != expected;
  };
  if (differs("x-repo-commit", source.commit)) mismatch(source.file, "another revision");
  if (differs("x-linked-etag", source.file.blob)) mismatch(source.file, "another version");
  if (differs("x-linked-size", std::to_string(source.file.bytes))) mismatch(source.file, "another size");
}

/// "bytes 0-99/1000" must begin where it was asked to, of a file of the size that is known.
void check_range(const RemoteFile& file, const http::FetchAnswer& head, std::uint64_t begin) {
  const std::string_view text = head.header("content-range").value_or("");
  const auto slash = text.find('/');
  const std::string wanted = "bytes " + std::to_string(begin) + "-";
  if (!text.starts_with(wanted) || slash == text.npos) mismatch(file, "another range");
  if (text.substr(slash + 1) != "*" && text.substr(slash + 1) != std::to_string(file.bytes)) {
    mismatch(file, "another size");
  }
}

}  // namespace

void Remote::read(Source& source, std::uint64_t begin, std::uint64_t end,
                  const std::function<void(std::string_view bytes)>& sink) {
  bool progress = false;
  const Subject subject{source.repo, source.commit, source.file.name};
  patiently(subject, progress, [&]() -> std::optional<http::FetchAnswer> {
    if (begin == end) return std::nullopt;
    const bool known = !source.location.empty();
    std::string url = known ? source.location
                            : options_.environment.endpoint + "/" + source.repo + "/resolve/" + source.commit + "/" +
                                  encoded_path(source.file.name);
    source.location.clear();  // until it has proved itself once more
    http::Headers headers;
    if (begin != 0 || end != source.file.bytes) {
      headers.emplace_back("range", "bytes=" + std::to_string(begin) + "-" + std::to_string(end - 1));
    }
    std::uint64_t skip = 0;
    bool is_content = false;
    const auto on_head = [&](const http::FetchAnswer& head) {
      check_metadata(source, head);
      is_content = head.status == 200 || head.status == 206;
      if (head.status == 206) check_range(source.file, head, begin);
      if (head.status == 200 && !headers.empty()) {  // all of it, though only a range was asked for
        source.ranges = false;
        skip = begin;
      }
      return true;
    };
    const auto on_data = [&](std::string_view piece) {
      if (!is_content) return false;  // an error's page
      const auto skipped = std::min<std::uint64_t>(skip, piece.size());
      skip -= skipped;
      piece.remove_prefix(skipped);
      const bool too_long = piece.size() > end - begin;
      if (too_long && source.ranges) mismatch(source.file, "more than it should be");
      piece = piece.substr(0, std::min<std::uint64_t>(piece.size(), end - begin));
      if (!piece.empty()) {
        sink(piece);
        begin += piece.size();
        progress = true;
      }
      return source.ranges || begin < end;
    };
    auto answer = ask(url, headers, on_head, on_data);
    if (is_content) {
      source.location = url;
      if (begin == end) return std::nullopt;
      throw http::Unreachable(http::Unreachable::Why::cut_off, source.file.name + " came only in part");
    }
    // A CDN's link ages, and says so by any of these: the hub gives a new one.
    const bool is_hub = http::origin_of(url) == origin_;
    if (!is_hub && (answer.status == 401 || answer.status == 403 || answer.status == 404 || answer.status == 410)) {
      throw http::Unreachable(http::Unreachable::Why::cut_off,
                              "the link to " + source.file.name + " is no longer good");
    }
    return answer;
  });
}

}  // namespace glia::hub
