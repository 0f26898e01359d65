// Status lines and header blocks of answers. Values can never break out of their line: control characters become
// spaces, fields whose name is not a token are left out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "http/server.h"

namespace glia::http {

enum class BodyFraming { length, chunked, until_close, none };

struct AnswerHead {
  int status = 200;
  BodyFraming framing = BodyFraming::none;
  std::size_t length = 0;  ///< for BodyFraming::length
  bool http_1_0 = false;
  bool close = false;
  bool upgrade = false;     ///< 101: the connection goes on in another protocol
  std::int64_t unix_s = 0;  ///< for the Date field
};

/// The head with its empty line. The handler's framing fields (content-length, transfer-encoding, connection) are ours.
std::string format_head(const AnswerHead& head, const Headers& headers);

/// "Tue, 24 Nov 2026 13:02:37 GMT"
std::string http_date(std::int64_t unix_s);

/// "Not Found"; empty for a status nobody named.
std::string_view reason_phrase(int status);

/// Statuses whose answers have no body, whatever the handler gives (RFC 9110, 6.4.1).
inline bool is_bodiless(int status) { return status < 200 || status == 204 || status == 304; }

/// One chunk of a chunked body.
void append_chunk(std::string& out, std::string_view data);

}  // namespace glia::http
