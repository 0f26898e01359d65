#include "client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

namespace glia::bench {
namespace {

double milliseconds_since(Client::Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Client::Clock::now() - start).count();
}

/// The number behind `name` in `text`; 0 when it is not there.
std::int64_t number_after(std::string_view text, std::string_view name) {
  const auto at = text.find(name);
  if (at == std::string_view::npos) return 0;
  const auto digits = text.substr(at + name.size());
  std::int64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

}  // namespace

Client::~Client() { close(); }

bool Client::connect() {
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return false;
  const int on = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port_);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 || errno == EINPROGRESS) return true;
  close();
  return false;
}

void Client::close(bool hard) {
  if (fd_ < 0) return;
  const linger reset{1, 0};
  if (hard) ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  ::close(std::exchange(fd_, -1));
}

bool Client::ask(std::string_view request, int leave_after, bool hard) {
  outgoing_ = request;
  incoming_.clear();
  leave_after_ = leave_after;
  hard_ = hard;
  pieces_ = status_ = 0;
  streaming_ = done_ = false;
  body_left_ = 0;
  asked_ = last_piece_ = Clock::now();
  return fd_ >= 0 || connect();
}

bool Client::flush() {
  while (!outgoing_.empty()) {
    const auto n = ::send(fd_, outgoing_.data(), outgoing_.size(), MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOTCONN;
    outgoing_.erase(0, static_cast<std::size_t>(n));
  }
  return true;
}

std::optional<Outcome> Client::ready() {
  if (!flush()) return fail(std::string("send: ") + std::strerror(errno));
  std::array<char, 65536> buffer;
  for (;;) {
    const auto n = ::recv(fd_, buffer.data(), buffer.size(), 0);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOTCONN)) return std::nullopt;
    if (n <= 0) return fail(n == 0 ? "the server closed" : std::strerror(errno));
    incoming_.append(buffer.data(), static_cast<std::size_t>(n));
    const auto outcome = status_ == 0 ? read_head() : read_body();
    if (outcome) return outcome;
  }
}

std::optional<Outcome> Client::read_head() {
  const auto end = incoming_.find("\r\n\r\n");
  if (end == std::string::npos) return std::nullopt;
  const std::string_view head(incoming_.data(), end + 2);
  status_ = static_cast<int>(number_after(head, "HTTP/1.1 "));
  streaming_ = status_ == 200;
  if (!streaming_) {
    auto length = number_after(head, "Content-Length: ");
    if (length == 0) length = number_after(head, "content-length: ");
    body_left_ = static_cast<std::size_t>(length);
  }
  incoming_.erase(0, end + 4);
  return read_body();
}

std::optional<Outcome> Client::read_body() {
  if (!streaming_) {
    if (incoming_.size() < body_left_) return std::nullopt;
    if (status_ != 429 && status_ != 503) return fail("HTTP " + std::to_string(status_) + ": " + incoming_);
    return finish(Outcome::refused);
  }
  // Every write of the server is a chunk of whole events, so an event has no chunk border in it.
  for (auto end = incoming_.find("\n\n"); end != std::string::npos; end = incoming_.find("\n\n")) {
    const auto begin = incoming_.find("data: ");
    if (begin < end && !event(std::string_view(incoming_).substr(begin + 6, end - begin - 6))) {
      return fail("an error in the stream: " + incoming_.substr(begin, end - begin));
    }
    incoming_.erase(0, end + 2);
    if (leave_after_ > 0 && pieces_ >= leave_after_) return finish(Outcome::left);
  }
  if (done_ && incoming_.ends_with("\r\n0\r\n\r\n")) return finish(Outcome::finished);
  return std::nullopt;
}

bool Client::event(std::string_view text) {
  if (text == "[DONE]") {
    done_ = true;
    return true;
  }
  if (text.find(R"("response":)") == std::string_view::npos) return false;
  figures_.tokens += number_after(text, R"("completion_tokens":)");
  if (text.find(R"("response":"")") != std::string_view::npos) return true;
  const double since = milliseconds_since(last_piece_);
  (pieces_++ == 0 ? figures_.first_ms : figures_.between_ms).push_back(since);
  last_piece_ = Clock::now();
  return true;
}

Outcome Client::fail(std::string why) {
  figures_.failure = std::move(why);
  return finish(Outcome::failed);
}

Outcome Client::finish(Outcome outcome) {
  switch (outcome) {
    case Outcome::finished:
      figures_.finished++;
      break;
    case Outcome::left:
      figures_.left++;
      break;
    case Outcome::failed:
      figures_.failed++;
      break;
    case Outcome::refused:
      figures_.refused++;
      figures_.refused_ms.push_back(milliseconds_since(asked_));
      break;
  }
  if (outcome == Outcome::left) close(hard_);
  if (outcome == Outcome::failed) close();
  return outcome;
}

}  // namespace glia::bench
