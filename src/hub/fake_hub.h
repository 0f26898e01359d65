// For tests: a server on the loopback that speaks the hub's protocol, or a CDN behind it, and misbehaves on request.
// Thread rule: a thread a connection; set it up before the first request. Answers come from `files` unless `hook` took
// the request.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/json.h"
#include "hub/digest.h"

namespace glia::hub {

inline std::string digest_of(std::string_view bytes, DigestKind kind) {
  Digest digest(kind, bytes.size());
  digest.add(bytes);
  return digest.hex();
}

struct SeenRequest {
  std::string target;                          ///< path and query
  std::map<std::string, std::string> headers;  ///< names lower-cased
  int nth = 0;                                 ///< of this server, from 0

  std::string header(const std::string& name) const {
    const auto at = headers.find(name);
    return at == headers.end() ? "" : at->second;
  }
  bool is_for(std::string_view part) const { return target.find(part) != std::string::npos; }
};

class FakeConnection {
 public:
  explicit FakeConnection(int socket) : socket_(socket) {}
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return close();
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  /// `headers`: whole lines. With `claimed`, the Content-Length that is said instead of the true one.
  void answer(int status, const std::string& headers, std::string_view body, std::int64_t claimed = -1) {
    const std::size_t length = claimed < 0 ? body.size() : static_cast<std::size_t>(claimed);
    send("HTTP/1.1 " + std::to_string(status) + " X\r\n" + headers + "content-length: " + std::to_string(length) +
         "\r\n\r\n");
    send(body);
  }
  void close() { closed_ = true; }
  bool closed() const { return closed_; }

 private:
  int socket_;
  bool closed_ = false;
};

class FakeHub {
 public:
  struct File {
    std::string content;
    bool lfs = false;
  };

  FakeHub() {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address);
    ::listen(listener_, 64);
    socklen_t size = sizeof address;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept(); });
  }
  ~FakeHub() {
    over_ = true;
    acceptor_.join();
    for (auto& thread : connections_) thread.join();
    ::close(listener_);
  }
  FakeHub(const FakeHub&) = delete;
  FakeHub& operator=(const FakeHub&) = delete;

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  std::vector<SeenRequest> seen() const {
    const std::lock_guard lock(mutex_);
    return seen_;
  }
  std::size_t seen_of(std::string_view part) const {
    std::size_t count = 0;
    for (const auto& request : seen()) count += request.is_for(part) ? 1 : 0;
    return count;
  }
  /// What the API says of the files.
  std::string listing() const {
    json::array siblings;
    for (const auto& [name, file] : files) {
      json::object one{{"rfilename", name},
                       {"size", file.content.size()},
                       {"blobId", digest_of(file.content, DigestKind::git_blob)}};
      if (file.lfs) {
        one["lfs"] = {{"sha256", digest_of(file.content, DigestKind::sha256)}, {"size", file.content.size()}};
      }
      siblings.push_back(std::move(one));
    }
    return json::serialize(json::object{{"id", "o/n"}, {"sha", commit}, {"siblings", std::move(siblings)}});
  }
  /// Answers a file as the hub does: 206 for a range, 200 otherwise.
  void send_file(const SeenRequest& request, FakeConnection& connection, const std::string& content,
                 const std::string& headers = "") const {
    const std::string range = request.header("range");
    if (range.empty() || !ranges) return connection.answer(200, headers, content);
    const auto begin = std::stoull(range.substr(6));
    const auto end = std::stoull(range.substr(range.find('-') + 1)) + 1;
    connection.answer(206,
                      headers + "content-range: bytes " + std::to_string(begin) + "-" + std::to_string(end - 1) + "/" +
                          std::to_string(content.size()) + "\r\n",
                      std::string_view(content).substr(begin, end - begin));
  }

  std::string commit = "0123456789abcdef0123456789abcdef01234567";
  std::map<std::string, File> files;
  bool ranges = true;
  std::string cdn;  ///< URL to which LFS files are redirected, "/<sha256>" after it; empty: they are sent from here
  /// True: it has answered.
  std::function<bool(const SeenRequest&, FakeConnection&)> hook;

 private:
  static bool readable(int socket) {
    pollfd waiting{.fd = socket, .events = POLLIN, .revents = 0};
    return ::poll(&waiting, 1, 20) > 0;
  }

  void accept() {
    while (!over_) {
      if (!readable(listener_)) continue;
      const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (socket < 0) continue;
      connections_.emplace_back([this, socket] {
        serve(socket);
        ::close(socket);
      });
    }
  }

  void serve(int socket) {
    FakeConnection connection(socket);
    std::string bytes;
    while (!over_ && !connection.closed()) {
      const auto end = bytes.find("\r\n\r\n");
      if (end != std::string::npos) {
        respond(parse(bytes.substr(0, end + 2)), connection);
        bytes.erase(0, end + 4);
        continue;
      }
      if (!readable(socket)) continue;
      std::string piece(16384, '\0');
      const ssize_t n = ::recv(socket, piece.data(), piece.size(), 0);
      if (n <= 0) return;
      bytes.append(piece, 0, static_cast<std::size_t>(n));
    }
  }

  SeenRequest parse(const std::string& head) {
    SeenRequest request;
    const auto line = head.find("\r\n");
    const auto space = head.find(' ');
    request.target = head.substr(space + 1, head.find(' ', space + 1) - space - 1);
    for (auto at = line + 2; at < head.size();) {
      const auto end = head.find("\r\n", at);
      const auto colon = head.find(':', at);
      std::string name = head.substr(at, colon - at);
      for (char& c : name) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
      request.headers[name] = head.substr(colon + 2, end - colon - 2);
      at = end + 2;
    }
    const std::lock_guard lock(mutex_);
    request.nth = static_cast<int>(seen_.size());
    seen_.push_back(request);
    return request;
  }

  void respond(const SeenRequest& request, FakeConnection& connection) {
    if (hook && hook(request, connection)) return;
    if (request.is_for("/api/models/o/n/revision/")) return connection.answer(200, "", listing());
    for (const auto& [name, file] : files) {
      const std::string sha256 = digest_of(file.content, DigestKind::sha256);
      if (request.target == "/" + sha256) return send_file(request, connection, file.content);
      if (request.target != "/o/n/resolve/" + commit + "/" + name) continue;
      const std::string blob = file.lfs ? sha256 : digest_of(file.content, DigestKind::git_blob);
      const std::string headers = "x-repo-commit: " + commit + "\r\nx-linked-etag: \"" + blob + "\"\r\netag: \"" +
                                  blob + "\"\r\nx-linked-size: " + std::to_string(file.content.size()) + "\r\n";
      if (file.lfs && !cdn.empty()) {
        return connection.answer(302, headers + "location: " + cdn + "/" + sha256 + "\r\n", "Found");
      }
      return send_file(request, connection, file.content, headers);
    }
    connection.answer(404, "x-error-code: RepoNotFound\r\n", "not here");
  }

  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<bool> over_ = false;
  std::thread acceptor_;
  std::vector<std::thread> connections_;
  mutable std::mutex mutex_;
  std::vector<SeenRequest> seen_;
};

}  // namespace glia::hub
