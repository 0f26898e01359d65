// One HTTP/1.1 request out of a stream of bytes that arrives in any pieces: strict framing checks of our own,
// Boost.Beast's parser for the head, our chunked coding. No socket and no clock in here.
//
// Ownership: keeps at most max_header_bytes of an unfinished head and max_body_bytes of body.
// Thread rule: one thread at a time. Errors: never throws for what the bytes hold; see refusal().
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "http/server.h"

namespace glia::http {

struct ReaderLimits {
  std::size_t max_header_bytes = 64 << 10;
  std::size_t max_body_bytes = std::size_t{32} << 20;
  std::size_t max_fields = 200;
};

/// Why a request is refused before any handler sees it. The connection cannot go on after one.
struct Refusal {
  int status = 400;
  std::string reason;
};

class RequestReader {
 public:
  enum class State { head, body, done, refused };

  explicit RequestReader(const ReaderLimits& limits);
  ~RequestReader();

  /// Takes what belongs to this request from the front of `bytes` and returns how much that was.
  std::size_t feed(std::string_view bytes);

  State state() const;
  /// Whether a byte of this request has arrived.
  bool started() const;
  /// The client waits for "100 Continue" before it sends the body.
  bool wants_continue() const;
  /// Bytes of body held so far.
  std::size_t body_bytes() const;
  bool keep_alive() const;
  bool http_1_0() const;
  const Refusal& refusal() const;
  /// The request; the body too once done. Leaves the reader spent.
  Request& request();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace glia::http
