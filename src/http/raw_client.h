// For tests: a blocking TCP client that sends exactly the bytes it is told to and shows exactly what came back.
// Errors: a failed call gives an empty or short result; the test asserts on that.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace glia::http {

class RawClient {
 public:
  explicit RawClient(std::uint16_t port, bool v6 = false, int receive_buffer = 0) {
    fd_ = ::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer > 0) ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    sockaddr_in a4{};
    a4.sin_family = AF_INET;
    a4.sin_port = htons(port);
    a4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sockaddr_in6 a6{};
    a6.sin6_family = AF_INET6;
    a6.sin6_port = htons(port);
    a6.sin6_addr = in6addr_loopback;
    const auto* address = v6 ? reinterpret_cast<sockaddr*>(&a6) : reinterpret_cast<sockaddr*>(&a4);
    connected_ = ::connect(fd_, address, v6 ? sizeof a6 : sizeof a4) == 0;
  }
  ~RawClient() { close(); }
  RawClient(RawClient&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), connected_(other.connected_), buffer_(std::move(other.buffer_)) {}
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;
  RawClient& operator=(RawClient&&) = delete;

  bool connected() const { return connected_; }

  /// False when the peer does not take it.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }

  void half_close() { ::shutdown(fd_, SHUT_WR); }

  void reset() {
    const linger hard{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close();
  }

  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

  /// One read: what is there within `ms`; empty on the end and on a timeout.
  std::string some(int ms = 5000) {
    pollfd p{fd_, POLLIN, 0};
    if (::poll(&p, 1, ms) <= 0) return {};
    std::array<char, 65536> piece;
    const auto n = ::recv(fd_, piece.data(), piece.size(), 0);
    return n > 0 ? std::string(piece.data(), static_cast<std::size_t>(n)) : std::string();
  }

  /// Everything up to and including `mark`; less when the peer closes or is silent for `ms`.
  std::string until(std::string_view mark, int ms = 5000) {
    for (;;) {
      if (const auto at = buffer_.find(mark); at != std::string::npos) {
        std::string out = buffer_.substr(0, at + mark.size());
        buffer_.erase(0, out.size());
        return out;
      }
      const std::string more = some(ms);
      if (more.empty()) return std::exchange(buffer_, {});
      buffer_ += more;
    }
  }

  /// Everything until the peer closes.
  std::string rest(int ms = 5000) {
    for (std::string more = some(ms); !more.empty(); more = some(ms)) buffer_ += more;
    return std::exchange(buffer_, {});
  }

  /// Whether the peer closes or resets within `ms`; discards what comes before.
  bool closed_within(int ms) {
    pollfd p{fd_, POLLIN, 0};
    std::array<char, 65536> piece;
    while (::poll(&p, 1, ms) > 0) {
      if (::recv(fd_, piece.data(), piece.size(), 0) <= 0) return true;
    }
    return false;
  }

 private:
  int fd_ = -1;
  bool connected_ = false;
  std::string buffer_;
};

}  // namespace glia::http
