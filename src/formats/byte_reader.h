// Reads little-endian values from untrusted bytes, front to back; nothing is touched before its length was checked.
// Errors: throws glia::Error(model_unavailable) that says what was expected and at which byte.
// Ownership: borrows the bytes; views returned by take() and string() borrow too. Thread rule: one thread.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace glia::formats {

static_assert(std::endian::native == std::endian::little, "the file formats are read in place, little-endian");

class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::uint64_t position() const { return position_; }
  std::uint64_t remaining() const { return bytes_.size() - position_; }

  /// The next `count` bytes.
  std::span<const std::byte> take(std::uint64_t count, std::string_view what) {
    if (count > remaining()) fail(std::string(what) + " is cut short");
    const auto out = bytes_.subspan(position_, count);
    position_ += count;
    return out;
  }

  template <typename T>
  T read(std::string_view what) {
    T value;
    std::memcpy(&value, take(sizeof(T), what).data(), sizeof(T));
    return value;
  }

  /// A u64 length and that many bytes.
  std::string_view string(std::string_view what) {
    const auto bytes = take(read<std::uint64_t>(what), what);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  [[noreturn]] void fail(std::string_view what) const {
    throw Error(ErrorCode::model_unavailable, std::string(what) + " (byte " + std::to_string(position_) + ")");
  }

 private:
  std::span<const std::byte> bytes_;
  std::size_t position_ = 0;
};

}  // namespace glia::formats
