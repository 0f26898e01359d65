// Any bytes as what a WebSocket's client sends: events within the limits, and the same however the bytes are cut.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "http/websocket_frames.h"

namespace {

using glia::http::FrameReader;

constexpr std::size_t kMaxMessage = 1000;

std::string seen(std::string_view bytes, std::size_t step) {
  FrameReader reader(kMaxMessage);
  std::string out;
  while (!bytes.empty()) {
    std::string_view piece = bytes.substr(0, step);
    bytes.remove_prefix(piece.size());
    while (!piece.empty()) {
      const std::size_t used = reader.feed(piece);
      const auto event = reader.event();
      if (used > piece.size() || (used < piece.size() && event == FrameReader::Event::none)) std::abort();
      piece.remove_prefix(used);
      if (event == FrameReader::Event::none) continue;
      if (reader.payload().size() > kMaxMessage) std::abort();
      out += std::to_string(static_cast<int>(event)) + ":" + reader.payload() + ";";
      if (event == FrameReader::Event::failed || event == FrameReader::Event::close) {
        return out + std::to_string(reader.close_code());
      }
    }
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string whole = seen(bytes, size);
  for (const std::size_t step : {std::size_t{1}, std::size_t{5}}) {
    if (seen(bytes, step) != whole) std::abort();
  }
  return 0;
}
