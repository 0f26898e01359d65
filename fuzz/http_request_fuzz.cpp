// Any bytes as HTTP requests on a connection: taken or refused, and the same however they are cut into pieces.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "http/request_reader.h"

namespace {

using glia::http::RequestReader;

constexpr glia::http::ReaderLimits kLimits{.max_header_bytes = 4096, .max_body_bytes = 16384, .max_fields = 32};

/// Everything that a handler could see of all requests in `bytes`, which arrive `step` at a time.
std::string seen(std::string_view bytes, std::size_t step) {
  std::string out;
  while (!bytes.empty()) {
    RequestReader reader(kLimits);
    std::size_t pending = 0;  // arrived
    while (reader.state() != RequestReader::State::done && reader.state() != RequestReader::State::refused) {
      if (pending == 0) {
        if (bytes.empty()) return out + "|unfinished";
        pending = step < bytes.size() ? step : bytes.size();
      }
      const std::size_t used = reader.feed(bytes.substr(0, pending));
      if (used > pending) std::abort();
      bytes.remove_prefix(used);
      pending -= used;
      if (reader.body_bytes() > kLimits.max_body_bytes) std::abort();
    }
    if (reader.state() == RequestReader::State::refused) {
      if (reader.refusal().status < 400) std::abort();
      return out + "|" + std::to_string(reader.refusal().status) + reader.refusal().reason;
    }
    const auto& request = reader.request();
    out += "|" + request.method + " " + request.path;
    for (const auto& [name, value] : request.query) out += "?" + name + "=" + value;
    for (const auto& [name, value] : request.headers) out += "\n" + name + ":" + value;
    out += "\n" + request.body;
    if (!reader.keep_alive()) return out;
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string whole = seen(bytes, size);
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}}) {
    if (seen(bytes, step) != whole) std::abort();
  }
  return 0;
}
